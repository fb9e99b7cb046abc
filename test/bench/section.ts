import type { Bar } from "./chart.ts";
import type { Stage } from "./stage.ts";

/** A part of the benchmark that answers one question and can be run alone. */
export type Section = {
  readonly name: string;
  /** For `--list`, in a few words. */
  readonly summary: string;
  /** After this many seconds the section is given up: nothing here may hang a build. */
  readonly atMostSeconds: (effort: Effort) => number;
  /** Whether its files are better not on a disk: where a store waits for the disk at each write and only reads are measured. */
  readonly inMemory?: true;
  /** @throws {BenchError} if it cannot be run here; what else it throws is a mistake. */
  run(bench: Bench): Promise<Report>;
};

/** How hard to try. */
export type Effort = {
  /** Seconds of load on each contestant in each round. */
  readonly seconds: number;
  /** Each round goes through all contestants; medians over the rounds are reported. */
  readonly rounds: number;
  /** Kept alive, each with one request under way. */
  readonly connections: number;
  /** Idle event streams and WebSockets. */
  readonly streams: number;
  /** Bytes of the large body. */
  readonly size: number;
  /** Sessions in the large store. */
  readonly sessions: number;
};

/** What every section works with. */
export type Bench = {
  readonly stage: Stage;
  readonly effort: Effort;
  /** Path of the compiled executable, which may have to be built first. @throws {BenchError} if it cannot be. */
  executable(): string;
  /** Tells whoever waits how far it is. */
  say(text: string): void;
};

export type Table = {
  /** The first one names the contestants; the others are figures. */
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
};

export type Target = {
  readonly wanted: string;
  readonly got: string;
  /** Undefined where it could not be measured here. */
  readonly met: boolean | undefined;
};

export type Report = {
  readonly tables: readonly Table[];
  readonly targets: readonly Target[];
  /** Sentences without which the tables would be misread. */
  readonly notes: readonly string[];
  /** Every figure of every round, for `--json`. */
  readonly figures: unknown;
  /** What the chart in the project's README shows, where the section has one. */
  readonly chart?: { readonly title: string; readonly file: string; readonly bars: readonly Bar[] };
};

/**
 * Measures all contestants in each round, every other round in reverse, so that whatever else the machine does, and whatever
 * drifts, hits all alike.
 * @returns for each name its samples in the order of the rounds.
 */
export async function inTurn<Contestant extends { readonly name: string }, Sample>(
  contestants: readonly Contestant[],
  rounds: number,
  measure: (contestant: Contestant, round: number) => Promise<Sample>,
): Promise<Map<string, Sample[]>> {
  const samples = new Map<string, Sample[]>(contestants.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const contestant of round % 2 === 0 ? contestants : contestants.toReversed()) {
      samples.get(contestant.name)?.push(await measure(contestant, round));
    }
  }
  return samples;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** The median of one figure over samples. */
export function medianOf<Sample>(samples: readonly Sample[], figure: (sample: Sample) => number): number {
  return median(samples.map(figure));
}

/** The median over the rounds of one contestant's figure as a multiple of another's in the same round. */
export function medianRatio<Sample>(
  samples: readonly Sample[],
  reference: readonly Sample[],
  figure: (sample: Sample) => number,
): number {
  return median(
    samples.map((sample, round) => {
      const other = reference[round];
      return other === undefined ? Number.NaN : figure(sample) / figure(other);
    }),
  );
}

/** @param share from 0 to 1. @param sorted in ascending order. */
export function percentile(sorted: ArrayLike<number>, share: number): number {
  return sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN;
}
