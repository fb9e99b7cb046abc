import { readdirSync, readFileSync } from "node:fs";
import type { Clock } from "../clock.ts";
import { VERSION } from "../version.ts";
import type { ProcessMetrics } from "./metrics.ts";

/** What is measured of a process, by the names that all Prometheus clients give it. */

const LOOK_MS = 1_000;
/** The longest of so many looks is what is said: longer than between two visits of Prometheus. */
const LOOKS = 60;

/** Begins to measure the process that calls it, for as long as it lives. */
export function measureProcess({ registry, day }: ProcessMetrics, clock: Clock): void {
  const startedAt = (clock.now() - process.uptime() * 1000) / 1000;
  const lags: number[] = [];
  let expected = clock.monotonic() + LOOK_MS;
  setInterval(() => {
    const now = clock.monotonic();
    lags.push(Math.max(0, now - expected) / 1000);
    if (lags.length > LOOKS) lags.shift();
    expected = now + LOOK_MS;
    day.turn();
  }, LOOK_MS).unref();

  registry.gauge(
    "runegate_build_info",
    "What runs: always 1.",
    ["version", "bun"],
    () => [[[VERSION, Bun.version], 1]],
    "main",
  );
  registry.gauge(
    "runegate_event_loop_lag_seconds",
    "By how much a timer was late at most, in the last minute and of all processes.",
    [],
    () => Math.max(0, ...lags),
    "max",
  );
  registry.gauge("process_cpu_seconds_total", "User and system time, of all processes.", [], () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
  registry.gauge("process_resident_memory_bytes", "Memory in use, of all processes.", [], () =>
    process.memoryUsage.rss(),
  );
  registry.gauge(
    "process_start_time_seconds",
    "Start of the main process, in seconds since the epoch.",
    [],
    () => startedAt,
    "main",
  );
  registry.gauge(
    "process_open_fds",
    "Open file descriptors of the process that has most.",
    [],
    () => readdirSync("/proc/self/fd").length - 1,
    "max",
  );
  registry.gauge(
    "process_max_fds",
    "File descriptors that each process may have open.",
    [],
    () => Number(/^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1]),
    "min",
  );
}

/** Measures the log's way to standard output. */
export function measureLog(
  { registry }: ProcessMetrics,
  states: () => readonly { readonly sink: string; readonly lost: number; readonly pending: number }[],
): void {
  const labels = ["sink"];
  registry.gauge("runegate_log_dropped_total", "Lines that nobody took in time.", labels, () =>
    states().map(({ sink, lost }) => [[sink], lost]),
  );
  registry.gauge("runegate_log_queue_bytes", "Of lines that wait to be written.", labels, () =>
    states().map(({ sink, pending }) => [[sink], pending]),
  );
}
