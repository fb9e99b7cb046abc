import type { Clock } from "../../clock.ts";
import type { LimitCount, LimitOutcome, LimitRule, Limits } from "../limits.ts";
import { createRecencyMap } from "./recency-map.ts";

const ALLOWED: LimitOutcome = { allowed: true };

/** The last hits on a key that were allowed: at most `limit` of them, monotonic milliseconds, used as a ring. */
type Hits = {
  times: number[];
  /** Where the oldest stands once the ring is full. */
  start: number;
  /** From here on no hit counts any longer. */
  idleAt: number;
};

/**
 * An exact sliding log: a hit is allowed when the one `limit` hits before it is a whole window old, so that no window
 * whatever holds more than `limit`, at its edges either. On the monotonic clock: setting the system's time neither
 * opens nor prolongs a limit.
 *
 * At `capacity` keys the one unused for longest makes room. A caller who can send from that many addresses is beyond
 * what a limit by address stops.
 */
export function createMemoryLimits(clock: Clock, capacity = 262_144): Limits & { readonly size: number } {
  const keys = createRecencyMap<Hits>();

  /**
   * Two keys a hit: more than a hit can add. Rules with different windows stand in one line, so a key may wait behind
   * one with a longer window, never longer than that window.
   */
  function forgetIdle(now: number): void {
    for (let i = 0; i < 2; i++) {
      const oldest = keys.oldest();
      if (oldest === undefined || oldest.value.idleAt > now) return;
      keys.delete(oldest.key);
    }
  }

  function add(key: string, hits: Hits): void {
    const oldest = keys.oldest();
    if (keys.size >= capacity && oldest !== undefined) keys.delete(oldest.key);
    keys.set(key, hits);
  }

  /** Over 0 if a hit must wait. */
  function waitOf(key: string, { limit, windowMs }: LimitRule, now: number): number {
    const hits = keys.get(key);
    if (hits === undefined || limit === 0) return 0;
    if (hits.times.length > limit || (hits.times.length < limit && hits.start > 0)) fit(hits, limit);
    return hits.times.length < limit ? 0 : (hits.times[hits.start] ?? now) + windowMs - now;
  }

  function count(key: string, { limit, windowMs }: LimitRule, now: number): void {
    if (limit === 0) return;
    forgetIdle(now);
    const hits = keys.get(key);
    if (hits === undefined) {
      add(key, { times: [now], start: 0, idleAt: now + windowMs });
      return;
    }
    if (hits.times.length < limit) {
      hits.times.push(now);
    } else {
      hits.times[hits.start] = now;
      hits.start = (hits.start + 1) % limit;
    }
    hits.idleAt = now + windowMs;
  }

  return {
    hit(key: string, rule: LimitRule, wider: readonly LimitCount[] = []) {
      const now = clock.monotonic();
      let wait = waitOf(key, rule, now);
      for (const one of wider) wait = Math.max(wait, waitOf(one.key, one.rule, now));
      if (wait > 0) return { allowed: false, retryAfterMs: wait };
      count(key, rule, now);
      for (const one of wider) count(one.key, one.rule, now);
      return ALLOWED;
    },

    release(key) {
      keys.delete(key);
    },

    get size() {
      return keys.size;
    },
  };
}

/** For a key whose limit has changed: puts the ring in order, oldest first, and keeps what the new limit looks at. */
function fit(hits: Hits, limit: number): void {
  hits.times = [...hits.times.slice(hits.start), ...hits.times.slice(0, hits.start)].slice(-limit);
  hits.start = 0;
}
