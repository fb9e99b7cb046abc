import { afterAll, afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../../src/clock.ts";
import { createLogins, type From, type Logins } from "../../src/oidc-login/logins.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import type { Store } from "../../src/store/store.ts";
import { openValkeyStore } from "../../src/store/valkey.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { needs } from "../support/needs.ts";
import { SILENT } from "../support/silent.ts";
import { startValkey } from "../support/valkey.ts";

/** Which sessions a logout token is about, in each store. */

const folder = mkdtempSync(join(tmpdir(), "runegate-oidc-"));
const redis = needs("redis-server");
const server = redis === undefined ? undefined : await startValkey(redis);
afterAll(async () => {
  await server?.stop();
  rmSync(folder, { recursive: true });
});

let files = 0;
const STORES: [string, (clock: Clock) => Promise<Store>][] = [
  ["memory", async (clock) => createMemoryStore({ clock })],
  ["SQLite", async (clock) => openSqliteStore({ path: join(folder, `${files++}.db`), clock, log: SILENT })],
];
if (server !== undefined)
  STORES.push(["Valkey", async (clock) => openValkeyStore({ url: server.url, clock, log: SILENT })]);

describe.each(STORES)("in %s", (_, open) => {
  let clock: TestClock;
  let store: Store;
  let logins: Logins;
  beforeEach(async () => {
    clock = testClock();
    store = await open(clock);
    logins = createLogins(store);
    const began: Record<string, From> = {
      one: { provider: "idp", sub: "ada", sid: "s1" },
      two: { provider: "idp", sub: "ada", sid: "s2" },
      three: { provider: "idp", sub: "ada", sid: undefined },
      four: { provider: "idp", sub: "grace", sid: "s4" },
      five: { provider: "other", sub: "ada", sid: "s1" },
    };
    for (const [id, from] of Object.entries(began))
      await logins.add({ id, email: `${from.sub}@example.org`, expiresAt: clock.now() + 60_000 }, from);
  });
  afterEach(async () => {
    await store.close();
    await server?.run("FLUSHALL");
  });
  const found = async (ended: Parameters<Logins["find"]>[0]) =>
    (await logins.find(ended)).map(({ id, email }) => `${id} ${email}`).sort();

  test.each([
    ["a session there", { sub: undefined, sid: "s1" }, ["one ada@example.org"]],
    [
      "a session and its subject",
      { sub: "ada", sid: "s1" },
      ["one ada@example.org", "three ada@example.org"],
    ],
    [
      "a subject",
      { sub: "ada", sid: undefined },
      ["one", "three", "two"].map((id) => `${id} ada@example.org`),
    ],
    ["nobody that is known", { sub: "eve", sid: "s9" }, []],
  ])("%s is over", async (_, ended, expected) => {
    expect(await found({ provider: "idp", ...ended })).toEqual(expected);
  });
  test("of what has ended by its time, nothing is left", async () => {
    clock.advance(60_000);
    expect(await found({ provider: "idp", sub: "ada", sid: undefined })).toEqual([]);
  });
});
