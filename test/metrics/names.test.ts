import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { openStage, type Stage } from "../process/stage.ts";
import { freePort } from "../support/process.ts";
import { expressionsOf } from "./dashboard.ts";
import { scrapeText } from "./scrape.ts";

/** The names of all that is measured, and that dashboard, rules and guide speak of nothing else. */

// A process is started here, on machines that may be busy.
setDefaultTimeout(60_000);

const TYPES = {
  runegate_build_info: "gauge",
  runegate_http_requests_total: "counter",
  runegate_http_request_duration_seconds: "histogram",
  runegate_http_own_duration_seconds: "histogram",
  runegate_upstream_errors_total: "counter",
  runegate_upstream_up: "gauge",
  runegate_open_streams: "gauge",
  runegate_bytes_total: "counter",
  runegate_logins_total: "counter",
  runegate_login_requests_total: "counter",
  runegate_refusals_total: "counter",
  runegate_rate_limited_total: "counter",
  runegate_sessions: "gauge",
  runegate_checks_total: "counter",
  runegate_api_keys: "gauge",
  runegate_api_key_uses_total: "counter",
  runegate_handoffs_total: "counter",
  runegate_impersonations_total: "counter",
  runegate_mail_total: "counter",
  runegate_mail_queue: "gauge",
  runegate_mail_oldest_seconds: "gauge",
  runegate_hook_total: "counter",
  runegate_tunnel_connections: "gauge",
  runegate_tunnel_streams: "gauge",
  runegate_store_duration_seconds: "histogram",
  runegate_store_errors_total: "counter",
  runegate_certificate_expires_seconds: "gauge",
  runegate_log_dropped_total: "counter",
  runegate_log_queue_bytes: "gauge",
  runegate_audit_events_total: "counter",
  runegate_config_reloads_total: "counter",
  runegate_config_last_reload_success_timestamp_seconds: "gauge",
  runegate_event_loop_lag_seconds: "gauge",
  process_cpu_seconds_total: "counter",
  process_resident_memory_bytes: "gauge",
  process_start_time_seconds: "gauge",
  process_open_fds: "gauge",
  process_max_fds: "gauge",
};

let stage: Stage;
let text: string;
beforeAll(async () => {
  const port = freePort();
  stage = await openStage({
    options: { RUNEGATE_METRICS_LISTEN: `127.0.0.1:${port}`, RUNEGATE_API_KEYS: "true" },
  });
  text = await scrapeText(port);
});
afterAll(() => stage[Symbol.asyncDispose]());

test("H4 every family is there from the start, by its name and type", () => {
  const types = Object.fromEntries(
    text.matchAll(/^# TYPE (\S+) (\S+)$/gm).map(([, name, type]) => [name, type]),
  );
  expect(types).toEqual(TYPES);
});

const root = join(import.meta.dir, "../..");
const read = (path: string) => readFileSync(join(root, path), "utf8");

/** Those that a text names, without what a histogram adds to its name. */
function namesIn(source: string): Set<string> {
  const found = source.matchAll(/\b(?:runegate|process)_[a-z_]+\b(?!\.)/g);
  return new Set(found.map(([name]) => name.replace(/_(?:bucket|sum|count)$/, "")));
}

function sectionOf(text: string, heading: string): string {
  return text.split(`\n### ${heading}\n`)[1]?.split(/^##/m)[0] ?? "";
}

test.each([
  ["the dashboard", () => expressionsOf(read("deploy/grafana/runegate.json")).join("\n")],
  ["the rules", () => read("deploy/prometheus/runegate.rules.yml")],
  ["the guide", () => sectionOf(read("deploy/README.md"), "Metrics")],
])("%s names nothing that is not measured", (_, source) => {
  const unknown = [...namesIn(source())].filter((name) => !(name in TYPES));
  expect(unknown).toEqual([]);
  expect(namesIn(source()).size).toBeGreaterThan(0);
});

test("the dashboard shows all that is measured, and the guide explains all that is Runegate's own", () => {
  const shown = namesIn(expressionsOf(read("deploy/grafana/runegate.json")).join("\n"));
  const explained = namesIn(sectionOf(read("deploy/README.md"), "Metrics"));
  const names = Object.keys(TYPES);
  expect(names.filter((name) => !shown.has(name))).toEqual([]);
  expect(names.filter((name) => name.startsWith("runegate") && !explained.has(name))).toEqual([]);
});
