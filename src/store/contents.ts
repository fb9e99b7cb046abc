import type { Finding } from "../option/finding.ts";
import { DAY, HOUR } from "../option/values.ts";
import type { Kind } from "./records.ts";

/**
 * All that a store holds, as it is: what looks into one or moves it elsewhere, while no gateway uses it. It is not what a gateway
 * works with: nothing is decided here, nothing expires, and no record is understood.
 */

/** What a kind is kept by, whatever its records are. */
export type Shape = Kind<Plain>;
export type Plain = Readonly<Record<string, unknown>>;

/** A record, its body being JSON. What comes once has no version. Times are milliseconds since the Unix epoch. */
export type Row = {
  readonly id: string;
  readonly version: number;
  readonly expires: number;
  readonly body: string;
};

/** What is counted on a key of a limit: the times of its hits, oldest first, and until when they matter. By the wall clock. */
export type Counted = { readonly key: string; readonly hits: readonly number[]; readonly until: number };

export type Contents = {
  /** Names of all kinds of which something is kept, known or not. @throws {StoreUnavailable}, as all of them do */
  kinds(): Promise<readonly string[]>;
  /** In pages, each record once: those that expire after `from`. */
  rows(kind: Shape, from: number): AsyncIterable<readonly Row[]>;
  /** Of a kind that comes once: until which expiry its records may have been forgotten. */
  forgottenUntil(kind: Shape): Promise<number>;
  counted(): AsyncIterable<readonly Counted[]>;
  /** When the store began to remember; undefined for one that has not. */
  since(): Promise<number | undefined>;
  /**
   * Why nothing may be moved now: a gateway uses it. Undefined where none does; a file is kept from them until it is closed.
   */
  inUse(): Promise<string | undefined>;
  /** Puts other contents in place of what is there: all of it, or if `work` throws, nothing that a gateway would start on. */
  refill(work: (into: Refill) => Promise<void>): Promise<void>;
  look(): Promise<Look>;
  close(): Promise<void>;
};

export type Refill = {
  /** @param until {@link Contents.forgottenUntil} */
  open(kind: Shape, until: number): Promise<void>;
  put(kind: Shape, rows: readonly Row[]): Promise<void>;
  count(counted: readonly Counted[]): Promise<void>;
  /** Says that the store remembers everything from then on. */
  remembers(since: number): Promise<void>;
};

/** What a store is like, for its operator. */
export type Look = {
  /** Program and version of what keeps it. */
  readonly server: string;
  /** Version of the layout; 0 where nothing has been made yet. */
  readonly layout: number;
  /** How far its clock is ahead of this machine's, in milliseconds; undefined where that is the same. */
  readonly ahead?: number;
  /** Whether it is there again after a restart of what keeps it; undefined where nobody says. */
  readonly survivesRestart?: boolean;
  readonly findings: readonly Finding[];
};

/** Beyond this, what comes once is kept by no store for certain. It leaves an hour for the copying itself. */
const MARKS_KEPT_MS = DAY - HOUR;

/** Which records of a kind are worth moving: those that are alive at `now`, and of what comes once those that are remembered. */
export function movedFrom({ once }: Shape, now: number): number {
  return once ? now - MARKS_KEPT_MS : now;
}

export const PAGE = 1000;
