import { cpuSeconds, descriptors, familyOf, residentMebibytes, threads } from "../bench/accounting.ts";
import { median } from "../bench/section.ts";

/** What the gateway's processes hold at a moment, all together. */
export type Sample = {
  /** Seconds since the start of the soak. */
  readonly at: number;
  /** MiB. */
  readonly resident: number;
  readonly descriptors: number;
  readonly sockets: number;
  readonly threads: number;
  readonly processes: number;
};

export function takeSample(pid: number, at: number): Sample {
  const pids = familyOf(pid);
  const { count, sockets } = descriptors(pids);
  return {
    at,
    resident: residentMebibytes(pids),
    descriptors: count,
    sockets,
    threads: threads(pids),
    processes: pids.length,
  };
}

/** Share of one core that the processes use while nobody asks for anything. */
export async function idleCpu(pid: number, seconds: number): Promise<number> {
  const before = cpuSeconds(familyOf(pid));
  await Bun.sleep(seconds * 1000);
  return (cpuSeconds(familyOf(pid)) - before) / seconds;
}

/**
 * A heap that is collected breathes: it grows until the collector finds it worth its while, and pages are given back later
 * still. On the same use, medians over a quarter of a run of ten minutes differ by up to some 10 % here. What leaks at a rate
 * that matters shows all the same: 1 KB a request, at the 200 requests a second of the usual visitors, is 60 MiB from the
 * second quarter to the last.
 */
const TOLERANCE = 0.15;
/** MiB; so that a small process is not judged by a few pages. */
const LEAST_TOLERANCE = 16;
/** Before this the heap is still growing to its size, and nothing that is kept for a time has run out yet. */
export const JUDGED_FROM_SECONDS = 180;

export type Flatness = {
  /** MiB: medians of the second and the last quarter. */
  readonly early: number;
  readonly late: number;
  readonly allowed: number;
  /** Undefined if the run is too short to tell. */
  readonly flat: boolean | undefined;
};

export function judgeMemory(samples: readonly Sample[], seconds: number): Flatness {
  const within = (from: number, to: number) =>
    median(
      samples.filter(({ at }) => at >= from * seconds && at < to * seconds).map(({ resident }) => resident),
    );
  const early = within(0.25, 0.5);
  const late = within(0.75, 1);
  const allowed = early + Math.max(LEAST_TOLERANCE, early * TOLERANCE);
  return { early, late, allowed, flat: seconds < JUDGED_FROM_SECONDS ? undefined : late <= allowed };
}
