import type { OutboxEntry, OutboxStore } from "../contracts.ts";

/** An entry with its place among entries that are equal otherwise. */
type Waiting = { readonly entry: OutboxEntry; readonly order: number };

/**
 * Mails waiting to be sent, those that go first and the others, each in an array sorted by when they fall due: finding a
 * place is a binary search, and shifting what comes after it is a single move of memory at ten thousand.
 */
export function createMemoryOutbox(): OutboxStore {
  const byId = new Map<string, Waiting>();
  const goFirst: Waiting[] = [];
  const others: Waiting[] = [];
  let order = 0;

  const laneOf = (first: boolean) => (first ? goFirst : others);

  /** The index in its lane of the first entry that does not come before `waiting`. */
  function place(waiting: Waiting): number {
    const sorted = laneOf(waiting.entry.first);
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
    laneOf(waiting.entry.first).splice(place(waiting), 0, waiting);
  }

  function take(id: string): Waiting | undefined {
    const waiting = byId.get(id);
    if (waiting === undefined) return undefined;
    byId.delete(id);
    laneOf(waiting.entry.first).splice(place(waiting), 1);
    return waiting;
  }

  /** Replaces the entry of the same id, which moves to its new place. */
  function change(entry: OutboxEntry): void {
    const waiting = take(entry.id);
    if (waiting !== undefined) insert({ entry, order: waiting.order });
  }

  return {
    add(entry, capacity) {
      // The same mail again, from a caller who did not hear the first answer: it is queued.
      if (byId.has(entry.id)) return true;
      if (byId.size >= capacity) return false;
      insert({ entry, order: order++ });
      return true;
    },

    claim(first, now, until, most) {
      const due: OutboxEntry[] = [];
      for (const { entry } of laneOf(first)) {
        if (entry.nextAttemptAt > now || due.length >= most) break;
        due.push(entry);
      }
      return due.map((entry) => {
        const claimed = { ...entry, attempts: entry.attempts + 1, nextAttemptAt: until };
        change(claimed);
        return claimed;
      });
    },

    nextDue() {
      const next = Math.min(...[goFirst, others].flatMap(([waiting]) => waiting?.entry.nextAttemptAt ?? []));
      return Number.isFinite(next) ? next : undefined;
    },

    postpone(id, nextAttemptAt, attempts) {
      const waiting = byId.get(id);
      if (waiting !== undefined) change({ ...waiting.entry, nextAttemptAt, attempts });
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
