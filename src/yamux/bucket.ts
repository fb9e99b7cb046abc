import type { Clock } from "../clock.ts";

/** @returns what takes one of at most `burst`, of which `perSecond` come back; false where there is none. */
export function createBucket(burst: number, perSecond: number, clock: Pick<Clock, "monotonic">) {
  let left = burst;
  let at = clock.monotonic();
  return (): boolean => {
    const now = clock.monotonic();
    left = Math.min(burst, left + ((now - at) / 1000) * perSecond);
    at = now;
    if (left < 1) return false;
    left--;
    return true;
  };
}
