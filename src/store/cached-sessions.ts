import type { Clock } from "../clock.ts";
import type { SessionRecord, SessionStore } from "./contracts.ts";
import { createRecencyMap } from "./memory/recency-map.ts";

/**
 * How long a session may be answered for after the store was asked. With the sweep of open streams every 2 s, a session
 * that ends elsewhere is gone within 5 s even when nobody tells of it.
 */
const CACHE_MS = 2_500;

export type CachedSessions = SessionStore & {
  /** Forgets everything, for when ends may have gone by untold. */
  forgetAll(): void;
};

/** A question to the store that is under way. */
type Fetch = {
  readonly id: string;
  answer: Promise<SessionRecord | undefined> | undefined;
  /** The session has ended meanwhile: whatever the store says, it is not alive. */
  ended: boolean;
};

/**
 * Puts a short memory in front of sessions that are a round trip away, so that the hot path is answered at once.
 *
 * Only what the store has said is alive is kept, and only for {@link CACHE_MS} from the moment of asking: a session made on
 * another machine works at once, and a store that is away is not made up for any longer than that.
 */
export function cacheSessions(
  store: SessionStore,
  { clock, capacity = 10_000 }: { readonly clock: Clock; readonly capacity?: number },
): CachedSessions {
  const entries = createRecencyMap<{ record: SessionRecord; readonly askedAt: number }>();
  /** Fetches that nothing has happened to since: others may share them, and their answers may be kept. */
  const shared = new Map<string, Fetch>();
  const underWay = new Set<Fetch>();

  /** For whoever asks from now on, neither what is kept nor what is being fetched will do. */
  function drop(id: string): void {
    entries.delete(id);
    shared.delete(id);
  }

  function forgetAll(): void {
    shared.clear();
    for (let oldest = entries.oldest(); oldest !== undefined; oldest = entries.oldest()) {
      entries.delete(oldest.key);
    }
  }

  store.onEnded((id) => {
    drop(id);
    for (const fetch of underWay) if (fetch.id === id) fetch.ended = true;
  });

  function alive(record: SessionRecord | undefined): SessionRecord | undefined {
    return record !== undefined && record.expiresAt > clock.now() ? record : undefined;
  }

  async function ask(fetch: Fetch): Promise<SessionRecord | undefined> {
    const { id } = fetch;
    const askedAt = clock.monotonic();
    try {
      const record = await store.find(id);
      if (fetch.ended) return undefined;
      if (record !== undefined && shared.get(id) === fetch) keep(record, askedAt);
      return alive(record);
    } finally {
      underWay.delete(fetch);
      if (shared.get(id) === fetch) shared.delete(id);
    }
  }

  function fetchOne(id: string): Promise<SessionRecord | undefined> {
    const fetch: Fetch = { id, answer: undefined, ended: false };
    underWay.add(fetch);
    shared.set(id, fetch);
    const answer = ask(fetch);
    fetch.answer = answer;
    return answer;
  }

  function keep(record: SessionRecord, askedAt: number): void {
    entries.set(record.id, { record, askedAt });
    const oldest = entries.oldest();
    if (entries.size > capacity && oldest !== undefined) entries.delete(oldest.key);
  }

  return {
    async create(record) {
      try {
        await store.create(record);
      } finally {
        drop(record.id);
      }
    },

    find(id) {
      const entry = entries.get(id);
      if (entry !== undefined) {
        if (clock.monotonic() - entry.askedAt < CACHE_MS) return alive(entry.record);
        entries.delete(id);
      }
      return shared.get(id)?.answer ?? fetchOne(id);
    },

    async touch(record) {
      const { id, seenAt, seal } = record;
      // Before the store has answered: otherwise every request until then would write the same again.
      const entry = entries.get(id);
      if (entry !== undefined && entry.record.seenAt <= seenAt)
        entry.record = { ...entry.record, seenAt, seal };
      shared.delete(id);
      await store.touch(record);
    },

    async end(id) {
      // Whether or not the answer arrives: it may be ended from here on.
      drop(id);
      return store.end(id);
    },

    async endAll(email) {
      // All of them, rather than an index by address that every request would have to keep: this is rare.
      forgetAll();
      return store.endAll(email);
    },

    list: () => store.list(),
    note: (first) => store.note(first),

    onEnded: (listener) => store.onEnded(listener),

    forgetAll,
  };
}
