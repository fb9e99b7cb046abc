import type { Clock } from "../clock.ts";
import { createRecencyMap } from "./memory/recency-map.ts";
import type { Records, Seen } from "./records.ts";

/**
 * How long a record may be answered for after the store was asked. With the sweep of open streams every 2 s, a session
 * that ends elsewhere is gone within 5 s even when nobody tells of it.
 */
const CACHE_MS = 2_500;

export type CachedRecords<T> = Records<T> & {
  /** Forgets everything, for when ends may have gone by untold. */
  forgetAll(): void;
};

/** A question to the store that is under way. */
type Fetch<T> = {
  readonly id: string;
  answer: Promise<Seen<T> | undefined> | undefined;
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
  const entries = createRecencyMap<{ seen: Seen<T>; readonly askedAt: number }>();
  /** Fetches that nothing has happened to since: others may share them, and their answers may be kept. */
  const shared = new Map<string, Fetch<T>>();
  const underWay = new Set<Fetch<T>>();

  /** For whoever asks from now on, neither what is kept nor what is being fetched will do. */
  function drop(id: string): void {
    entries.delete(id);
    shared.delete(id);
  }

  function forgetAll(): void {
    shared.clear();
    for (let oldest = entries.oldest(); oldest !== undefined; oldest = entries.oldest()) {
      entries.delete(oldest[0]);
    }
  }

  store.onTaken((id) => {
    drop(id);
    for (const fetch of underWay) if (fetch.id === id) fetch.taken = true;
  });

  function alive(seen: Seen<T> | undefined): Seen<T> | undefined {
    return seen !== undefined && seen.expiresAt > clock.now() ? seen : undefined;
  }

  async function ask(fetch: Fetch<T>): Promise<Seen<T> | undefined> {
    const { id } = fetch;
    const askedAt = clock.monotonic();
    try {
      const seen = await store.get(id);
      if (fetch.taken) return undefined;
      if (seen !== undefined && shared.get(id) === fetch) keep(seen, askedAt);
      return alive(seen);
    } finally {
      underWay.delete(fetch);
      if (shared.get(id) === fetch) shared.delete(id);
    }
  }

  function fetchOne(id: string): Promise<Seen<T> | undefined> {
    const fetch: Fetch<T> = { id, answer: undefined, taken: false };
    underWay.add(fetch);
    shared.set(id, fetch);
    const answer = ask(fetch);
    fetch.answer = answer;
    return answer;
  }

  function keep(seen: Seen<T>, askedAt: number): void {
    entries.set(seen.id, { seen, askedAt });
    const oldest = entries.oldest();
    if (entries.size > capacity && oldest !== undefined) entries.delete(oldest[0]);
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
      if (entry !== undefined) {
        if (clock.monotonic() - entry.askedAt < CACHE_MS) return alive(entry.seen);
        entries.delete(id);
      }
      return shared.get(id)?.answer ?? fetchOne(id);
    },

    async replace(seen, record, write) {
      // Before the store has answered: otherwise every request until then would write the same again.
      const entry = entries.get(seen.id);
      if (entry?.seen.version === seen.version) {
        entry.seen = { ...seen, version: seen.version + 1, record };
      }
      shared.delete(seen.id);
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

    onTaken: (listener) => store.onTaken(listener),

    forgetAll,
  };
}
