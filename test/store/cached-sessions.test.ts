import { beforeEach, describe, expect, test } from "bun:test";
import { type CachedSessions, cacheSessions } from "../../src/store/cached-sessions.ts";
import { type SessionRecord, type SessionStore, StoreUnavailable } from "../../src/store/contracts.ts";
import { createMemorySessions } from "../../src/store/memory/sessions.ts";
import { createTestClock, type TestClock } from "./contract.ts";

/** A store a round trip away: each call reads or writes at once when it is let, and its answer arrives when that is let. */
type SlowStore = SessionStore & {
  finds: number;
  touches: number;
  away: boolean;
  /** While true, what `find` has read is not delivered. */
  holding: boolean;
  deliver(): Promise<void>;
  /** An end on another machine, which is told of, or not. */
  endElsewhere(id: string, tell: boolean): void;
};

const HOUR = 3_600_000;
let clock: TestClock;
let store: SlowStore;
let sessions: CachedSessions;

function createSlowStore(): SlowStore {
  const inner = createMemorySessions(clock);
  const listeners: Array<(id: string) => void> = [];
  let held: Array<() => void> = [];
  const tell = (id: string) => {
    for (const listener of listeners) listener(id);
  };
  const reach = async () => {
    await undefined;
    if (slow.away) throw new StoreUnavailable("away");
  };
  const slow: SlowStore = {
    finds: 0,
    touches: 0,
    away: false,
    holding: false,
    async deliver() {
      slow.holding = false;
      for (const release of held) release();
      held = [];
      await turn();
    },
    endElsewhere(id, told) {
      inner.end(id);
      if (told) tell(id);
    },
    async create(record) {
      await reach();
      await inner.create(record);
    },
    async find(id) {
      slow.finds++;
      await reach();
      const record = await inner.find(id);
      if (slow.holding) await new Promise<void>((resolve) => held.push(resolve));
      return record;
    },
    async touch(record) {
      slow.touches++;
      await reach();
      await inner.touch(record);
    },
    async end(id) {
      await reach();
      const was = await inner.end(id);
      if (was) tell(id);
      return was;
    },
    async endAll(email) {
      await reach();
      const ids = await inner.endAll(email);
      for (const id of ids) tell(id);
      return ids;
    },
    async list() {
      await reach();
      return inner.list();
    },
    note: (first) => inner.note(first),
    onEnded: (listener) => {
      listeners.push(listener);
    },
  };
  return slow;
}

/** Lets everything that is under way go as far as it can. */
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

function record(id: string, changes: Partial<SessionRecord> = {}): SessionRecord {
  const now = clock.now();
  const times = { createdAt: now, expiresAt: now + HOUR, seenAt: now };
  return {
    id,
    email: "ann@example.org",
    ...times,
    ip: "192.0.2.7",
    userAgent: "test",
    seal: "s",
    ...changes,
  };
}

beforeEach(() => {
  clock = createTestClock();
  store = createSlowStore();
  sessions = cacheSessions(store, { clock });
});

/** What is answered without asking the store, if anything is. */
function atOnce(id: string): SessionRecord | undefined | "asks" {
  const answer = sessions.find(id);
  if (!(answer instanceof Promise)) return answer;
  answer.catch(() => {});
  return "asks";
}

describe("cached sessions", () => {
  test("are fetched once, and then answered at once for 2.5 s from the asking", async () => {
    const session = record("a");
    await store.create(session);
    store.holding = true;
    const first = sessions.find("a");
    expect(first).toBeInstanceOf(Promise);
    await turn();
    clock.advance(1000);
    await store.deliver();
    expect(await first).toEqual(session);
    expect(atOnce("a")).toEqual(session);
    clock.advance(1499);
    expect(atOnce("a")).toEqual(session);
    expect(store.finds).toBe(1);
    clock.advance(1);
    expect(atOnce("a")).toBe("asks");
    await turn();
    expect(store.finds).toBe(2);
    expect(atOnce("a")).toEqual(session);
  });

  test("are fetched once for all who ask at the same time", async () => {
    await store.create(record("a"));
    const found = await Promise.all(Array.from({ length: 100 }, () => sessions.find("a")));
    expect(found.every((one) => one?.id === "a")).toBe(true);
    expect(store.finds).toBe(1);
  });

  test("that are not there are asked for every time, so one from another machine works at once", async () => {
    expect(await sessions.find("a")).toBeUndefined();
    await store.create(record("a"));
    expect(await sessions.find("a")).toEqual(record("a"));
  });

  test("are not given once they have expired", async () => {
    await store.create(record("a", { expiresAt: clock.now() + 1000 }));
    await sessions.find("a");
    clock.advance(999);
    expect(atOnce("a")).toMatchObject({ id: "a" });
    clock.advance(1);
    expect(atOnce("a")).toBeUndefined();
  });

  test("that expire while they are fetched are not given either", async () => {
    await store.create(record("a", { expiresAt: clock.now() + 1000 }));
    store.holding = true;
    const found = sessions.find("a");
    await turn();
    clock.advance(1000);
    await store.deliver();
    expect(await found).toBeUndefined();
  });

  test("go on for their cache time while the store is away, and no longer", async () => {
    await store.create(record("a"));
    await sessions.find("a");
    store.away = true;
    clock.advance(2499);
    expect(atOnce("a")).toMatchObject({ id: "a" });
    clock.advance(1);
    expect(async () => sessions.find("a")).toThrow(StoreUnavailable);
    await turn();
    expect(async () => sessions.find("a")).toThrow(StoreUnavailable);
    await turn();
    store.away = false;
    expect(await sessions.find("a")).toMatchObject({ id: "a" });
  });

  test("a failure is shared by those who asked with it, and forgotten", async () => {
    await store.create(record("a"));
    store.away = true;
    const asked = [sessions.find("a"), sessions.find("a")];
    const outcomes = await Promise.allSettled(asked);
    expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(store.finds).toBe(1);
    store.away = false;
    expect(await sessions.find("a")).toMatchObject({ id: "a" });
  });

  test("a touch shows at once, and is not written again by every request until it is done", async () => {
    const session = record("a");
    await store.create(session);
    await sessions.find("a");
    const later = session.seenAt + 60_000;
    const touched = sessions.touch(record("a", { seenAt: later, seal: "later" }));
    expect(atOnce("a")).toEqual({ ...session, seenAt: later, seal: "later" });
    await touched;
    await sessions.touch(record("a", { seenAt: later - 1, seal: "later" }));
    expect(atOnce("a")).toEqual({ ...session, seenAt: later, seal: "later" });
    clock.advance(2500);
    expect(await sessions.find("a")).toEqual({ ...session, seenAt: later, seal: "later" });
  });

  test("a touch brings nothing into the cache", async () => {
    await store.create(record("a"));
    await sessions.touch(record("a", { seenAt: clock.now() + 1, seal: "later" }));
    expect(atOnce("a")).toBe("asks");
  });

  test("stay at their capacity, the one unused for longest going first", async () => {
    sessions = cacheSessions(store, { clock, capacity: 3 });
    for (const id of ["a", "b", "c", "d"]) await store.create(record(id));
    for (const id of ["a", "b", "c"]) await sessions.find(id);
    expect(atOnce("a")).toMatchObject({ id: "a" });
    await sessions.find("d");
    expect(["a", "c", "d"].map((id) => atOnce(id) !== "asks")).toEqual([true, true, true]);
    expect(atOnce("b")).toBe("asks");
  });

  test("tell listeners of an end after they have forgotten the session", async () => {
    await store.create(record("a"));
    await sessions.find("a");
    const seen: unknown[] = [];
    sessions.onEnded((id) => seen.push(id, atOnce(id)));
    store.endElsewhere("a", true);
    expect(seen).toEqual(["a", "asks"]);
    await turn();
    expect(await sessions.find("a")).toBeUndefined();
  });

  test("a store that answers at once will do", async () => {
    const inner = createMemorySessions(clock);
    sessions = cacheSessions(inner, { clock });
    await sessions.create(record("a"));
    expect(await sessions.find("a")).toMatchObject({ id: "a" });
    expect(atOnce("a")).toMatchObject({ id: "a" });
    inner.end("a");
    expect(await sessions.find("a")).toBeUndefined();
  });
});

describe("a session in the cache", () => {
  const changes: [string, () => unknown][] = [
    ["an end of one's own", () => sessions.end("a")],
    ["an end elsewhere that is told of", () => store.endElsewhere("a", true)],
    ["the end of all of its address", () => sessions.endAll("ann@example.org")],
    ["forgetting everything", () => sessions.forgetAll()],
    ["another one by the same id", () => sessions.create(record("a", { ip: "192.0.2.8" }))],
  ];
  test.each(changes)("is asked for again after %s", async (_, change) => {
    await store.create(record("a"));
    await sessions.find("a");
    await change();
    expect(atOnce("a")).toBe("asks");
    await turn();
    expect((await sessions.find("a"))?.ip).toBe((await store.find("a"))?.ip);
  });

  test.each<[string, () => unknown]>([
    ["an end", () => sessions.end("a")],
    ["the end of all of its address", () => sessions.endAll("ann@example.org")],
  ])("is asked for again from the moment that %s is ordered, and if no answer comes", async (_, order) => {
    await store.create(record("a"));
    await sessions.find("a");
    store.away = true;
    const ordered = order();
    expect(atOnce("a")).toBe("asks");
    expect(() => ordered).toThrow(StoreUnavailable);
    await turn();
    expect(atOnce("a")).toBe("asks");
  });

  test("whose end elsewhere nobody tells of is gone when its time is over", async () => {
    await store.create(record("a"));
    await sessions.find("a");
    store.endElsewhere("a", false);
    clock.advance(2499);
    expect(atOnce("a")).toMatchObject({ id: "a" });
    clock.advance(1);
    expect(await sessions.find("a")).toBeUndefined();
  });
});

/** What happens between the store's reading of a live session and the arrival of its answer. */
describe("while a session is being fetched", () => {
  test.each<[string, () => unknown, { asker: boolean; later: boolean }]>([
    ["nothing happens", () => {}, { asker: true, later: true }],
    ["it is ended", () => sessions.end("a"), { asker: false, later: false }],
    [
      "all of its address are ended",
      () => sessions.endAll("ann@example.org"),
      { asker: false, later: false },
    ],
    ["its end elsewhere is told", () => store.endElsewhere("a", true), { asker: false, later: false }],
    [
      "it is ended twice",
      async () => {
        store.endElsewhere("a", true);
        await sessions.end("a");
      },
      { asker: false, later: false },
    ],
    [
      "it is ended, and made again by the same id",
      async () => {
        await sessions.end("a");
        await sessions.create(record("a"));
      },
      { asker: false, later: true },
    ],
    [
      "its end elsewhere goes by untold, and everything is forgotten",
      () => {
        store.endElsewhere("a", false);
        sessions.forgetAll();
      },
      { asker: true, later: false },
    ],
    [
      "it is forgotten first, and then its end is told",
      () => {
        sessions.forgetAll();
        store.endElsewhere("a", true);
      },
      { asker: false, later: false },
    ],
    [
      "it is touched, and then its end is told",
      async () => {
        await sessions.touch(record("a", { seenAt: clock.now() + 1, seal: "later" }));
        store.endElsewhere("a", true);
      },
      { asker: false, later: false },
    ],
    ["another one is ended", () => sessions.end("b"), { asker: true, later: true }],
  ])("and %s", async (_, meanwhile, { asker, later }) => {
    await store.create(record("a"));
    await store.create(record("b", { email: "bob@example.org" }));
    store.holding = true;
    const asked = sessions.find("a");
    await turn();
    await meanwhile();
    await store.deliver();
    expect((await asked) !== undefined).toBe(asker);
    expect((await sessions.find("a")) !== undefined).toBe(later);
  });

  test("a touch is not undone by the older answer", async () => {
    const session = record("a");
    await store.create(session);
    store.holding = true;
    const asked = sessions.find("a");
    await turn();
    await sessions.touch(record("a", { seenAt: session.seenAt + 1, seal: "later" }));
    await store.deliver();
    expect((await asked)?.seenAt).toBe(session.seenAt);
    expect((await sessions.find("a"))?.seenAt).toBe(session.seenAt + 1);
  });

  test("that is not there yet, it is made: who asks then finds it, and the older answer takes nothing away", async () => {
    store.holding = true;
    const asked = sessions.find("a");
    await turn();
    await sessions.create(record("a"));
    const then = sessions.find("a");
    await turn();
    await store.deliver();
    expect(await asked).toBeUndefined();
    expect(await then).toMatchObject({ id: "a" });
    expect(atOnce("a")).toMatchObject({ id: "a" });
  });

  test("and its end was ordered before, the answer that was read before the end is not kept", async () => {
    await store.create(record("a"));
    // The order is on its way; the question overtakes it, and its answer comes last.
    store.holding = true;
    const ended = sessions.end("a");
    store.endElsewhere("a", false);
    await ended;
    expect(atOnce("a")).toBe("asks");
    await store.deliver();
    expect(await sessions.find("a")).toBeUndefined();
  });
});
