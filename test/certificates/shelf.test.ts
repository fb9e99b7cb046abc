import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createOrderRecords } from "../../src/certificates/acme-records.ts";
import type { Pair } from "../../src/certificates/pair.ts";
import { pairOf } from "../../src/certificates/read-pair.ts";
import { type Shelf, shelfInFolder, shelfInStore } from "../../src/certificates/shelf.ts";
import { MINUTE } from "../../src/option/values.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import type { Store } from "../../src/store/store.ts";
import { makeCertificate } from "../support/certificate.ts";
import { testClock, testRandom } from "../support/clock.ts";
import { keysOf } from "../support/keys.ts";

/** Where certificates are kept, and what machines tell each other while one of them orders. */

const folder = mkdtempSync(join(tmpdir(), "runegate-shelf-"));
afterAll(() => rmSync(folder, { recursive: true }));

const APP = "app.example.org";
const pairFor = (name: string): Pair => {
  const { cert, key } = makeCertificate({ names: [name] });
  return pairOf(cert, key);
};
const memory = (): Store => createMemoryStore({ clock: testClock() });
const inStore = (store: Store, session = 9, previous?: number) =>
  shelfInStore(store, keysOf(1, undefined, session, previous), testRandom());

test.each<[string, () => Shelf]>([
  ["in a folder", () => shelfInFolder(join(folder, "certificates"))],
  ["in a store", () => inStore(memory())],
])("%s: what was put there is there, and the account stays the same", async (_, open) => {
  const shelf = open();
  expect(await shelf.read(APP)).toBeUndefined();
  const [first, second] = [pairFor(APP), pairFor(APP)];
  for (const pair of [first, second]) {
    await shelf.write(APP, pair);
    expect(await shelf.read(APP)).toEqual(pair);
  }
  expect(await shelf.read("wiki.example.org")).toBeUndefined();
  const account = await shelf.account();
  expect(account).toContain("PRIVATE KEY");
  expect(await shelf.account()).toBe(account);
});

test("in a store: the key before opens it, and no other does", async () => {
  const store = memory();
  await inStore(store).write(APP, pairFor(APP));
  expect(await inStore(store, 8, 9).read(APP)).toBeDefined();
  expect(await inStore(store, 8).read(APP)).toBeUndefined();
});

test("in a store: what somebody puts there under another name is none", async () => {
  const store = memory();
  const shelf = inStore(store);
  await shelf.write(APP, pairFor(APP));
  const records = store.records<{ cert: string; key: string }>({ name: "certificate" });
  const kept = await records.get(APP);
  expect(kept?.record.key).not.toContain("PRIVATE");
  await records.add("wiki.example.org", kept?.record ?? { cert: "", key: "" }, kept?.expiresAt ?? 0);
  expect(await shelf.read("wiki.example.org")).toBeUndefined();
});

test("of all that ask one may order, until it is done, or has taken longer than any order", async () => {
  const clock = testClock();
  const store = createMemoryStore({ clock });
  const [here, there] = [createOrderRecords(store, clock), createOrderRecords(store, clock)];
  expect([await here.lease(APP), await there.lease(APP), await there.lease("wiki.example.org")]).toEqual([
    ...[true, false, true],
  ]);
  await here.giveBack(APP);
  expect(await there.lease(APP)).toBe(true);
  clock.advance(11 * MINUTE);
  expect(await here.lease(APP)).toBe(true);
});

test("a challenge is answered on every machine until it is over, and nothing else is looked up", async () => {
  const clock = testClock();
  const store = createMemoryStore({ clock });
  const [here, there] = [createOrderRecords(store, clock), createOrderRecords(store, clock)];
  const token = "t".repeat(43);
  await here.challenges.put(token, `${token}.thumbprint`);
  expect(await there.challengeOf(token)).toBe(`${token}.thumbprint`);
  for (const other of ["", "..", `${token}/`, `${token}%00`, "x".repeat(43), "a\nb"]) {
    expect(await there.challengeOf(other)).toBeUndefined();
  }
  expect(here.challenges.put("../account.key", "x")).rejects.toThrow();
  await here.challenges.remove(token, "");
  expect(await there.challengeOf(token)).toBeUndefined();
});
