import { cpus, release, totalmem } from "node:os";
import { REFERENCE, type Sample } from "./contestants.ts";

/** What is said of one contestant: the medians over the rounds. */
export type Result = Omit<Sample, "requests"> & {
  readonly name: string;
  /** CPU per request as a multiple of nginx's in the same round. */
  readonly ratio: number;
  readonly rounds: readonly Sample[];
};

export type Circumstances = {
  readonly date: string;
  readonly machine: string;
  readonly versions: string;
  readonly method: string;
};

/** @param samples of each contestant, one per round, in the order of the rounds. */
export function summarize(samples: ReadonlyMap<string, readonly Sample[]>): Result[] {
  const reference = samples.get(REFERENCE) ?? [];
  return [...samples].map(([name, rounds]) => {
    const over = (value: (sample: Sample, round: number) => number) => median(rounds.map(value));
    return {
      name,
      perSecond: over((sample) => sample.perSecond),
      p50: over((sample) => sample.p50),
      p99: over((sample) => sample.p99),
      cpu: over((sample) => sample.cpu),
      peak: Math.max(...rounds.map((sample) => sample.peak)),
      ratio: over((sample, round) => sample.cpu / (reference[round]?.cpu ?? Number.NaN)),
      rounds,
    };
  });
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

export function describeMachine(): string {
  const processors = cpus();
  const memory = Math.round(totalmem() / 1024 ** 3);
  return `${processors.length} × ${processors[0]?.model ?? "unknown processor"}, ${memory} GiB, Linux ${release().split("-", 1)[0]}`;
}

const COLUMNS = ["", "requests/s", "p50 ms", "p99 ms", "CPU µs/request", "ratio to nginx", "peak RSS MiB"];

/** A Markdown table, and under it what is needed to compare it with another one. */
export function render(results: readonly Result[], circumstances: Circumstances): string {
  const rows = results.map((result) => [
    result.name,
    result.perSecond.toFixed(0),
    result.p50.toFixed(2),
    result.p99.toFixed(2),
    result.cpu.toFixed(1),
    result.ratio.toFixed(2),
    result.peak.toFixed(0),
  ]);
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const rule = COLUMNS.map((_, index) => (index === 0 ? "---" : "---:"));
  const { date, machine, versions, method } = circumstances;
  return [
    ...[COLUMNS, rule, ...rows].map(line),
    "",
    `${date}, ${machine}.`,
    `${versions}.`,
    `${method}.`,
  ].join("\n");
}
