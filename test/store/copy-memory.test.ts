import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/clock.ts";
import { copyMemory } from "../../src/control/copy.ts";
import { KINDS } from "../../src/control/kinds.ts";
import type { Contents } from "../../src/store/contents.ts";
import { copyStore } from "../../src/store/copy.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { type Kind, StoreUnavailable } from "../../src/store/records.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import type { Store } from "../../src/store/store.ts";
import { SILENT } from "../support/silent.ts";
import { until } from "./things.ts";

/** What happens to a running instance's memory when a copy of it, or to it, goes wrong. */

const HOUR = 3_600_000;
const SESSION: Kind<{ email: string }> = { name: "session", by: ["email"] };
const SPENT: Kind<object> = { name: "ticket", once: true };

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "runegate-copy-memory-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

const end = () => Date.now() + HOUR;
const sqlite = (name: string) => ({ kind: "sqlite", path: join(directory, name) }) as const;
const wanted = (way: "from memory" | "to memory", name: string, replace = true) => ({
  ...{ way, replace, schema: "runegate", other: sqlite(name) },
});

async function filled() {
  const store = createMemoryStore({ clock: systemClock });
  await store.records(SESSION).add("ada", { email: "a@example.org" }, end());
  const ends = end();
  await store.records(SPENT).add("used", {}, ends);
  await store.limits.hit("key", { limit: 1, windowMs: HOUR });
  return { store, ends };
}

async function expectAsBefore({ store, ends }: Awaited<ReturnType<typeof filled>>) {
  const sessions = store.records(SESSION);
  expect(await sessions.get("ada")).toMatchObject({ id: "ada" });
  expect(await sessions.find({ where: { email: "a@example.org" }, most: 9 })).toHaveLength(1);
  expect(await store.records(SPENT).add("used", {}, ends)).toBe(false);
  expect(await store.limits.hit("key", { limit: 1, windowMs: HOUR })).toMatchObject({ allowed: false });
}

test("a copy to memory that fails leaves what was there: sessions, used links and limits", async () => {
  const here = await filled();
  const { contents } = here.store.inside;
  const other = (await filled()).store.inside.contents;
  const cut: Contents = {
    ...other,
    async *rows(kind, after) {
      yield* other.rows(kind, after);
      if (kind.name === "ticket") throw new StoreUnavailable("cut");
    },
  };
  await expect(
    copyStore(cut, contents, { kinds: KINDS, replace: true, clock: systemClock, tell() {} }),
  ).rejects.toThrow("cut");
  await expectAsBefore(here);
});

function isHeld(store: Pick<Store, "ready">): boolean {
  try {
    store.ready();
    return false;
  } catch {
    return true;
  }
}

test("of two copies at once the second is refused, whatever comes of the first, and changes nothing about it", async () => {
  const here = await filled();
  const user = openSqliteStore({ path: join(directory, "used.db"), clock: systemClock, log: SILENT });
  // It is waited for a second, in case its user has only just gone.
  const first = copyMemory(here.store.inside, wanted("from memory", "used.db")).catch(String);
  await until(() => isHeld(here.store));
  await expect(copyMemory(here.store.inside, wanted("from memory", "other.db"))).rejects.toThrow(
    "is being copied already",
  );
  expect(() => here.store.ready()).toThrow("is being copied");
  expect(await first).toContain("stop every gateway");
  await user.close();
  await expectAsBefore(here);
  const copied = await copyMemory(here.store.inside, wanted("from memory", "other.db"));
  expect(copied).toMatchObject({ session: 1 });
  expect(() => here.store.ready()).toThrow("was copied to another one");
});
