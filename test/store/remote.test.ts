import { describe, expect, jest, test } from "bun:test";
import type { Clock } from "../../src/clock.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { type Kind, StoreFull, StoreUnavailable } from "../../src/store/records.ts";
import { createStoreClient, type StoreClient } from "../../src/store/remote/client.ts";
import type { StoreAnswer, StoreCall, StoreEvent } from "../../src/store/remote/messages.ts";
import { serveStore } from "../../src/store/remote/server.ts";
import type { Store } from "../../src/store/store.ts";
import { testClock } from "../support/clock.ts";
import { storeContract } from "./contract.ts";

/** A channel whose two ends are here: everything is copied as between processes, and arrives later and in order. */
function connect(store: Store, clock: Clock, others: Parameters<typeof serveStore>[1] = {}): StoreClient {
  const later = (deliver: () => void) => queueMicrotask(deliver);
  const toClient = (message: StoreAnswer | StoreEvent) => {
    const copy = structuredClone(message);
    later(() => client.receive(copy));
  };
  const answer = serveStore(store, others, toClient);
  const client = createStoreClient({
    clock,
    send(call: StoreCall) {
      const copy = structuredClone(call);
      later(() => void answer(copy).then(toClient));
    },
  });
  return client;
}

storeContract(
  "memory of another process",
  async (clock) => connect(createMemoryStore({ clock }), clock).store,
);

const HOUR = 3_600_000;
type Thing = { readonly owner: string };
const THING: Kind<Thing> = { name: "thing", by: ["owner"] };
const CACHED: Kind<Thing> = { name: "cached", by: ["owner"], cached: true };
const ONCE: Kind<object> = { name: "once", once: true };

describe("two processes that use the store of a third", () => {
  const clock = testClock();
  const kept = createMemoryStore({ clock });
  const [one, other] = [connect(kept, clock).store, connect(kept, clock).store];

  test("share what comes once: of 1,000 callers at both exactly one gets it", async () => {
    const added = await Promise.all(
      Array.from({ length: 1000 }, async (_, i) =>
        (i % 2 === 0 ? one : other).records(ONCE).add("t", {}, clock.now() + HOUR),
      ),
    );
    expect(added.filter(Boolean)).toHaveLength(1);
  });

  test("are told what the other takes, and find nothing any more, though it was found a moment ago", async () => {
    await one.records(CACHED).add("a", { owner: "o" }, clock.now() + HOUR);
    const told: string[] = [];
    other.records(CACHED).onTaken((id) => told.push(id));
    expect(await other.records(CACHED).get("a")).toBeDefined();
    expect(other.records(CACHED).get("a")).not.toBeInstanceOf(Promise);
    expect(await one.records(CACHED).take("a")).toEqual({ owner: "o" });
    expect(await other.records(CACHED).get("a")).toBeUndefined();
    expect(told).toEqual(["a"]);
  });
});

/** A client whose other end gets every call and says what the test says. */
function alone() {
  const calls: StoreCall[] = [];
  const client = createStoreClient({ clock: testClock(), send: (call) => void calls.push(call) });
  return { calls, client, store: client.store };
}

const SEEN = { id: "a", version: 1, expiresAt: 1, record: { owner: "o" } };
const ASKING: readonly [name: string, ask: (store: Store) => unknown][] = [
  ["add", ({ records }) => records(THING).add("a", { owner: "o" }, 1)],
  ["add once", ({ records }) => records(ONCE).add("a", {}, 1)],
  ["get", ({ records }) => records(THING).get("a")],
  ["get cached", ({ records }) => records(CACHED).get("a")],
  ["replace", ({ records }) => records(THING).replace(SEEN, { owner: "o" }, "light")],
  ["take", ({ records }) => records(THING).take("a")],
  ["takeAll", ({ records }) => records(THING).takeAll("owner", "o")],
  ["find", ({ records }) => records(THING).find({ most: 1 })],
  ["hit", ({ limits }) => limits.hit("a", { limit: 1, windowMs: 1 })],
  ["release", ({ limits }) => limits.release("a")],
  ["since", (store) => store.since()],
  ["ready", (store) => store.ready()],
];

/** What became of it, where it became something. */
async function outcome(asked: unknown): Promise<unknown> {
  try {
    return await asked;
  } catch (error) {
    return error;
  }
}

describe("an answer that never comes", () => {
  test("is given up after two seconds, and never counts as permission", async () => {
    jest.useFakeTimers();
    try {
      const { store, client, calls } = alone();
      const asked = ASKING.map(([, ask]) => outcome(ask(store)));
      // The cache asks a moment later.
      await Promise.resolve();
      jest.advanceTimersByTime(1_900);
      // And one asks to be told what is taken.
      expect(calls).toHaveLength(ASKING.length + 1);
      jest.advanceTimersByTime(200);
      for (const one of await Promise.all(asked)) expect(one).toBeInstanceOf(StoreUnavailable);
      // Late, and nobody waits any more.
      for (const { id } of calls) client.receive({ kind: "answer", id, value: true });
    } finally {
      jest.useRealTimers();
    }
  });
});

describe("a store in another process that is closed", () => {
  test("gives up what is under way, and what is asked afterwards", async () => {
    const { store, calls } = alone();
    const underway = ASKING.map(([, ask]) => outcome(ask(store)));
    await Promise.resolve();
    await store.close();
    const count = calls.length;
    const after = ASKING.map(([, ask]) => outcome(ask(store)));
    for (const one of await Promise.all([...underway, ...after]))
      expect(one).toBeInstanceOf(StoreUnavailable);
    expect(calls).toHaveLength(count);
  });
});

describe("the process that keeps the store", () => {
  const failing = (error: Error): Store => {
    const fail = () => {
      throw error;
    };
    const verbs = new Proxy({}, { get: (_, name) => (name === "onTaken" ? () => {} : fail) });
    return { records: () => verbs, limits: verbs, since: fail, ready: fail, close: fail } as unknown as Store;
  };

  test.each(ASKING)("that throws at %s makes the one that asked throw, with the reason", async (_, ask) => {
    for (const reason of [new StoreUnavailable("gone fishing"), new StoreFull("no more")]) {
      const answer = serveStore(failing(reason), {}, () => {});
      const client = createStoreClient({
        clock: testClock(),
        send: (call) => void answer(call).then((message) => client.receive(message)),
      });
      expect(await outcome(ask(client.store))).toEqual(reason);
    }
  });

  test.each([
    [THING, "onTaken"],
    [THING, "__proto__"],
    [THING, "constructor"],
    ["store", "close"],
    ["store", "records"],
    ["limits", "toString"],
    ["elsewhere", "get"],
    ["", ""],
  ])("refuses what nobody may call: %j %s", async (of, verb) => {
    const store = createMemoryStore({ clock: testClock() });
    const call = { kind: "call", id: 7, of, verb, args: [] } as const;
    expect(await serveStore(store, {}, () => {})(call as StoreCall)).toEqual({
      kind: "answer",
      id: 7,
      unavailable: `there is no ${verb}`,
    });
  });

  test("answers what else it keeps", async () => {
    const clock = testClock();
    const client = connect(createMemoryStore({ clock }), clock, { mailbox: { mails: () => ["a"] } });
    expect(await client.call("mailbox", "mails")).toEqual(["a"]);
    await expect(client.call("mailbox", "send")).rejects.toThrow(StoreUnavailable);
  });
});
