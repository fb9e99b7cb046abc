import type { OutboxEntry, OutboxStore } from "../contracts.ts";

/** An entry with its place among entries that are equal otherwise. */
type Waiting = { readonly entry: OutboxEntry; readonly order: number };

/**
 * Mails waiting to be sent, in one array sorted by when they fall due: finding a place is a binary search, and shifting
 * what comes after it is a single move of memory at this capacity.
 */
export function createMemoryOutbox(capacity = 10_000): OutboxStore {
  const byId = new Map<string, Waiting>();
  const sorted: Waiting[] = [];
  let order = 0;

  /** The index of the first entry that does not come before `waiting`. */
  function place(waiting: Waiting): number {
    let low = 0;
    let high = sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = sorted[middle];
      if (other !== undefined && compare(other, waiting) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  function insert(waiting: Waiting): void {
    byId.set(waiting.entry.id, waiting);
    sorted.splice(place(waiting), 0, waiting);
  }

  function take(id: string): Waiting | undefined {
    const waiting = byId.get(id);
    if (waiting === undefined) return undefined;
    byId.delete(id);
    sorted.splice(place(waiting), 1);
    return waiting;
  }

  /** Replaces the entry of the same id, which moves to its new place. */
  function change(entry: OutboxEntry): void {
    const waiting = take(entry.id);
    if (waiting !== undefined) insert({ entry, order: waiting.order });
  }

  return {
    add(entry) {
      // The same mail again, from a caller who did not hear the first answer: it is queued.
      if (byId.has(entry.id)) return true;
      if (sorted.length >= capacity) return false;
      insert({ entry, order: order++ });
      return true;
    },

    claim(now, until, most) {
      const due: OutboxEntry[] = [];
      for (const { entry } of sorted) {
        if (entry.nextAttemptAt > now || due.length >= most) break;
        due.push(entry);
      }
      return due.map((entry) => {
        const claimed = { ...entry, attempts: entry.attempts + 1, nextAttemptAt: until };
        change(claimed);
        return claimed;
      });
    },

    nextDue: () => sorted[0]?.entry.nextAttemptAt,

    postpone(id, nextAttemptAt) {
      const waiting = byId.get(id);
      if (waiting !== undefined) change({ ...waiting.entry, nextAttemptAt });
    },

    remove(id) {
      take(id);
    },
  };
}

function compare(a: Waiting, b: Waiting): number {
  return (
    a.entry.nextAttemptAt - b.entry.nextAttemptAt || a.entry.queuedAt - b.entry.queuedAt || a.order - b.order
  );
}
