import type { Clock } from "../../clock.ts";
import { addHit, countsOf, hitsWithin, type Limits, longestWait, outcomeOf } from "../limits.ts";
import { createRecencyMap, type RecencyMap } from "./recency-map.ts";

/** Times of the monotonic clock. */
type MemoryCount = { readonly hits: number[]; idleAt: number };
/** @property keys what is counted, for whoever moves it. */
export type MemoryLimits = Limits & { readonly size: number; readonly keys: RecencyMap<MemoryCount> };

/**
 * Limits on the monotonic clock: setting the system's time neither opens nor prolongs one.
 *
 * At `capacity` keys the one unused for longest makes room. A caller who can send from that many addresses is beyond
 * what a limit by address stops.
 */
export function createMemoryLimits(clock: Clock, capacity = 262_144): MemoryLimits {
  const keys = createRecencyMap<MemoryCount>();
  const hitsOf = (key: string) => keys.get(key)?.hits ?? [];

  /**
   * Two keys a count, which is more than it can add. Rules with different windows stand in one line, so a key may wait behind
   * one with a longer window, never longer than that window.
   */
  function forgetSome(now: number): void {
    for (let i = 0; i < 2; i++) {
      const oldest = keys.oldest();
      if (oldest === undefined || (oldest.value.idleAt > now && keys.size <= capacity)) return;
      keys.delete(oldest.key);
    }
  }

  return {
    hit(key, rule, wider) {
      const now = clock.monotonic();
      const counts = countsOf(key, rule, wider);
      const wait = longestWait(counts, hitsOf, now);
      if (wait > 0) return outcomeOf(wait);
      for (const { key, rule } of counts) {
        const counted = keys.get(key) ?? { hits: [], idleAt: 0 };
        addHit(counted.hits, rule, now);
        counted.idleAt = now + rule.windowMs;
        keys.set(key, counted);
        forgetSome(now);
      }
      return outcomeOf(0);
    },

    count(counts) {
      const now = clock.monotonic();
      return counts.map(({ key, rule }) => hitsWithin(hitsOf(key), rule, now));
    },

    release(key) {
      keys.delete(key);
    },

    keys,

    get size() {
      return keys.size;
    },
  };
}
