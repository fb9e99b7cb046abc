import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../../src/clock.ts";
import { createSpentTickets } from "../../src/login/spent.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { type Kind, StoreUnavailable } from "../../src/store/records.ts";
import { openHandle } from "../../src/store/sqlite/handle.ts";
import { createSqliteRecords } from "../../src/store/sqlite/records.ts";
import { testClock } from "../support/clock.ts";
import { SILENT } from "../support/silent.ts";
import { stoppable } from "../support/store.ts";

/** A link or a code opens once. */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const folder = mkdtempSync(join(tmpdir(), "runegate-spent-"));
afterAll(() => rmSync(folder, { recursive: true }));

test.each([
  ["a millisecond before its end", 59_999, true],
  ["at its end", 60_000, false],
  ["long after its end", 100 * HOUR, false],
])("a ticket that is first shown %s", async (_, later, fresh) => {
  const clock = testClock();
  const spent = createSpentTickets(createMemoryStore({ clock }), clock);
  const end = clock.now() + MINUTE;
  clock.advance(later);
  expect(await spent.spend("a", end)).toBe(fresh);
});

test.each([1, 59_999, 60_000, 60_001, 10 * MINUTE, DAY, 30 * DAY])("stays spent %d ms later", async (ms) => {
  const clock = testClock();
  const spent = createSpentTickets(createMemoryStore({ clock }), clock);
  const end = clock.now() + MINUTE;
  const use = { at: clock.now(), device: { browser: "Firefox", system: "Windows" } };
  expect([await spent.useOf("a"), await spent.spend("a", end, use), await spent.useOf("a")]).toEqual([
    undefined,
    true,
    use,
  ]);
  clock.advance(ms);
  expect(await spent.spend("other", clock.now() + MINUTE)).toBe(true);
  expect(await spent.spend("a", end)).toBe(false);
  // Whatever expiry a caller names, as long as the ticket could be shown.
  if (ms <= DAY) expect(await spent.spend("a", clock.now() + HOUR)).toBe(false);
});

test("a store that is away is never taken for permission", async () => {
  const clock = testClock();
  const store = stoppable(createMemoryStore({ clock }));
  const spent = createSpentTickets(store.store, clock);
  store.away = true;
  expect(spent.spend("a", clock.now() + MINUTE)).rejects.toThrow(StoreUnavailable);
  expect(spent.useOf("a")).rejects.toThrow(StoreUnavailable);
});

describe("with a wall clock that was a month ahead, and is right again", () => {
  /** Marks in SQLite that are swept when the test says so, as the store would. */
  function open(clock: Clock, name: string) {
    const handle = openHandle({ path: join(folder, name), clock, log: SILENT });
    const marks: { sweep(most: number): boolean }[] = [];
    const store = {
      records<T extends object>(kind: Kind<T>) {
        const records = createSqliteRecords(kind, handle, clock);
        marks.push(records);
        return records;
      },
    };
    const spent = createSpentTickets(store, clock);
    return { spent, sweep: () => marks.some(({ sweep }) => sweep(10)), close: () => handle.close() };
  }

  test.each([
    ["within a day, links work at once", 23 * HOUR, true],
    // What was forgotten then must not be fresh now.
    ["after longer, what was spent then stays so", 3 * DAY, false],
  ])("%s", async (_, later, works) => {
    const clock = testClock();
    const { spent, sweep, close } = open(clock, `${later}.db`);
    clock.advance(30 * DAY);
    const end = clock.now() + MINUTE;
    expect(await spent.spend("a", end)).toBe(true);
    clock.advance(later);
    expect(sweep()).toBe(false);
    clock.advance(-30 * DAY - later);
    expect(await spent.spend("b", clock.now() + MINUTE)).toBe(works);
    expect(await spent.spend("a", end)).toBe(false);
    close();
  });
});
