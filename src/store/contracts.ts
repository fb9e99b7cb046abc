/**
 * What Runegate keeps, as four small contracts. Every implementation passes the same suite
 * (`test/store/contract.ts`). Times are milliseconds since the Unix epoch unless said otherwise.
 *
 * A method may answer at once or later: the memory store answers at once, which keeps the hot path free of
 * needless turns of the event loop. A store that cannot be reached throws {@link StoreUnavailable} (tickets say
 * `"unavailable"`): that never counts as permission.
 */

import { type Awaitable, type RecordStore, StoreUnavailable } from "./records.ts";

export { type Awaitable, StoreUnavailable };

export type SpendOutcome = "fresh" | "spent" | "unavailable";

/** Single use. */
export type TicketStore = {
  /**
   * Marks the ticket `jti` used. Of all callers, ever and together, exactly one gets `"fresh"`.
   * @param expiresAt when the ticket itself stops being valid; the mark may be forgotten after that.
   */
  spend(jti: string, expiresAt: number): Awaitable<SpendOutcome>;
  /**
   * Whether `jti` has been spent, for telling so early. A false is no promise: only `spend` decides.
   * @throws {StoreUnavailable}
   */
  isSpent(jti: string): Awaitable<boolean>;
  /**
   * Since when marks are kept: any from before may be forgotten. A store that has lost them says so from the moment that it is
   * asked.
   * @throws {StoreUnavailable}
   */
  since(): Awaitable<number>;
};

/** One signed-in browser. `id` is a keyed hash of the cookie, so a stolen store opens no session. */
export type SessionRecord = {
  readonly id: string;
  /** Canonical address (`login/address.ts`). */
  readonly email: string;
  readonly createdAt: number;
  /** The absolute end, whatever the use. */
  readonly expiresAt: number;
  /** Last use; written at most once a minute. */
  readonly seenAt: number;
  /** Where it was made from, for the list an operator reads. */
  readonly ip: string;
  readonly userAgent: string;
  /** Shows that the record is ours (`session/seal.ts`). Empty in records of an older version. */
  readonly seal: string;
};

export type SessionStore = {
  create(record: SessionRecord): Awaitable<void>;
  find(id: string): Awaitable<SessionRecord | undefined>;
  /**
   * Takes over `seenAt` and `seal`, if the one kept was not used later. Never brings back a session that has ended.
   * @param record otherwise as it was found.
   */
  touch(record: SessionRecord): Awaitable<void>;
  /** True if there was such a session. */
  end(id: string): Awaitable<boolean>;
  /** Ends every session of an address and gives their ids. */
  endAll(email: string): Awaitable<string[]>;
  /** Oldest first. */
  list(): Awaitable<SessionRecord[]>;
  /**
   * The text that was left here first, for as long as the store lasts.
   * @param first left if there is none yet.
   */
  note(first?: string): Awaitable<string | undefined>;
  /**
   * Tells of every session that is ended by `end` or `endAll`, as soon as this process learns of it: at once where it did
   * so itself. A store that others share may be told by them, or not: nothing depends on being told but promptness.
   */
  onEnded(listener: (id: string) => void): void;
};

/** `limit` hits in any window of `windowMs`. A limit of 0 is no limit. */
export type LimitRule = { readonly limit: number; readonly windowMs: number };

export type LimitOutcome =
  | { readonly allowed: true }
  /** @property retryAfterMs until the next hit would be allowed, over 0. */
  | { readonly allowed: false; readonly retryAfterMs: number };

/** One of several limits that a hit counts on. */
export type LimitCount = { readonly key: string; readonly rule: LimitRule };

export type LimitStore = {
  /**
   * Counts a hit on `key`, and on each of `wider`, if all their rules allow it, in one step. A refused hit is counted on none
   * of them, so asking in vain never prolongs the wait; the longest wait is told.
   */
  hit(key: string, rule: LimitRule, wider?: readonly LimitCount[]): Awaitable<LimitOutcome>;
  /** Takes back everything counted on `key`. */
  release(key: string): Awaitable<void>;
};

/** A mail waiting to be sent. */
export type OutboxEntry = {
  readonly id: string;
  readonly to: string;
  /** What the mail says, sealed (`mail/seal.ts`): a store is handed no link and no code. */
  readonly content: string;
  /** Fixed when queued, so a mail sent twice is recognizably the same. */
  readonly messageId: string;
  readonly queuedAt: number;
  /** No use sending it after this. */
  readonly expiresAt: number;
  readonly attempts: number;
  readonly nextAttemptAt: number;
  /** Limit key to release if the mail is given up. */
  readonly cooldownKey: string | undefined;
  /** One of those that are sent before the others. */
  readonly first: boolean;
};

export type OutboxStore = {
  /** False when `capacity` entries wait already; the mail is then not queued. */
  add(entry: OutboxEntry, capacity: number): Awaitable<boolean>;
  /**
   * Hands out entries due at `now`, oldest first, at most `most`, and keeps them from everybody else until `until`: each
   * comes back as it is stored then, with one attempt more and due again at `until`. They stay until removed: delivery is
   * at least once.
   * @param first whether to hand out those that go first, or the others.
   */
  claim(first: boolean, now: number, until: number, most: number): Awaitable<OutboxEntry[]>;
  /** When the next entry falls due, or undefined if there is none. */
  nextDue(): Awaitable<number | undefined>;
  /** Moves an entry to another time, if it is still there, and says how often it has been tried. */
  postpone(id: string, nextAttemptAt: number, attempts: number): Awaitable<void>;
  remove(id: string): Awaitable<void>;
};

/** Anybody may ask whether the instance is ready, and each answer that is not remembered costs a write. */
export const READY_FOR_MS = 1_000;

export type Stores = RecordStore & {
  readonly tickets: TicketStore;
  readonly sessions: SessionStore;
  readonly limits: LimitStore;
  readonly outbox: OutboxStore;
  /** Throws {@link StoreUnavailable} with a reason for people while the store cannot be reached. */
  ready(): Awaitable<void>;
  close(): Awaitable<void>;
};
