import type { Clock } from "../clock.ts";
import type { Registry } from "./registry.ts";

/** The last 24 hours in quarters of an hour, for the administrators' overview. Kept in memory, and gone with the process. */

export type DayPoint = {
  /** When it begins, in milliseconds since the epoch; the last one is not over yet. */
  readonly from: number;
  readonly requests: number;
  readonly logins: number;
  readonly refusals: number;
  /** Milliseconds that 95 of 100 requests took at most, WebSockets not among them; undefined where there were none. */
  readonly p95: number | undefined;
};

/** What one process has counted in a quarter: plain data. */
export type Quarter = {
  readonly from: number;
  readonly requests: number;
  readonly logins: number;
  readonly refusals: number;
  /** As in a histogram of {@link BOUNDS}. */
  readonly durations: readonly number[];
};

export type Day = {
  /** Begins another quarter where the last one is over; asked several times in each. */
  turn(): void;
  /** Oldest first. */
  quarters(): Quarter[];
};

/** Buckets of all durations of requests, in seconds. */
export const BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;

export const REQUESTS = "runegate_http_requests_total";
export const DURATIONS = "runegate_http_request_duration_seconds";
export const LOGINS = "runegate_logins_total";
export const REFUSALS = "runegate_refusals_total";

const QUARTER_MS = 15 * 60_000;
const POINTS = 96;
const EMPTY: Quarter = {
  from: 0,
  requests: 0,
  logins: 0,
  refusals: 0,
  durations: new Array<number>(BOUNDS.length + 1).fill(0),
};

/** Counts nothing itself: what a quarter had is what the counters have now, less what they had at its beginning. */
export function createDay(registry: Pick<Registry, "counted">, clock: Clock): Day {
  const over: Quarter[] = [];
  let from = quarterOf(clock.now());
  let before = totals(from);

  function totals(at: number): Quarter {
    const sum = (name: string, which = (_: readonly string[]) => true) =>
      registry.counted(name).reduce((all, [labels, [n = 0]]) => all + (which(labels) ? n : 0), 0);
    const durations = new Array<number>(BOUNDS.length + 1).fill(0);
    for (const [[, kind], numbers] of registry.counted(DURATIONS)) {
      if (kind === "websocket") continue;
      for (const at of durations.keys()) durations[at] = (durations[at] ?? 0) + (numbers[at] ?? 0);
    }
    return {
      from: at,
      requests: sum(REQUESTS),
      logins: sum(LOGINS, ([outcome]) => outcome === "ok"),
      refusals: sum(REFUSALS),
      durations,
    };
  }

  function current(): Quarter {
    const now = totals(from);
    return {
      from,
      requests: now.requests - before.requests,
      logins: now.logins - before.logins,
      refusals: now.refusals - before.refusals,
      durations: now.durations.map((n, at) => n - (before.durations[at] ?? 0)),
    };
  }

  function turn(): void {
    const next = quarterOf(clock.now());
    if (next === from) return;
    over.push(current());
    if (over.length >= POINTS) over.shift();
    from = next;
    before = totals(from);
  }

  return {
    turn,
    quarters() {
      turn();
      return [...over, current()];
    },
  };
}

function quarterOf(now: number): number {
  return now - (now % QUARTER_MS);
}

/** @param processes the quarters of each. @returns one for each beginning, the last {@link POINTS} of them, oldest first. */
export function mergeQuarters(processes: readonly (readonly Quarter[])[]): Quarter[] {
  const byStart = Map.groupBy(processes.flat(), ({ from }) => from);
  const merged = [...byStart].map(([from, quarters]) => quarters.reduce(addQuarters, { ...EMPTY, from }));
  return merged.sort((a, b) => a.from - b.from).slice(-POINTS);
}

function addQuarters(a: Quarter, b: Quarter): Quarter {
  return {
    from: a.from,
    requests: a.requests + b.requests,
    logins: a.logins + b.logins,
    refusals: a.refusals + b.refusals,
    durations: a.durations.map((n, at) => n + (b.durations[at] ?? 0)),
  };
}

/** @param processes the quarters of each. @returns 96 points, oldest first. */
export function mergeDay(processes: readonly (readonly Quarter[])[], now: number): DayPoint[] {
  const known = new Map(mergeQuarters(processes).map((quarter) => [quarter.from, quarter]));
  const last = quarterOf(now);
  return Array.from({ length: POINTS }, (_, at) => {
    const from = last - (POINTS - 1 - at) * QUARTER_MS;
    const { durations, ...counts } = known.get(from) ?? EMPTY;
    return { ...counts, from, p95: quantile(durations, 0.95) };
  });
}

/** Milliseconds, between the bounds of the bucket in proportion, as `histogram_quantile` of Prometheus has it. */
function quantile(buckets: readonly number[], share: number): number | undefined {
  const count = buckets.reduce((sum, n) => sum + n, 0);
  if (count === 0) return undefined;
  let left = count * share;
  const bucket = buckets.findIndex((n) => {
    if (left <= n) return true;
    left -= n;
    return false;
  });
  const lower = BOUNDS[bucket - 1] ?? 0;
  const upper = BOUNDS[bucket] ?? lower;
  return 1000 * (lower + (upper - lower) * (left / (buckets[bucket] || 1)));
}
