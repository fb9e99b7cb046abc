import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseAddress } from "../../src/identity/address.ts";
import { createKnownAddresses } from "../../src/login/known.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { StoreUnavailable } from "../../src/store/records.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import { testClock } from "../support/clock.ts";
import { startGateway } from "../support/gateway.ts";
import { SILENT } from "../support/silent.ts";
import { stoppable } from "../support/store.ts";

/** Whose mails go first: addresses that are named one by one, and those that somebody has signed in with. */

const DAY = 24 * 3_600_000;
const ADA = parseAddress("ada@example.org");
const BOB = parseAddress("bob@example.org");
const folder = mkdtempSync(join(tmpdir(), "runegate-known-"));
afterAll(() => rmSync(folder, { recursive: true }));

test("an address that is named is known, and no other", async () => {
  const clock = testClock();
  const known = createKnownAddresses(new Set([ADA]), createMemoryStore({ clock }), clock);
  expect([await known.has(ADA), await known.has(BOB)]).toEqual([true, false]);
});

describe("an address that has been signed in with", () => {
  test("is known for three months at least and six at most, whenever it was, and longer if it was again", async () => {
    for (let day = 0; day < 200; day += 10) {
      const clock = testClock();
      clock.advance(day * DAY);
      const known = createKnownAddresses(new Set(), createMemoryStore({ clock }), clock);
      await known.add(ADA);
      expect([await known.has(ADA), await known.has(BOB)]).toEqual([true, false]);
      clock.advance(90 * DAY - 1);
      expect(await known.has(ADA)).toBe(true);
      await known.add(ADA);
      clock.advance(90 * DAY - 1);
      expect(await known.has(ADA)).toBe(true);
      clock.advance(90 * DAY + 1);
      expect(await known.has(ADA)).toBe(false);
    }
  });

  test("is known through the front door, after a restart too", async () => {
    const path = join(folder, "state.db");
    const clock = testClock();
    const open = () => openSqliteStore({ path, clock, log: SILENT });
    const first = open();
    const gateway = await startGateway({ stores: first, clock });
    await gateway.signIn(ADA);
    await gateway.stop();
    await first.close();
    const stores = open();
    const known = createKnownAddresses(new Set(), stores, clock);
    expect([await known.has(ADA), await known.has(BOB)]).toEqual([true, false]);
    await stores.close();
  });
});

test("a store that is away is no reason for a sign-in to fail, and asking says so", async () => {
  const clock = testClock();
  const store = stoppable(createMemoryStore({ clock }));
  const known = createKnownAddresses(new Set([ADA]), store.store, clock);
  store.away = true;
  await known.add(ADA);
  expect(known.has(ADA)).rejects.toThrow(StoreUnavailable);
});
