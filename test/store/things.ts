import { expect } from "bun:test";
import { type Clock, systemClock } from "../../src/clock.ts";
import { type Kind, type RecordStore, StoreUnavailable } from "../../src/store/records.ts";
import type { Store } from "../../src/store/store.ts";

/** What the suites of stores that are servers keep in them, and how they wait for a server. */

const HOUR = 3_600_000;

export type Thing = { readonly owner: string; readonly used: number };
export const THING: Kind<Thing> = { name: "thing", by: ["owner"], cached: true };
export const ONCE: Kind<object> = { name: "once", once: true };
export const thing = (owner = "ann", used = 0): Thing => ({ owner, used });

/** Cached, as sessions are. */
export const things = (store: RecordStore) => store.records(THING);
export const add = async (
  store: RecordStore,
  id: string,
  clock: Clock = systemClock,
  owner = "ann",
  life = HOUR,
) => expect(await things(store).add(id, thing(owner), clock.now() + life)).toBe(true);
export const addOnce = async (store: RecordStore, id: string, expiresAt = Date.now() + HOUR) =>
  store.records(ONCE).add(id, {}, expiresAt);

/** Asks until the answer is as wanted. @returns after how many milliseconds that was. */
export async function until(wanted: () => unknown, withinMs = 20_000): Promise<number> {
  const begun = performance.now();
  for (;;) {
    try {
      if (await wanted()) return performance.now() - begun;
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error;
    }
    if (performance.now() - begun > withinMs) throw new Error(`not within ${withinMs} ms: ${wanted}`);
    await Bun.sleep(2);
  }
}

export const ready = (store: Store) => async () => {
  await store.ready();
  return true;
};
