import { describe, expect, test } from "bun:test";
import { createMemoryLimits } from "../../src/store/memory/limits.ts";
import { createMemoryRecords } from "../../src/store/memory/records.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { type Kind, StoreUnavailable } from "../../src/store/records.ts";
import { testClock } from "../support/clock.ts";
import { costOf } from "../support/cost.ts";
import { storeContract } from "./contract.ts";

storeContract("memory", async (clock) => createMemoryStore({ clock }));

const HOUR = 3_600_000;
const MINUTE = 60_000;
const THING: Kind<{ readonly owner: string }> = { name: "thing", by: ["owner"] };

test("the memory store answers at once", () => {
  const clock = testClock();
  const { records, limits, since, ready, close } = createMemoryStore({ clock });
  const things = records(THING);
  const answers = [
    ready(),
    since(),
    things.add("a", { owner: "o" }, clock.now() + HOUR),
    things.get("a"),
    things.replace({ id: "a", version: 0, expiresAt: 0, record: { owner: "o" } }, { owner: "o" }),
    things.take("a"),
    things.takeAll("owner", "o"),
    things.find({ most: 1 }),
    limits.hit("a", { limit: 1, windowMs: 1 }),
    limits.release("a"),
    close(),
  ];
  for (const answer of answers) expect(answer).not.toBeInstanceOf(Promise);
});

describe("memory records", () => {
  test.each([true, undefined])(
    "at their capacity are refused, and no live one is forgotten for a new one (once: %p)",
    (once) => {
      const clock = testClock();
      const marks = createMemoryRecords({ name: "mark", capacity: 1000, ...(once && { once }) }, clock);
      const end = clock.now() + HOUR;
      for (let i = 0; i < 1000; i++) expect(marks.add(`t${i}`, {}, end)).toBe(true);
      for (let i = 0; i < 1000; i++) {
        expect(() => marks.add(`more${i}`, {}, end)).toThrow(StoreUnavailable);
        expect(() => marks.add(`more${i}`, {}, end)).toThrow("holds 1000 of mark");
      }
      for (let i = 0; i < 1000; i++) expect(marks.add(`t${i}`, {}, end)).toBe(false);
      clock.advance(HOUR + 10_000);
      expect(marks.add("next", {}, clock.now() + HOUR)).toBe(true);
      expect(marks.size).toBe(1);
    },
  );

  test("hold no more than their lifetime's worth", () => {
    const clock = testClock();
    const marks = createMemoryRecords({ name: "mark", once: true }, clock);
    for (let i = 0; i < 200_000; i++) {
      marks.add(`t${i}`, {}, clock.now() + 15 * MINUTE);
      clock.advance(100);
    }
    // Fifteen minutes at ten a second, and a bucket of ten seconds more.
    expect(marks.size).toBeLessThanOrEqual(9000 + 100);
  });

  test("that come once do not come again when the wall clock is set back after they are gone", () => {
    const clock = testClock();
    const marks = createMemoryRecords({ name: "mark", once: true }, clock);
    const end = clock.now() + MINUTE;
    expect(marks.add("a", {}, end)).toBe(true);
    clock.advance(HOUR);
    expect(marks.add("b", {}, clock.now() + MINUTE)).toBe(true);
    expect(marks.size).toBe(1);
    clock.advance(-HOUR);
    expect(marks.add("a", {}, end)).toBe(false);
    expect(marks.add("c", {}, end + MINUTE)).toBe(true);
  });

  test("cost the same among 100,000 as among few", () => {
    const clock = testClock();
    const things = createMemoryRecords(THING, clock);
    for (let i = 0; i < 100_000; i++) {
      things.add(`s${i}`, { owner: `u${i % 5000}` }, clock.now() + HOUR);
      clock.advance(10);
    }
    expect(things.size).toBe(100_000);
    const cost = costOf(() => {
      for (let i = 0; i < 100_000; i++) {
        const seen = things.get(`s${i}`);
        if (seen === undefined || seen instanceof Promise) throw new Error("gone");
        things.replace(seen, { ...seen.record });
      }
      for (let i = 0; i < 100_000; i += 2) things.take(`s${i}`);
      for (let i = 0; i < 5000; i++) things.takeAll("owner", `u${i}`);
    });
    expect(things.size).toBe(0);
    // A fifth of a second; looking through all of them once for each would take minutes.
    expect(cost).toBeLessThan(5000);
  });

  test("of which one is asked for, in order, cost as much among 100,000 as they cost alone", () => {
    const clock = testClock();
    const queue = createMemoryRecords({ name: "queue", order: "at" } as Kind<{ readonly at: number }>, clock);
    for (let i = 0; i < 100_000; i++) queue.add(`q${i}`, { at: i }, clock.now() + HOUR);
    const cost = costOf(() => {
      for (let i = 0; i < 20_000; i++) expect(queue.find({ from: i, most: 1 })).toHaveLength(1);
    });
    expect(cost).toBeLessThan(5000);
  });
});

describe("memory limits", () => {
  const rule = { limit: 5, windowMs: 60_000 };

  test("stay at 262,144 keys under 1.2 million, and keep the recent ones", () => {
    const clock = testClock();
    const limits = createMemoryLimits(clock);
    for (let i = 0; i < 1_200_000; i++) limits.hit(`client:${i}`, rule);
    expect(limits.size).toBe(262_144);
    for (let i = 0; i < 4; i++) limits.hit("client:1199999", rule);
    expect(limits.hit("client:1199999", rule)).toEqual({ allowed: false, retryAfterMs: 60_000 });
  });

  test("let the key go that was unused for longest", () => {
    const once = { limit: 1, windowMs: 60_000 };
    const limits = createMemoryLimits(testClock(), 3);
    limits.hit("a", once);
    limits.hit("b", once);
    limits.hit("c", once);
    expect(limits.hit("a", once)).toMatchObject({ allowed: false });
    limits.hit("d", once);
    expect(limits.hit("a", once)).toMatchObject({ allowed: false });
    expect(limits.hit("c", once)).toMatchObject({ allowed: false });
    expect(limits.hit("b", once)).toEqual({ allowed: true });
    expect(limits.size).toBe(3);
  });

  test("forget idle keys as others come", () => {
    const clock = testClock();
    const limits = createMemoryLimits(clock);
    for (let i = 0; i < 1000; i++) limits.hit(`old${i}`, rule);
    clock.advance(rule.windowMs);
    for (let i = 0; i < 1000; i++) limits.hit(`new${i}`, rule);
    expect(limits.size).toBe(1000);
    limits.release("new5");
    expect(limits.size).toBe(999);
  });

  test("are not moved by the wall clock", () => {
    let wall = 1_800_000_000_000;
    const limits = createMemoryLimits({ now: () => wall, monotonic: () => 1000 });
    expect(limits.hit("a", { limit: 1, windowMs: 60_000 })).toEqual({ allowed: true });
    wall += 10 * HOUR;
    expect(limits.hit("a", { limit: 1, windowMs: 60_000 })).toEqual({ allowed: false, retryAfterMs: 60_000 });
  });

  test("take over what was counted when a key's limit changes", () => {
    const clock = testClock();
    const limits = createMemoryLimits(clock);
    const of = (limit: number) => ({ limit, windowMs: 1000 });
    for (const wait of [100, 100, 800]) {
      limits.hit("a", of(3));
      clock.advance(wait);
    }
    // At 1000 the first hit has left: the ring starts in its middle.
    expect(limits.hit("a", of(3))).toEqual({ allowed: true });
    // 100, 200 and 1000 count: one more fits under 4, and then the wait is for the hit at 100.
    expect(limits.hit("a", of(4))).toEqual({ allowed: true });
    expect(limits.hit("a", of(4))).toEqual({ allowed: false, retryAfterMs: 100 });
    // Under 2 only the last two count, both at 1000.
    expect(limits.hit("a", of(2))).toEqual({ allowed: false, retryAfterMs: 1000 });
  });
});
