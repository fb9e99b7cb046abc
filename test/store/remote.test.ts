import { describe, expect, jest, test } from "bun:test";
import type { Clock } from "../../src/clock.ts";
import { type Stores, StoreUnavailable } from "../../src/store/contracts.ts";
import { createMemoryStores } from "../../src/store/memory.ts";
import { createGuestStores, type GuestStores } from "../../src/store/remote/guest.ts";
import { hostStores } from "../../src/store/remote/host.ts";
import type { StoreAnswer, StoreCall, StoreEvent } from "../../src/store/remote/messages.ts";
import { createTestClock, storeContract } from "./contract.ts";
import { recordsContract } from "./records-contract.ts";

/** A channel whose two ends are here: everything is copied as between processes, and arrives later and in order. */
function connect(host: Stores, clock: Clock, others: Parameters<typeof hostStores>[1] = {}): GuestStores {
  const later = (deliver: () => void) => queueMicrotask(deliver);
  const toGuest = (message: StoreAnswer | StoreEvent) => {
    const copy = structuredClone(message);
    later(() => guest.receive(copy));
  };
  const answer = hostStores(host, others, toGuest);
  const guest = createGuestStores({
    clock,
    send(call: StoreCall) {
      const copy = structuredClone(call);
      later(() => void answer(copy).then(toGuest));
    },
  });
  host.sessions.onEnded((session) => toGuest({ kind: "ended", session }));
  return guest;
}

storeContract(
  "memory of another process",
  async (clock) => connect(createMemoryStores({ clock }), clock).stores,
);
recordsContract(
  "memory of another process",
  async (clock) => connect(createMemoryStores({ clock }), clock).stores,
);

const HOUR = 3_600_000;
const session = (id: string, clock: Clock) => ({
  id,
  email: "ann@example.org",
  createdAt: clock.now(),
  expiresAt: clock.now() + HOUR,
  seenAt: clock.now(),
  ip: "192.0.2.7",
  userAgent: "test",
  seal: "s",
});

describe("two guests of one host", () => {
  const clock = createTestClock();
  const host = createMemoryStores({ clock });
  const [one, other] = [connect(host, clock).stores, connect(host, clock).stores];

  test("share what is spent: of 1,000 callers at both exactly one gets it", async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 1000 }, (_, i) =>
        (i % 2 === 0 ? one : other).tickets.spend("t", clock.now() + HOUR),
      ),
    );
    expect(outcomes.filter((outcome) => outcome === "fresh")).toHaveLength(1);
    expect(outcomes.filter((outcome) => outcome === "spent")).toHaveLength(999);
  });

  test("are told of an end at the other, and find nothing any more, though it was found a moment ago", async () => {
    await one.sessions.create(session("a", clock));
    expect(await other.sessions.find("a")).toBeDefined();
    const told: string[] = [];
    other.sessions.onEnded((id) => void told.push(id));
    expect(await one.sessions.end("a")).toBe(true);
    expect(await other.sessions.find("a")).toBeUndefined();
    expect(told).toEqual(["a"]);
  });
});

/** A guest whose host gets every call and says what the test says. */
function alone() {
  const calls: StoreCall[] = [];
  const guest = createGuestStores({ clock: createTestClock(), send: (call) => void calls.push(call) });
  return { calls, guest, stores: guest.stores };
}

/** Every method but `spend`, which has a word of its own for it. */
const ASKING: readonly [name: string, ask: (stores: Stores) => unknown][] = [
  ["isSpent", ({ tickets }) => tickets.isSpent("a")],
  ["since", ({ tickets }) => tickets.since()],
  ["create", ({ sessions }) => sessions.create(session("a", createTestClock()))],
  ["find", ({ sessions }) => sessions.find("a")],
  ["touch", ({ sessions }) => sessions.touch(session("a", createTestClock()))],
  ["end", ({ sessions }) => sessions.end("a")],
  ["endAll", ({ sessions }) => sessions.endAll("a")],
  ["list", ({ sessions }) => sessions.list()],
  ["note", ({ sessions }) => sessions.note("a")],
  ["hit", ({ limits }) => limits.hit("a", { limit: 1, windowMs: 1 })],
  ["release", ({ limits }) => limits.release("a")],
  ["add", ({ outbox }) => outbox.add({} as never, 1)],
  ["claim", ({ outbox }) => outbox.claim(false, 0, 1, 1)],
  ["nextDue", ({ outbox }) => outbox.nextDue()],
  ["postpone", ({ outbox }) => outbox.postpone("a", 1, 1)],
  ["remove", ({ outbox }) => outbox.remove("a")],
  ["ready", (stores) => stores.ready()],
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
      const { stores, guest, calls } = alone();
      const asked = ASKING.map(([, ask]) => outcome(ask(stores)));
      const spent = stores.tickets.spend("a", 1);
      // The cache asks a moment later.
      await Promise.resolve();
      jest.advanceTimersByTime(1_900);
      expect(calls).toHaveLength(ASKING.length + 1);
      jest.advanceTimersByTime(200);
      for (const one of await Promise.all(asked)) expect(one).toBeInstanceOf(StoreUnavailable);
      expect(await spent).toBe("unavailable");
      // Late, and nobody waits any more.
      for (const { id } of calls) guest.receive({ kind: "answer", id, value: "fresh" });
    } finally {
      jest.useRealTimers();
    }
  });
});

describe("a guest that is closed", () => {
  test("gives up what is under way, and what is asked afterwards", async () => {
    const { stores, calls } = alone();
    const underway = ASKING.map(([, ask]) => outcome(ask(stores)));
    const spent = stores.tickets.spend("a", 1);
    await Promise.resolve();
    await stores.close();
    const count = calls.length;
    const after = ASKING.map(([, ask]) => outcome(ask(stores)));
    for (const one of await Promise.all([...underway, ...after]))
      expect(one).toBeInstanceOf(StoreUnavailable);
    expect([await spent, await stores.tickets.spend("b", 1)]).toEqual(["unavailable", "unavailable"]);
    expect(calls).toHaveLength(count);
  });
});

describe("a host", () => {
  const broken = new Proxy({} as Stores, {
    get: (_, name) =>
      name === "ready"
        ? () => {
            throw new StoreUnavailable("gone fishing");
          }
        : new Proxy(
            {},
            {
              get: () => () => {
                throw new StoreUnavailable("gone fishing");
              },
            },
          ),
  });

  test.each(ASKING)("that throws at %s makes the guest throw, with the reason", async (_, ask) => {
    const answer = hostStores(broken, {}, () => {});
    const guest = createGuestStores({
      clock: createTestClock(),
      send: (call) => void answer(call).then((message) => guest.receive(message)),
    });
    const error = await outcome(ask(guest.stores));
    expect(error).toBeInstanceOf(StoreUnavailable);
    expect((error as Error).message).toBe("gone fishing");
    expect(await guest.stores.tickets.spend("a", 1)).toBe("unavailable");
  });

  test.each(["sessions.onEnded", "close", "sessions.__proto__", "constructor", ""])(
    "refuses what is none of the methods: %p",
    async (method) => {
      const host = createMemoryStores({ clock: createTestClock() });
      const answer = await hostStores(host, {}, () => {})({ kind: "call", id: 7, method, args: [] });
      expect(answer).toEqual({ kind: "answer", id: 7, unavailable: `there is no ${method}` });
    },
  );

  test("answers what else it keeps", async () => {
    const clock = createTestClock();
    const guest = connect(createMemoryStores({ clock }), clock, { "mailbox.mails": () => ["a"] });
    expect(await guest.call("mailbox.mails")).toEqual(["a"]);
    await expect(guest.call("mailbox.send")).rejects.toThrow(StoreUnavailable);
  });
});
