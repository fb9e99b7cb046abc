import { describe, expect, test } from "bun:test";
import type { Clock } from "../../src/clock.ts";
import type { Store } from "../../src/store/store.ts";
import { testClock } from "../support/clock.ts";
import { limitsContract } from "./limits-contract.ts";
import { recordsContract } from "./records-contract.ts";

/**
 * What every store must do. Every answer is awaited, so the same cases hold for a store in memory, in a file, on a server, and in
 * another process.
 * @param open gives an empty store that reads `clock`; the suite closes it.
 */
export function storeContract(name: string, open: (clock: Clock) => Promise<Store>): void {
  describe(`${name} keeps the store contract`, () => {
    test("is ready, and knows since when it remembers", async () => {
      const clock = testClock();
      const store = await open(clock);
      const begun = clock.now();
      await store.ready();
      expect(await store.since()).toBe(begun);
      clock.advance(3_600_000);
      expect(await store.since()).toBe(begun);
      await store.close();
    });
  });
  recordsContract(name, open);
  limitsContract(name, open);
}
