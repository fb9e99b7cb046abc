import type { Clock } from "../../clock.ts";
import {
  checkRecord,
  conditionOf,
  createListeners,
  type Kind,
  type Records,
  type Seen,
  StoreFull,
} from "../records.ts";
import { createExpiryBuckets } from "./expiry.ts";

const BUCKET_MS = 10_000;
/** Of a kind that names no capacity: memory is never without bound. */
const CAPACITY = 1_000_000;

export type MemoryRecords<T> = Records<T> & {
  readonly size: number;
  /** For whoever moves them: all of them, what is put there as it is, and letting go of all. */
  all(): Seen<T>[];
  put(seen: Seen<T>): void;
  clear(): void;
  /** The latest expiry of what came once and may have been forgotten. */
  forgottenUntil: number;
};

/**
 * Records of one kind in this process's memory. What has expired is gone to every caller at that millisecond, and out of
 * memory within a bucket of it, while the next call is served.
 */
export function createMemoryRecords<T extends object>(kind: Kind<T>, clock: Clock): MemoryRecords<T> {
  const { by = [], capacity = CAPACITY } = kind;
  const order = kind.order as (keyof T & string) | undefined;
  const records = new Map<string, Seen<T>>();
  const indexes = new Map(by.map((field) => [field as string, new Map<string, Set<string>>()]));
  /** By the order field, then id; of a kind that has one. */
  const sorted: Seen<T>[] = [];
  const expiry = createExpiryBuckets(BUCKET_MS);
  const taken = createListeners();

  const numberOf = (seen: Seen<T>) => (order === undefined ? seen.expiresAt : (seen.record[order] as number));
  const compare = (a: Seen<T>, b: Seen<T>) =>
    numberOf(a) - numberOf(b) || (a.id < b.id ? -1 : Number(a.id > b.id));

  /** Index of the first that does not come before: a binary search, and one move of memory to insert there. */
  function placeIn(ordered: readonly Seen<T>[], isBefore: (other: Seen<T>) => boolean): number {
    let low = 0;
    let high = ordered.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = ordered[middle];
      if (other !== undefined && isBefore(other)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
  const place = (seen: Seen<T>) => placeIn(sorted, (other) => compare(other, seen) < 0);

  /** Those of one value, or all; in order. */
  function candidates(condition: [field: string, value: string] | undefined): readonly Seen<T>[] {
    if (condition === undefined) return order === undefined ? [...records.values()].sort(compare) : sorted;
    const ids = [...(indexes.get(condition[0])?.get(condition[1]) ?? [])];
    const all = ids.map((id) => records.get(id)).filter((seen) => seen !== undefined);
    return all.toSorted(compare);
  }

  function keep(seen: Seen<T>): void {
    records.set(seen.id, seen);
    if (order !== undefined) sorted.splice(place(seen), 0, seen);
    for (const [field, ids] of indexes) {
      const value = seen.record[field as keyof T];
      if (typeof value !== "string") continue;
      const set = ids.get(value);
      if (set === undefined) ids.set(value, new Set([seen.id]));
      else set.add(seen.id);
    }
  }

  function drop(id: string): void {
    const seen = records.get(id);
    if (seen === undefined) return;
    records.delete(id);
    if (order !== undefined) sorted.splice(place(seen), 1);
    for (const [field, ids] of indexes) {
      const value = seen.record[field as keyof T];
      if (typeof value !== "string") continue;
      const set = ids.get(value);
      if (set?.delete(id) && set.size === 0) ids.delete(value);
    }
  }

  function live(id: string): Seen<T> | undefined {
    const seen = records.get(id);
    return seen !== undefined && seen.expiresAt > clock.now() ? seen : undefined;
  }

  function remove(seen: Seen<T>): void {
    expiry.remove(seen.id, seen.expiresAt);
    drop(seen.id);
  }

  return {
    add(id, record, expiresAt) {
      const now = clock.now();
      expiry.sweep(now, drop);
      if (expiresAt <= now) return false;
      checkRecord(kind, id, record);
      const before = records.get(id);
      if (kind.once && (before !== undefined || expiresAt <= expiry.sweptUntil)) return false;
      if (before !== undefined) {
        if (before.expiresAt > now) return false;
        remove(before);
      }
      if (records.size >= capacity)
        throw new StoreFull(`The memory store holds ${capacity} of ${kind.name} and takes no more.`);
      expiry.add(id, expiresAt);
      keep({ id, version: now, expiresAt, record });
      return true;
    },

    get: live,

    replace(seen, record) {
      checkRecord(kind, seen.id, record);
      const current = live(seen.id);
      if (current === undefined || current.version !== seen.version) return false;
      const next = { ...current, version: current.version + 1, record };
      // What is not looked up or ordered by needs no search: the common case, on the hot path.
      if (order === undefined && by.every((field) => current.record[field] === record[field]))
        records.set(next.id, next);
      else {
        drop(current.id);
        keep(next);
      }
      return true;
    },

    take(id) {
      const seen = live(id);
      if (seen === undefined) return undefined;
      remove(seen);
      taken.tell(id);
      return seen.record;
    },

    takeAll(field, value) {
      conditionOf(kind, { [field]: value } as Record<keyof T & string, string>);
      const all = [...(indexes.get(field)?.get(value) ?? [])].map(live).filter((seen) => seen !== undefined);
      for (const seen of all) remove(seen);
      for (const { id } of all) taken.tell(id);
      return all;
    },

    find({ where, from = -Infinity, until = Infinity, newestFirst, most }) {
      const now = clock.now();
      expiry.sweep(now, drop);
      const among = candidates(conditionOf(kind, where));
      const first = placeIn(among, (other) => numberOf(other) < from);
      const end = placeIn(among, (other) => numberOf(other) <= until);
      // No more than is asked for is looked at: thousands may be due.
      const found: Seen<T>[] = [];
      for (let i = first; i < end && found.length < most; i++) {
        const seen = among[newestFirst ? first + end - 1 - i : i];
        if (seen !== undefined && seen.expiresAt > now) found.push(seen);
      }
      return found;
    },

    count() {
      expiry.sweep(clock.now(), drop);
      return records.size;
    },

    onTaken: taken.add,

    all: () => [...records.values()],
    put(seen) {
      expiry.add(seen.id, seen.expiresAt);
      keep(seen);
    },
    clear() {
      for (const seen of [...records.values()]) remove(seen);
      expiry.sweptUntil = Number.NEGATIVE_INFINITY;
    },
    get forgottenUntil() {
      return expiry.sweptUntil;
    },
    set forgottenUntil(until) {
      expiry.sweptUntil = until;
    },

    get size() {
      return records.size;
    },
  };
}
