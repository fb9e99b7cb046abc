import type { Awaitable } from "./records.ts";

/** `limit` hits in any window of `windowMs`. A limit of 0 is no limit. */
export type LimitRule = { readonly limit: number; readonly windowMs: number };

export type LimitOutcome =
  | { readonly allowed: true }
  /** @property retryAfterMs until the next hit would be allowed, over 0. */
  | { readonly allowed: false; readonly retryAfterMs: number };

/** One of several limits that a hit counts on. */
export type LimitCount = { readonly key: string; readonly rule: LimitRule };

/** Every back-end passes the same suite (`test/store/limits-contract.ts`). */
export type Limits = {
  /**
   * Counts a hit on `key`, and on each of `wider`, if all their rules allow it, in one step. A refused hit is counted on none
   * of them, so asking in vain never prolongs the wait; the longest wait is told.
   * @throws {StoreUnavailable}
   */
  hit(key: string, rule: LimitRule, wider?: readonly LimitCount[]): Awaitable<LimitOutcome>;
  /**
   * How many hits each of these counts in its window now, in the same order; counts none.
   * @throws {StoreUnavailable}
   */
  count(counts: readonly LimitCount[]): Awaitable<number[]>;
  /** Takes back everything counted on `key`. @throws {StoreUnavailable} */
  release(key: string): Awaitable<void>;
};

// How hits are counted, in every back-end: an exact sliding log. Kept are the times of the last hits on a key that were allowed,
// oldest first, as many as its rule looks at. A hit is allowed when the one `limit` hits before it is a whole window old, so
// that no window whatever holds more than `limit`, at its edges either.

/** What a hit counts on. */
export function countsOf(key: string, rule: LimitRule, wider?: readonly LimitCount[]): LimitCount[] {
  const counts = wider === undefined ? [{ key, rule }] : [{ key, rule }, ...wider];
  return counts.filter((one) => one.rule.limit > 0);
}

/** How long a hit at `now` has to wait, in milliseconds; 0 if it is allowed. */
export function longestWait(
  counts: readonly LimitCount[],
  hitsOf: (key: string) => readonly number[],
  now: number,
): number {
  let longest = 0;
  for (const { key, rule } of counts) {
    const decisive = hitsOf(key).at(-rule.limit);
    if (decisive !== undefined) longest = Math.max(longest, decisive + rule.windowMs - now);
  }
  return longest;
}

/** How many of these hits are in the window that ends at `now`. */
export function hitsWithin(hits: readonly number[], { limit, windowMs }: LimitRule, now: number): number {
  return hits.slice(-limit).filter((at) => at + windowMs > now).length;
}

/** Adds one more, and lets go of what the rule looks at no longer. */
export function addHit(hits: number[], { limit }: LimitRule, now: number): void {
  hits.push(now);
  if (hits.length > limit) hits.splice(0, hits.length - limit);
}

const ALLOWED: LimitOutcome = { allowed: true };

export function outcomeOf(wait: number): LimitOutcome {
  return wait > 0 ? { allowed: false, retryAfterMs: wait } : ALLOWED;
}
