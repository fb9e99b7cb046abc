import type { Clock } from "../../clock.ts";
import { type SessionRecord, type SessionStore, StoreUnavailable } from "../contracts.ts";
import { createExpiryBuckets } from "./expiry.ts";

const BUCKET_MS = 60_000;

/**
 * Sessions by id, with an index by address. A session past its absolute end is gone to every caller at that
 * millisecond, and out of memory within a minute of it.
 */
export function createMemorySessions(
  clock: Clock,
  capacity = 1_000_000,
): SessionStore & { readonly size: number } {
  const records = new Map<string, SessionRecord>();
  const idsByEmail = new Map<string, Set<string>>();
  const expiry = createExpiryBuckets(BUCKET_MS);
  const listeners: Array<(id: string) => void> = [];
  let left: string | undefined;

  function live(id: string): SessionRecord | undefined {
    const record = records.get(id);
    return record !== undefined && record.expiresAt > clock.now() ? record : undefined;
  }

  function drop(id: string): void {
    const record = records.get(id);
    if (record === undefined) return;
    records.delete(id);
    expiry.remove(id, record.expiresAt);
    const ids = idsByEmail.get(record.email);
    if (ids?.delete(id) && ids.size === 0) idsByEmail.delete(record.email);
  }

  function ended(id: string): void {
    for (const listener of listeners) listener(id);
  }

  return {
    create(record) {
      expiry.sweep(clock.now(), drop);
      drop(record.id);
      if (records.size >= capacity) {
        throw new StoreUnavailable(`The memory store holds ${capacity} sessions and takes no more.`);
      }
      records.set(record.id, record);
      expiry.add(record.id, record.expiresAt);
      const ids = idsByEmail.get(record.email);
      if (ids === undefined) idsByEmail.set(record.email, new Set([record.id]));
      else ids.add(record.id);
    },

    find: live,

    touch({ id, seenAt, seal }) {
      const record = live(id);
      if (record !== undefined && record.seenAt <= seenAt) records.set(id, { ...record, seenAt, seal });
    },

    end(id) {
      const existed = live(id) !== undefined;
      drop(id);
      if (existed) ended(id);
      return existed;
    },

    endAll(email) {
      const ids = [...(idsByEmail.get(email) ?? [])];
      const wereLive = ids.filter((id) => live(id) !== undefined);
      for (const id of ids) drop(id);
      for (const id of wereLive) ended(id);
      return wereLive;
    },

    list() {
      expiry.sweep(clock.now(), drop);
      const now = clock.now();
      return [...records.values()]
        .filter((record) => record.expiresAt > now)
        .sort((a, b) => a.createdAt - b.createdAt);
    },

    note(first) {
      left ??= first;
      return left;
    },

    onEnded: (listener) => {
      listeners.push(listener);
    },

    get size() {
      return records.size;
    },
  };
}
