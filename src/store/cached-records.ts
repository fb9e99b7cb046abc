import type { Clock } from "../clock.ts";
import { createRecencyMap } from "./memory/recency-map.ts";
import type { Records, Seen } from "./records.ts";

/**
 * How long a record may be answered for after the store was asked. With the sweep of open streams every second, a session
 * that ends elsewhere is gone within 5 s even when nobody tells of it.
 */
const CACHE_MS = 2_500;

export type CachedRecords<T> = Records<T> & {
  /** Forgets everything, for when ends may have gone by untold. */
  forgetAll(): void;
};

/** What the store has said of a record, or is being asked. */
type Entry<T> = {
  readonly id: string;
  readonly askedAt: number;
  /** Until it has said so. */
  answer: Promise<Seen<T> | undefined> | undefined;
  seen: Seen<T> | undefined;
  /** The record was taken meanwhile: whatever the store says, it is not there. */
  taken: boolean;
};

/**
 * Puts a short memory in front of records that are a round trip away, so that the hot path is answered at once.
 *
 * Only what the store has said is alive is kept, and only for {@link CACHE_MS} from the moment of asking: a record made on
 * another machine works at once, and a store that is away is not made up for any longer than that.
 */
export function cacheRecords<T extends object>(
  store: Records<T>,
  { clock, capacity = 10_000 }: { readonly clock: Clock; readonly capacity?: number },
): CachedRecords<T> {
  /** What whoever asks from now on is answered with. */
  let entries = createRecencyMap<Entry<T>>();
  const underWay = new Set<Entry<T>>();
  const drop = (id: string) => entries.delete(id);

  function forgetAll(): void {
    entries = createRecencyMap();
  }

  store.onTaken((id) => {
    drop(id);
    for (const entry of underWay) if (entry.id === id) entry.taken = true;
  });

  function alive(seen: Seen<T> | undefined): Seen<T> | undefined {
    return seen !== undefined && seen.expiresAt > clock.now() ? seen : undefined;
  }

  async function answerOf(entry: Entry<T>): Promise<Seen<T> | undefined> {
    const { id } = entry;
    try {
      const seen = await store.get(id);
      if (!entry.taken) entry.seen = seen;
      return alive(entry.seen);
    } finally {
      underWay.delete(entry);
      entry.answer = undefined;
      if (entry.seen === undefined && entries.get(id) === entry) drop(id);
    }
  }

  function ask(id: string): Promise<Seen<T> | undefined> {
    const entry: Entry<T> = {
      ...{ id, askedAt: clock.monotonic(), taken: false },
      ...{ answer: undefined, seen: undefined },
    };
    underWay.add(entry);
    entries.set(id, entry);
    const oldest = entries.oldest();
    if (entries.size > capacity && oldest !== undefined) drop(oldest.key);
    const answer = answerOf(entry);
    entry.answer = answer;
    return answer;
  }

  return {
    async add(id, record, expiresAt) {
      try {
        return await store.add(id, record, expiresAt);
      } finally {
        drop(id);
      }
    },

    get(id) {
      const entry = entries.get(id);
      if (entry === undefined || clock.monotonic() - entry.askedAt >= CACHE_MS) return ask(id);
      return entry.answer ?? alive(entry.seen);
    },

    async replace(seen, record, write) {
      const entry = entries.get(seen.id);
      // Before the store has answered: otherwise every request until then would write the same again.
      if (entry?.seen?.version === seen.version) entry.seen = { ...seen, version: seen.version + 1, record };
      // What is being asked may have been answered before.
      else if (entry?.answer !== undefined) drop(seen.id);
      const replaced = await store.replace(seen, record, write);
      if (!replaced) drop(seen.id);
      return replaced;
    },

    async take(id, write) {
      // Whether or not the answer arrives: it may be gone from here on.
      drop(id);
      return store.take(id, write);
    },

    async takeAll(field, value) {
      // All of them, rather than an index that every request would have to keep: this is rare.
      forgetAll();
      return store.takeAll(field, value);
    },

    find: (query) => store.find(query),

    count: () => store.count(),

    onTaken: (listener) => store.onTaken(listener),

    forgetAll,
  };
}
