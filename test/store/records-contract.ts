import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Clock } from "../../src/clock.ts";
import {
  FOREVER,
  type Kind,
  type RecordStore,
  type Records,
  type Seen,
  StoreFull,
} from "../../src/store/records.ts";
import { type TestClock, testClock } from "../support/clock.ts";

/** A kind of the suite's own: the rooms' kinds are tested where they are used. */
type Thing = { readonly owner: string; readonly at: number; readonly note?: string };

const THING: Kind<Thing> = { name: "test_thing", by: ["owner"], order: "at" };
const FEW: Kind<Thing> = { name: "test_few", by: ["owner"], order: "at", capacity: 3 };
const ONCE: Kind<{ readonly by?: string }> = { name: "test_once", once: true };
const PLAIN: Kind<Thing> = { name: "test_plain", by: ["owner"] };

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const thing = (owner: string, at = 1): Thing => ({ owner, at });
const ids = (all: readonly Seen<unknown>[]) => all.map(({ id }) => id);

/**
 * What every back-end must do with records. Time is the injected clock's alone, and every answer is awaited, so the same cases
 * hold in memory, in a file, on a server, and in another process.
 * @param open gives an empty store that reads `clock`; the suite closes it.
 */
export function recordsContract(
  name: string,
  open: (clock: Clock) => Promise<RecordStore & { close(): unknown }>,
): void {
  describe(`${name} keeps the records contract`, () => {
    let clock: TestClock;
    let store: RecordStore & { close(): unknown };
    let things: Records<Thing>;
    let end: number;
    beforeEach(async () => {
      clock = testClock();
      store = await open(clock);
      things = store.records(THING);
      end = clock.now() + HOUR;
    });
    afterEach(async () => {
      await store.close();
    });
    const seen = async (id: string) => {
      const found = await things.get(id);
      if (found === undefined) throw new Error(`no ${id}`);
      return found;
    };

    test("what was added is found as it was, until its millisecond", async () => {
      const record = { owner: 'ä "quoted" \\ \u{1f600}', at: 1.5, note: "two\nlines" };
      expect(await things.get("a")).toBeUndefined();
      expect(await things.add("a", record, end)).toBe(true);
      expect(await things.get("a")).toMatchObject({ id: "a", expiresAt: end, record });
      clock.advance(HOUR - 1);
      expect((await things.get("a"))?.record).toEqual(record);
      clock.advance(1);
      expect(await things.get("a")).toBeUndefined();
      expect(await things.find({ most: 10 })).toEqual([]);
      expect(await things.find({ where: { owner: record.owner }, most: 10 })).toEqual([]);
      expect(await things.take("a")).toBeUndefined();
      expect(await things.takeAll("owner", record.owner)).toEqual([]);
    });

    test("of 1,000 who add the same id together one does, and it is the one that is kept", async () => {
      const added = await Promise.all(
        Array.from({ length: 1000 }, async (_, i) => things.add("a", thing("o", i), end)),
      );
      const winners = added.flatMap((won, i) => (won ? [i] : []));
      expect(winners.length).toBe(1);
      expect((await seen("a")).record.at).toBe(winners[0] as number);
    });

    test("an id is free again once its record was taken or has expired, and what has expired already is not added", async () => {
      expect(await things.add("a", thing("o"), clock.now())).toBe(false);
      expect(await things.add("a", thing("o"), clock.now() + MINUTE)).toBe(true);
      expect(await things.add("a", thing("p"), end)).toBe(false);
      clock.advance(MINUTE);
      expect(await things.add("a", thing("p"), end)).toBe(true);
      expect((await seen("a")).record.owner).toBe("p");
      expect(await things.find({ where: { owner: "o" }, most: 9 })).toEqual([]);
      expect(await things.take("a")).toEqual(thing("p"));
      expect(await things.add("a", thing("q"), end)).toBe(true);
    });

    test("a kind that comes once never comes again: expired, forgotten, and with the wall clock set back", async () => {
      const once = store.records(ONCE);
      const first = clock.now() + MINUTE;
      expect(await once.get("a")).toBeUndefined();
      expect(await once.add("a", { by: "ann" }, first)).toBe(true);
      expect(await once.get("a")).toMatchObject({ id: "a", expiresAt: first, record: { by: "ann" } });
      expect(await once.add("a", {}, clock.now() + HOUR)).toBe(false);
      clock.advance(2 * MINUTE);
      expect(await once.get("a")).toBeUndefined();
      expect(await once.add("a", {}, first)).toBe(false);
      for (let i = 0; i < 30; i++) expect(await once.add(`b${i}`, {}, clock.now() + MINUTE)).toBe(true);
      // Long enough for a bucket to pass, and so many more that what has expired is let go.
      clock.advance(24 * HOUR);
      for (let i = 0; i < 30; i++) await once.add(`c${i}`, {}, clock.now() + MINUTE);
      clock.advance(-24 * HOUR);
      expect(await once.add("b7", {}, clock.now() + MINUTE)).toBe(false);
      clock.advance(-2 * MINUTE);
      expect(await once.add("a", {}, first)).toBe(false);
    });

    test("of 1,000 who add what comes once together one does, of every lifetime, while time passes", async () => {
      const once = store.records(ONCE);
      const all = await Promise.all(Array.from({ length: 1000 }, async () => once.add("shared", {}, end)));
      expect(all.filter(Boolean)).toHaveLength(1);
      const spent: { id: string; end: number }[] = [];
      for (let i = 0; i < 200; i++) {
        const mark = { id: `t${i}`, end: clock.now() + 1 + ((i * 7919) % (20 * MINUTE)) };
        expect(await once.add(mark.id, {}, mark.end)).toBe(true);
        spent.push(mark);
        clock.advance(9001);
        for (const { id, end } of spent) expect(await once.add(id, {}, end)).toBe(false);
      }
    });

    test("what comes once is added and looked at, and nothing else; nor is it looked up or counted", async () => {
      const once = store.records(ONCE);
      await once.add("a", {}, end);
      const seen = (await once.get("a")) as Seen<{ readonly by?: string }>;
      expect(() => once.take("a")).toThrow("added and looked at only");
      expect(() => once.replace(seen, {})).toThrow("added and looked at only");
      expect(() => once.takeAll("by", "x")).toThrow("added and looked at only");
      expect(() => once.find({ most: 1 })).toThrow("added and looked at only");
      expect(await once.get("a")).toEqual(seen);
      for (const more of [{ by: ["owner"] }, { order: "at" }, { capacity: 3 }] as const)
        expect(() => store.records<Thing>({ name: "test_both", once: true, ...more })).toThrow(
          "what comes once",
        );
    });

    test("a record may be there for good", async () => {
      expect(await things.add("a", thing("o"), FOREVER)).toBe(true);
      expect((await seen("a")).expiresAt).toBe(FOREVER);
      expect(await things.add("a", thing("o"), FOREVER)).toBe(false);
    });

    test.each(["light", "durable", "grouped"] as const)(
      "what is written %s is there for all to see",
      async (write) => {
        expect(await things.add("a", thing("o", 1), end, write)).toBe(true);
        expect(await things.add("a", thing("o", 2), end, write)).toBe(false);
        const first = await seen("a");
        expect(await things.replace(first, thing("p", 3), write)).toBe(true);
        expect(await seen("a")).toMatchObject({ record: thing("p", 3), version: first.version + 1 });
        expect(await things.take("a", write)).toEqual(thing("p", 3));
        expect(await things.take("a", write)).toBeUndefined();
      },
    );

    test("replaced while it is taken, a record stays taken", async () => {
      await things.add("a", thing("o"), end);
      const look = await seen("a");
      await Promise.all([
        (async () => things.replace(look, thing("p"), "light"))(),
        (async () => things.take("a"))(),
        (async () => things.replace({ ...look, version: look.version + 1 }, thing("q"), "light"))(),
      ]);
      expect(await things.get("a")).toBeUndefined();
      expect(await things.find({ most: 9 })).toEqual([]);
    });

    test("a record that has changed since it was seen is not replaced", async () => {
      await things.add("a", thing("o", 1), end);
      const [first, second] = [await seen("a"), await seen("a")];
      expect(await things.replace(first, thing("o", 2))).toBe(true);
      expect(await things.replace(second, thing("o", 3))).toBe(false);
      expect(await things.replace(await seen("a"), thing("p", 4), "light")).toBe(true);
      expect(await seen("a")).toMatchObject({ record: thing("p", 4), expiresAt: end });
      expect(ids(await things.find({ where: { owner: "p" }, most: 9 }))).toEqual(["a"]);
      expect(await things.find({ where: { owner: "o" }, most: 9 })).toEqual([]);
      const last = await seen("a");
      await things.take("a");
      expect(await things.replace(last, thing("o"))).toBe(false);
      expect(await things.get("a")).toBeUndefined();
      clock.advance(1);
      await things.add("a", thing("new"), end);
      expect(await things.replace(last, thing("o"))).toBe(false);
    });

    test("of 100 who replace what they have seen, one at a time gets it", async () => {
      await things.add("a", thing("o", 0), end);
      const look = await seen("a");
      const won = await Promise.all(
        Array.from({ length: 100 }, async (_, i) => things.replace(look, thing("o", i + 1), "light")),
      );
      expect(won.filter(Boolean).length).toBe(1);
      expect((await seen("a")).record.at).toBe(won.indexOf(true) + 1);
    });

    test("of 100 who take a record one gets it, and everybody is told of it once", async () => {
      const heard: string[] = [];
      things.onTaken((id) => heard.push(id));
      await things.add("a", thing("o"), end);
      await things.add("b", thing("o"), end);
      const taken = await Promise.all(Array.from({ length: 100 }, async () => things.take("a", "light")));
      expect(taken.filter((one) => one !== undefined)).toEqual([thing("o")]);
      expect(ids(await things.find({ most: 9 }))).toEqual(["b"]);
      await Bun.sleep(0);
      expect(heard).toEqual(["a"]);
    });

    test("all of one value are taken in one step, and no others", async () => {
      const heard: string[] = [];
      things.onTaken((id) => heard.push(id));
      for (let i = 0; i < 20; i++) await things.add(`a${i}`, thing("ann@example.org", i), end);
      for (const owner of ["ann@example.or", "ann@example.orgx", "ANN@example.org", "%", ""]) {
        await things.add(`other ${owner}`, thing(owner), end);
      }
      await things.add("gone", thing("ann@example.org"), clock.now() + 1);
      clock.advance(1);
      const taken = await things.takeAll("owner", "ann@example.org");
      expect(ids(taken).sort()).toEqual(Array.from({ length: 20 }, (_, i) => `a${i}`).sort());
      expect(await things.takeAll("owner", "ann@example.org")).toEqual([]);
      expect((await things.find({ most: 99 })).length).toBe(5);
      await Bun.sleep(0);
      expect(heard.sort()).toEqual(ids(taken).sort());
    });

    test("what looks like part of an index reaches no other record", async () => {
      const add = async (id: string, record: Thing) => things.add(id, record, end);
      await add("victim", thing("ann"));
      await add("other", thing("a"));
      await expect(add("b\nvictim", thing("a"))).rejects.toThrow("not what it should be");
      expect(await things.takeAll("owner", "a\nb")).toEqual([]);
      expect(await things.find({ where: { owner: "a\nb" }, most: 9 })).toEqual([]);
      await expect(add("c", thing("ann\nx"))).rejects.toThrow("not what it should be");
      await expect((async () => things.replace(await seen("victim"), thing("ann\nx")))()).rejects.toThrow(
        "not what",
      );
      expect(ids(await things.takeAll("owner", "ann"))).toEqual(["victim"]);
      expect(ids(await things.find({ most: 9 }))).toEqual(["other"]);
    });

    test("all of one value are taken, whatever else is in them", async () => {
      const half = "\ud83d";
      const notes = [half, `\\ud83d ${half}x`, "\0", "\u2028", '"}', "\\"];
      for (const [i, note] of notes.entries()) await things.add(`n${i}`, { ...thing("ann"), note }, end);
      await things.add("replaced", thing("ann"), end);
      await things.replace(await seen("replaced"), { ...thing("ann"), note: half });
      await things.add("half", thing(half), end);
      await things.add("nul", thing("ann\0x"), end);
      expect((await things.takeAll("owner", "ann")).length).toBe(notes.length + 1);
      expect(ids(await things.takeAll("owner", half))).toEqual(["half"]);
      expect(ids(await things.find({ most: 99 }))).toEqual(["nul"]);
    });

    test("of a record that cannot be found by what it should be nothing is kept", async () => {
      for (const at of [Number.NaN, Number.POSITIVE_INFINITY, null, "1", undefined]) {
        const record = { owner: "ann", at } as unknown as Thing;
        await expect((async () => things.add("a", record, end))()).rejects.toThrow("not what it should be");
        expect(await things.get("a")).toBeUndefined();
      }
      const plain = store.records(PLAIN);
      await plain.add("nobody's", { at: 1 } as Thing, end);
      for (const owner of ["undefined", "nil", "null", ""]) {
        expect(await plain.find({ where: { owner }, most: 9 })).toEqual([]);
      }
    });

    test("a query goes by order, range, value and number", async () => {
      for (let i = 0; i < 10; i++) await things.add(`t${i}`, thing(i % 2 ? "odd" : "even", 100 - i), end);
      const find = async (query: Parameters<typeof things.find>[0]) =>
        ids(await things.find(query)).join(" ");
      expect(await find({ most: 3 })).toBe("t9 t8 t7");
      expect(await find({ most: 3, newestFirst: true })).toBe("t0 t1 t2");
      expect(await find({ until: 93, most: 99 })).toBe("t9 t8 t7");
      expect(await find({ from: 98, most: 99 })).toBe("t2 t1 t0");
      expect(await find({ from: 95, until: 96, most: 99 })).toBe("t5 t4");
      expect(await find({ from: 95, until: 96, newestFirst: true, most: 1 })).toBe("t4");
      expect(await find({ where: { owner: "odd" }, most: 2 })).toBe("t9 t7");
      expect(await find({ where: { owner: "odd" }, newestFirst: true, most: 2 })).toBe("t1 t3");
      expect(await find({ where: { owner: "even" }, from: 95, most: 99 })).toBe("t4 t2 t0");
      expect(await find({ where: { owner: "none" }, most: 99 })).toBe("");
      expect(await find({ most: 0 })).toBe("");
      await things.replace(await seen("t9"), thing("odd", 1000));
      expect(await find({ most: 1, newestFirst: true })).toBe("t9");
    });

    test("what falls together in order goes by id", async () => {
      for (const id of ["c", "a", "b"]) await things.add(id, thing("o", 7), end);
      expect(ids(await things.find({ most: 9 }))).toEqual(["a", "b", "c"]);
      expect(ids(await things.find({ most: 9, newestFirst: true }))).toEqual(["c", "b", "a"]);
    });

    test("a kind without an order is found whole, however many there are", async () => {
      const plain = store.records(PLAIN);
      const all = Array.from({ length: 2_500 }, (_, i) => `p${String(i).padStart(4, "0")}`);
      await Promise.all(
        all.map(async (id, i) => plain.add(id, thing(i % 2 ? "odd" : "even"), end + (i % 3))),
      );
      expect(ids(await plain.find({ most: 1e6 })).sort()).toEqual(all);
      expect((await plain.find({ most: 10 })).length).toBe(10);
      expect((await plain.find({ where: { owner: "odd" }, most: 1e6 })).length).toBe(1_250);
      expect((await plain.takeAll("owner", "odd")).length).toBe(1_250);
    });

    test("a kind without an order goes by when its records expire, page by page", async () => {
      const plain = store.records(PLAIN);
      for (const [i, id] of ["e", "b", "d", "a", "c"].entries())
        await plain.add(id, thing(i % 2 ? "odd" : "even"), end + (i >> 1));
      expect(ids(await plain.find({ most: 9 }))).toEqual(["b", "e", "a", "d", "c"]);
      expect(ids(await plain.find({ most: 3, newestFirst: true }))).toEqual(["c", "d", "a"]);
      expect(ids(await plain.find({ most: 9, newestFirst: true, until: end + 1 }))).toEqual([
        "d",
        "a",
        "e",
        "b",
      ]);
      expect(ids(await plain.find({ most: 1, from: end + 1 }))).toEqual(["a"]);
      expect(ids(await plain.find({ where: { owner: "even" }, most: 9 }))).toEqual(["e", "d", "c"]);
    });

    test("how many there are is told without what was taken or has expired", async () => {
      expect(await things.count()).toBe(0);
      for (const id of ["a", "b", "c"]) await things.add(id, thing("o"), end);
      for (const id of ["d", "e"]) await things.add(id, thing("o"), clock.now() + MINUTE);
      expect(await things.count()).toBe(5);
      await things.take("a");
      expect(await things.count()).toBe(4);
      clock.advance(2 * MINUTE);
      expect(await things.count()).toBe(2);
      await things.takeAll("owner", "o");
      expect(await things.count()).toBe(0);
    });

    test("a full kind takes no more and forgets nothing that lives, and has room again after", async () => {
      const few = store.records(FEW);
      await few.add("a", thing("o"), clock.now() + MINUTE);
      await few.add("b", thing("o"), end);
      await few.add("c", thing("o"), end);
      expect(await few.add("c", thing("o"), end)).toBe(false);
      await expect((async () => few.add("d", thing("o"), end))()).rejects.toBeInstanceOf(StoreFull);
      expect(ids(await few.find({ most: 9 }))).toEqual(["a", "b", "c"]);
      await few.take("b");
      expect(await few.add("d", thing("o"), end)).toBe(true);
      await expect((async () => few.add("e", thing("o"), end))()).rejects.toBeInstanceOf(StoreFull);
      // A memory of what has expired is no room taken.
      clock.advance(2 * MINUTE);
      expect(await few.add("e", thing("o"), end)).toBe(true);
    });

    test("kinds know nothing of each other", async () => {
      const plain = store.records(PLAIN);
      await things.add("a", thing("o"), end);
      expect(await plain.get("a")).toBeUndefined();
      expect(await plain.add("a", thing("o"), end)).toBe(true);
      await plain.takeAll("owner", "o");
      expect((await seen("a")).record).toEqual(thing("o"));
    });

    test("names that could be something else in a statement or a key are refused", () => {
      for (const name of ["a b", "A", "a'", "", "a:b", "a;drop"])
        expect(() => store.records({ name })).toThrow("not a name");
      expect(() => store.records<Thing>({ name: "x", by: ["o'" as "owner"] })).toThrow("not a name");
      expect(async () => things.find({ where: { note: "x" }, most: 1 })).toThrow("not looked up by that");
    });

    test("any order of acts has the outcome that a plain map has", async () => {
      const act = fc.record({
        verb: fc.constantFrom("add", "take", "replace", "takeAll", "find", "wait"),
        id: fc.constantFrom("a", "b", "c", "d"),
        owner: fc.constantFrom("o", "p"),
        at: fc.integer({ min: 0, max: 5 }),
        life: fc.constantFrom(1, 1000, 5 * MINUTE),
      });
      let round = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(act, { maxLength: 30 }), async (acts) => {
          const kind: Kind<Thing> = THING;
          const prefix = `r${round++}-`;
          const records = store.records(kind);
          const owners = (owner: string) => `${prefix}${owner}`;
          const model = new Map<string, { record: Thing; expiresAt: number }>();
          const alive = () => [...model].filter(([, { expiresAt }]) => expiresAt > clock.now());
          for (const { verb, id: bare, owner: plain, at, life } of acts) {
            const id = prefix + bare;
            const owner = owners(plain);
            const known = alive().some(([one]) => one === id);
            if (verb === "wait") clock.advance(life);
            else if (verb === "add") {
              expect(await records.add(id, { owner, at }, clock.now() + life)).toBe(!known);
              if (!known) model.set(id, { record: { owner, at }, expiresAt: clock.now() + life });
            } else if (verb === "take") {
              expect(await records.take(id)).toEqual(known ? model.get(id)?.record : undefined);
              model.delete(id);
            } else if (verb === "replace") {
              const look = await records.get(id);
              expect(look?.record).toEqual(known ? model.get(id)?.record : undefined);
              if (look === undefined) continue;
              expect(await records.replace(look, { owner, at })).toBe(true);
              model.set(id, { record: { owner, at }, expiresAt: look.expiresAt });
            } else if (verb === "takeAll") {
              const mine = alive().filter(([, { record }]) => record.owner === owner);
              expect(ids(await records.takeAll("owner", owner)).sort()).toEqual(
                mine.map(([one]) => one).sort(),
              );
              for (const [one] of mine) model.delete(one);
            } else {
              const mine = alive()
                .filter(([, { record }]) => record.owner === owner)
                .sort(([a, { record: x }], [b, { record: y }]) => x.at - y.at || (a < b ? -1 : 1));
              expect(ids(await records.find({ where: { owner }, most: 99 }))).toEqual(
                mine.map(([one]) => one),
              );
            }
          }
          for (const owner of ["o", "p"]) await records.takeAll("owner", owners(owner));
        }),
        { numRuns: 40 },
      );
    });
  });
}
