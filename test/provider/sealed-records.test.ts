import { expect, test } from "bun:test";
import { createSealedRecords } from "../../src/provider/sealed-records.ts";
import { createKeys } from "../../src/secret/keys.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { FOREVER } from "../../src/store/records.ts";
import { testClock } from "../support/clock.ts";

/** What is kept under one session key, and goes on under the next. */

const [BEFORE, AFTER] = [new Uint8Array(64).fill(1), new Uint8Array(64).fill(2)];
const keysOf = (sessionKey: Uint8Array, sessionKeyPrevious?: Uint8Array) =>
  createKeys({
    ...{ jwtSecret: new Uint8Array(32), jwtSecretPrevious: undefined },
    ...{ sessionKey, sessionKeyPrevious },
  });

test("more than ten thousand are all sealed anew, so that none is lost with the key before", async () => {
  const store = createMemoryStore({ clock: testClock() });
  const open = (keys: ReturnType<typeof keysOf>) =>
    createSealedRecords<{ readonly sub: string }>(store, keys, { name: "provider_person" });
  const before = open(keysOf(BEFORE));
  const many = 10_001;
  for (let at = 0; at < many; at++) await before.add(`p${at}@example.org`, { sub: `${at}` }, FOREVER);
  const between = open(keysOf(AFTER, BEFORE));
  expect(await between.renew()).toBe(many);
  expect(await between.renew()).toBe(0);
  expect(await open(keysOf(AFTER)).find({ most: many })).toHaveLength(many);
  expect(await before.get("p0@example.org")).toBeUndefined();
});
