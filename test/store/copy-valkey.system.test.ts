import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/clock.ts";
import { copyMemory } from "../../src/control/copy.ts";
import { KINDS } from "../../src/control/kinds.ts";
import type { Contents } from "../../src/store/contents.ts";
import { copyStore } from "../../src/store/copy.ts";
import { storeLocation } from "../../src/store/location.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { openStore } from "../../src/store/open.ts";
import type { KeptLocation } from "../../src/store/open-contents.ts";
import type { Kind } from "../../src/store/records.ts";
import { needs } from "../support/needs.ts";
import { SILENT } from "../support/silent.ts";
import { startValkey, type ValkeyServer } from "../support/valkey.ts";
import { commandLine, contentsOf, fillSessions, HOUR, SESSION } from "./copying.ts";

/** What goes wrong between a copy, Valkey, SQLite and the memory of an instance. */

setDefaultTimeout(30_000);

const MIB = 1024 * 1024;
const FORM: Kind<{ sealed: string }> = { name: "kept_post_large" };
const redis = needs("redis-server");

describe.skipIf(redis === undefined)("a copy, Valkey and SQLite", () => {
  let valkey: ValkeyServer;
  let directory: string;
  beforeAll(async () => {
    valkey = await startValkey(redis ?? "", { lines: ["appendonly yes"] });
  });
  afterAll(() => valkey.stop());
  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), "runegate-copy-valkey-"));
    await valkey.run("FLUSHALL");
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const file = (name = "state.db") => `sqlite:${join(directory, name)}`;

  const fill = (url: string) => fillSessions(url, ["a", "b", "c"]);

  test("what a copy filled only in part is not copied from", async () => {
    await fill(valkey.url);
    // As a copy leaves it that was killed while it deleted what was there before.
    await valkey.run("SET", "{runegate}:copying", "");
    expect(await commandLine(["store", "copy", valkey.url, file()])).toMatchObject({
      ...{ code: 1, err: expect.stringContaining("filled only in part") },
    });
  });

  test("one server, or one file, by two spellings is not copied to itself, and says so", async () => {
    await fill(valkey.url);
    await fill(file());
    symlinkSync(join(directory, "state.db"), join(directory, "link.db"));
    for (const [from, to] of [
      [valkey.url, valkey.url.replace("127.0.0.1", "localhost")],
      [file(), file("link.db")],
    ] as const) {
      expect(await commandLine(["store", "copy", "--replace", from, to])).toMatchObject({
        ...{ code: 1, err: expect.stringContaining("FROM and TO are the same") },
      });
      expect((await commandLine(["store", "check", from])).out).toMatch(/session +3/);
    }
  });

  test("large forms are put a few at a time, and a server that is slow is waited for", async () => {
    const store = await openStore(storeLocation(file()), { clock: systemClock, log: SILENT });
    for (let i = 0; i < 20; i++)
      await store.records(FORM).add(`form ${i}`, { sealed: "f".repeat(MIB / 4) }, Date.now() + HOUR, "light");
    await store.close();
    const [from, to] = [await contentsOf(file()), await contentsOf(valkey.url, true)];
    const sizes: number[] = [];
    const slow: Contents = {
      ...to,
      refill: (work) =>
        to.refill((into) =>
          work({
            ...into,
            put(kind, rows) {
              if (sizes.push(rows.reduce((sum, { body }) => sum + body.length, 0)) === 1) {
                valkey.pause();
                setTimeout(() => valkey.resume(), 2_500);
              }
              return into.put(kind, rows);
            },
          }),
        ),
    };
    const counts = await copyStore(from, slow, {
      kinds: KINDS,
      replace: false,
      clock: systemClock,
      tell() {},
    });
    await from.close();
    await to.close();
    expect(counts).toEqual({ kept_post_large: 20 });
    expect(Math.max(...sizes)).toBeLessThanOrEqual(MIB);
    expect(sizes.length).toBeLessThan(10);
  });

  test("from memory, what visitors sent that is no text goes along", async () => {
    const { inside, ...store } = createMemoryStore({ clock: systemClock });
    await store.records(SESSION).add("a\ud800", { email: "\udc00" }, Date.now() + HOUR);
    await store.limits.hit("by \ud800", { limit: 1, windowMs: HOUR });
    const other = storeLocation(valkey.url) as KeptLocation;
    expect(
      await copyMemory(inside, { way: "from memory", other, schema: "runegate", replace: false }),
    ).toEqual({ session: 1, limits: 1 });
  });
});
