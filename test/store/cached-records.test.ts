import { beforeEach, describe, expect, test } from "bun:test";
import { type CachedRecords, cacheRecords } from "../../src/store/cached-records.ts";
import { createMemoryRecords } from "../../src/store/memory/records.ts";
import {
  createListeners,
  type Kind,
  type Records,
  type Seen,
  StoreUnavailable,
} from "../../src/store/records.ts";
import { type TestClock, testClock } from "../support/clock.ts";

type Thing = { readonly owner: string; readonly used: number };
const THING: Kind<Thing> = { name: "thing", by: ["owner"], cached: true };

/** Records a round trip away: each call reads or writes at once when it is let, and its answer arrives when that is let. */
type SlowRecords = Records<Thing> & {
  gets: number;
  replaces: number;
  away: boolean;
  /** While true, what `get` has read is not delivered. */
  holding: boolean;
  deliver(): Promise<void>;
  /** One is taken on another machine, which is told, or not. */
  takeElsewhere(id: string, tell: boolean): void;
};

const HOUR = 3_600_000;
let clock: TestClock;
let store: SlowRecords;
let things: CachedRecords<Thing>;

function createSlowRecords(): SlowRecords {
  const inner = createMemoryRecords(THING, clock);
  const taken = createListeners();
  let held: Array<() => void> = [];
  const reach = async () => {
    await undefined;
    if (slow.away) throw new StoreUnavailable("away");
  };
  const slow: SlowRecords = {
    gets: 0,
    replaces: 0,
    away: false,
    holding: false,
    async deliver() {
      slow.holding = false;
      for (const release of held) release();
      held = [];
      await turn();
    },
    takeElsewhere(id, told) {
      inner.take(id);
      if (told) taken.tell(id);
    },
    async add(id, record, expiresAt) {
      await reach();
      return inner.add(id, record, expiresAt);
    },
    async get(id) {
      slow.gets++;
      await reach();
      const seen = await inner.get(id);
      if (slow.holding) await new Promise<void>((resolve) => held.push(resolve));
      return seen;
    },
    async replace(seen, record) {
      slow.replaces++;
      await reach();
      return inner.replace(seen, record);
    },
    async take(id) {
      await reach();
      const record = await inner.take(id);
      if (record !== undefined) taken.tell(id);
      return record;
    },
    async takeAll(field, value) {
      await reach();
      const all = await inner.takeAll(field, value);
      for (const { id } of all) taken.tell(id);
      return all;
    },
    find: (query) => inner.find(query),
    count: () => inner.count(),
    onTaken: taken.add,
  };
  return slow;
}

/** Lets everything that is under way go as far as it can. */
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

const thing = (used = 0, owner = "ann"): Thing => ({ owner, used });
const add = async (id: string, { life = HOUR, owner = "ann" } = {}) =>
  expect(await store.add(id, thing(0, owner), clock.now() + life)).toBe(true);
async function seen(id: string): Promise<Seen<Thing>> {
  const found = await store.get(id);
  store.gets--;
  if (found === undefined) throw new Error(`no ${id}`);
  return found;
}

beforeEach(() => {
  clock = testClock();
  store = createSlowRecords();
  things = cacheRecords(store, { clock });
});

/** What is answered without asking the store, if anything is. */
function atOnce(id: string): Seen<Thing> | undefined | "asks" {
  const answer = things.get(id);
  if (!(answer instanceof Promise)) return answer;
  answer.catch(() => {});
  return "asks";
}

describe("cached records", () => {
  test("are fetched once, and then answered at once for 2.5 s from the asking", async () => {
    await add("a");
    const a = await seen("a");
    store.holding = true;
    const first = things.get("a");
    expect(first).toBeInstanceOf(Promise);
    await turn();
    clock.advance(1000);
    await store.deliver();
    expect(await first).toEqual(a);
    expect(atOnce("a")).toEqual(a);
    clock.advance(1499);
    expect(atOnce("a")).toEqual(a);
    expect(store.gets).toBe(1);
    clock.advance(1);
    expect(atOnce("a")).toBe("asks");
    await turn();
    expect(store.gets).toBe(2);
    expect(atOnce("a")).toEqual(a);
  });

  test("are fetched once for all who ask at the same time", async () => {
    await add("a");
    const found = await Promise.all(Array.from({ length: 100 }, () => things.get("a")));
    expect(found.every((one) => one?.id === "a")).toBe(true);
    expect(store.gets).toBe(1);
  });

  test("that are not there are asked for every time, so one from another machine works at once", async () => {
    expect(await things.get("a")).toBeUndefined();
    await add("a");
    expect(await things.get("a")).toMatchObject({ id: "a", record: thing() });
  });

  test("are not given once they have expired", async () => {
    await add("a", { life: 1000 });
    await things.get("a");
    clock.advance(999);
    expect(atOnce("a")).toMatchObject({ id: "a" });
    clock.advance(1);
    expect(atOnce("a")).toBeUndefined();
  });

  test("that expire while they are fetched are not given either", async () => {
    await add("a", { life: 1000 });
    store.holding = true;
    const found = things.get("a");
    await turn();
    clock.advance(1000);
    await store.deliver();
    expect(await found).toBeUndefined();
  });

  test("go on for their cache time while the store is away, and no longer", async () => {
    await add("a");
    await things.get("a");
    store.away = true;
    clock.advance(2499);
    expect(atOnce("a")).toMatchObject({ id: "a" });
    clock.advance(1);
    expect(async () => things.get("a")).toThrow(StoreUnavailable);
    await turn();
    expect(async () => things.get("a")).toThrow(StoreUnavailable);
    await turn();
    store.away = false;
    expect(await things.get("a")).toMatchObject({ id: "a" });
  });

  test("a failure is shared by those who asked with it, and forgotten", async () => {
    await add("a");
    store.away = true;
    const asked = [things.get("a"), things.get("a")];
    const outcomes = await Promise.allSettled(asked);
    expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(store.gets).toBe(1);
    store.away = false;
    expect(await things.get("a")).toMatchObject({ id: "a" });
  });

  test("a change shows at once, and is not written again by every request until it is done", async () => {
    await add("a");
    const first = await things.get("a");
    if (first === undefined) throw new Error("gone");
    const replaced = things.replace(first, thing(1), "light");
    expect(atOnce("a")).toMatchObject({ version: first.version + 1, record: thing(1) });
    expect(await replaced).toBe(true);
    // By somebody who saw it before that: not done, and what is kept is asked for again.
    expect(await things.replace(first, thing(2), "light")).toBe(false);
    expect(atOnce("a")).toBe("asks");
    await turn();
    expect(await things.get("a")).toMatchObject({ record: thing(1) });
    clock.advance(2500);
    expect(await things.get("a")).toMatchObject({ record: thing(1) });
  });

  test("a change that the store refuses shows no longer", async () => {
    await add("a");
    const first = await things.get("a");
    if (first === undefined) throw new Error("gone");
    expect(await store.replace(first, thing(5))).toBe(true);
    expect(await things.replace(first, thing(1), "light")).toBe(false);
    expect(await things.get("a")).toMatchObject({ record: thing(5) });
  });

  test("a change brings nothing into the cache", async () => {
    await add("a");
    await things.replace(await seen("a"), thing(1));
    expect(atOnce("a")).toBe("asks");
  });

  test("stay at their capacity, the one unused for longest going first", async () => {
    things = cacheRecords(store, { clock, capacity: 3 });
    for (const id of ["a", "b", "c", "d"]) await add(id);
    for (const id of ["a", "b", "c"]) await things.get(id);
    expect(atOnce("a")).toMatchObject({ id: "a" });
    await things.get("d");
    expect(["a", "c", "d"].map((id) => atOnce(id) !== "asks")).toEqual([true, true, true]);
    expect(atOnce("b")).toBe("asks");
  });

  test("tell listeners of an end after they have forgotten the session", async () => {
    await add("a");
    await things.get("a");
    const seen: unknown[] = [];
    things.onTaken((id) => seen.push(id, atOnce(id)));
    store.takeElsewhere("a", true);
    expect(seen).toEqual(["a", "asks"]);
    await turn();
    expect(await things.get("a")).toBeUndefined();
  });

  test("a store that answers at once will do", async () => {
    const inner = createMemoryRecords(THING, clock);
    things = cacheRecords(inner, { clock });
    await things.add("a", thing(), clock.now() + HOUR);
    expect(await things.get("a")).toMatchObject({ id: "a" });
    expect(atOnce("a")).toMatchObject({ id: "a" });
    inner.take("a");
    expect(await things.get("a")).toBeUndefined();
  });
});

describe("a record in the cache", () => {
  const changes: [string, () => unknown][] = [
    ["being taken", () => things.take("a")],
    ["an end elsewhere that is told of", () => store.takeElsewhere("a", true)],
    ["the end of all of its owner", () => things.takeAll("owner", "ann")],
    ["forgetting everything", () => things.forgetAll()],
    ["another one by the same id", () => things.add("a", thing(1), clock.now() + HOUR)],
  ];
  test.each(changes)("is asked for again after %s", async (_, change) => {
    await add("a");
    await things.get("a");
    await change();
    expect(atOnce("a")).toBe("asks");
    await turn();
    expect(await things.get("a")).toEqual(await store.get("a"));
  });

  test.each<[string, () => unknown]>([
    ["an end", () => things.take("a")],
    ["the end of all of its owner", () => things.takeAll("owner", "ann")],
  ])("is asked for again from the moment that %s is ordered, and if no answer comes", async (_, order) => {
    await add("a");
    await things.get("a");
    store.away = true;
    const ordered = order();
    expect(atOnce("a")).toBe("asks");
    expect(() => ordered).toThrow(StoreUnavailable);
    await turn();
    expect(atOnce("a")).toBe("asks");
  });

  test("whose end elsewhere nobody tells of is gone when its time is over", async () => {
    await add("a");
    await things.get("a");
    store.takeElsewhere("a", false);
    clock.advance(2499);
    expect(atOnce("a")).toMatchObject({ id: "a" });
    clock.advance(1);
    expect(await things.get("a")).toBeUndefined();
  });
});

/** What happens between the store's reading of a live record and the arrival of its answer. */
describe("while a record is being fetched", () => {
  test.each<[string, () => unknown, { asker: boolean; later: boolean }]>([
    ["nothing happens", () => {}, { asker: true, later: true }],
    ["it is ended", () => things.take("a"), { asker: false, later: false }],
    ["all of its owner are taken", () => things.takeAll("owner", "ann"), { asker: false, later: false }],
    ["its end elsewhere is told", () => store.takeElsewhere("a", true), { asker: false, later: false }],
    [
      "it is ended twice",
      async () => {
        store.takeElsewhere("a", true);
        await things.take("a");
      },
      { asker: false, later: false },
    ],
    [
      "it is ended, and made again by the same id",
      async () => {
        await things.take("a");
        await things.add("a", thing(), clock.now() + HOUR);
      },
      { asker: false, later: true },
    ],
    [
      "its end elsewhere goes by untold, and everything is forgotten",
      () => {
        store.takeElsewhere("a", false);
        things.forgetAll();
      },
      { asker: true, later: false },
    ],
    [
      "it is forgotten first, and then its end is told",
      () => {
        things.forgetAll();
        store.takeElsewhere("a", true);
      },
      { asker: false, later: false },
    ],
    [
      "it is touched, and then its end is told",
      async () => {
        store.holding = false;
        await things.replace(await seen("a"), thing(1), "light");
        store.takeElsewhere("a", true);
      },
      { asker: false, later: false },
    ],
    ["another one is ended", () => things.take("b"), { asker: true, later: true }],
  ])("and %s", async (_, meanwhile, { asker, later }) => {
    await add("a");
    await add("b", { owner: "bob" });
    store.holding = true;
    const asked = things.get("a");
    await turn();
    await meanwhile();
    await store.deliver();
    expect((await asked) !== undefined).toBe(asker);
    expect((await things.get("a")) !== undefined).toBe(later);
  });

  test("a change is not undone by the older answer", async () => {
    await add("a");
    const look = await seen("a");
    store.holding = true;
    const asked = things.get("a");
    await turn();
    await things.replace(look, thing(1));
    await store.deliver();
    expect((await asked)?.record.used).toBe(0);
    expect((await things.get("a"))?.record.used).toBe(1);
  });

  test("that is not there yet, it is made: who asks then finds it, and the older answer takes nothing away", async () => {
    store.holding = true;
    const asked = things.get("a");
    await turn();
    await things.add("a", thing(), clock.now() + HOUR);
    const then = things.get("a");
    await turn();
    await store.deliver();
    expect(await asked).toBeUndefined();
    expect(await then).toMatchObject({ id: "a" });
    expect(atOnce("a")).toMatchObject({ id: "a" });
  });

  test("and its end was ordered before, the answer that was read before the end is not kept", async () => {
    await add("a");
    // The order is on its way; the question overtakes it, and its answer comes last.
    store.holding = true;
    const ended = things.take("a");
    store.takeElsewhere("a", false);
    await ended;
    expect(atOnce("a")).toBe("asks");
    await store.deliver();
    expect(await things.get("a")).toBeUndefined();
  });
});
