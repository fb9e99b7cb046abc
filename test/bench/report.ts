import { cpus, loadavg, release, totalmem } from "node:os";
import { VERSION } from "../../src/version.ts";
import type { Bar } from "./chart.ts";
import { caddyVersion } from "./rivals/caddy.ts";
import { nginxVersion } from "./rivals/nginx.ts";
import type { Effort, Report, Table, Target } from "./section.ts";

/** What is needed to compare one run with another. */
export type Circumstances = {
  readonly date: string;
  readonly machine: string;
  readonly versions: string;
  readonly method: string;
};

export function circumstancesOf({ rounds, seconds }: Effort): Circumstances {
  const caddy = caddyVersion();
  // Above a few tenths, somebody else is at work and the figures say little.
  const busy = loadavg()[0]?.toFixed(1);
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: describeMachine(),
    versions: [
      `Runegate ${VERSION}`,
      `Bun ${Bun.version}`,
      `nginx ${nginxVersion()}`,
      ...(caddy === undefined ? [] : [`Caddy ${caddy}`]),
    ].join(", "),
    method: `Medians of ${rounds} ${rounds === 1 ? "round" : "rounds"} of ${seconds} s; load average ${busy} before it began`,
  };
}

function describeMachine(): string {
  const processors = cpus();
  const memory = Math.round(totalmem() / 1024 ** 3);
  return `${processors.length} × ${processors[0]?.model ?? "unknown processor"}, ${memory} GiB, Linux ${release().split("-", 1)[0]}`;
}

/** A section's outcome as Markdown. */
export function render({ tables, targets, notes }: Report, circumstances: Circumstances): string {
  const { date, machine, versions, method } = circumstances;
  return [
    ...tables.map(renderTable),
    ...(targets.length === 0 ? [] : [targets.map(renderTarget).join("\n")]),
    [...notes, `${date}, ${machine}. ${versions}. ${method}.`].join("\n"),
  ].join("\n\n");
}

/** The few figures that the project's README shows. */
export function renderBars(bars: readonly Bar[], { date, machine, versions }: Circumstances): string {
  const rows = bars.map(({ name, value, memory }) => [name, value.toFixed(0), memory.toFixed(0)]);
  const table = renderTable({ columns: ["", "CPU µs/request", "memory MiB"], rows });
  return `${table}\n\n${date}, ${machine}. ${versions}.`;
}

function renderTable({ columns, rows }: Table): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const rule = columns.map((_, index) => (index === 0 ? "---" : "---:"));
  return [columns, rule, ...rows].map(line).join("\n");
}

function renderTarget({ wanted, got, met }: Target): string {
  const verdict = met === undefined ? "not measured" : met ? "met" : "**missed**";
  return `- ${wanted}: ${got}, ${verdict}`;
}
