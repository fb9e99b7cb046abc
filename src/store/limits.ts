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
  /** Takes back everything counted on `key`. @throws {StoreUnavailable} */
  release(key: string): Awaitable<void>;
};
