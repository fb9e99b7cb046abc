import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { canonicalJson } from "../../src/audit/chain.ts";
import type { AuditEntry } from "../../src/audit/entry.ts";
import type { AuditFilter, Paging } from "../../src/audit/find.ts";
import type { AuditTrail } from "../../src/audit/trail.ts";
import type { Clock } from "../../src/clock.ts";
import { createLoggers } from "../../src/observe/log.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import type { Store } from "../../src/store/store.ts";
import { testClock } from "../support/clock.ts";
import { ADA, BOB, openTrail, ROOT, redeemed, refused, type Stage } from "./support.ts";

const SILENT = createLoggers({
  format: "json",
  levels: { default: "off", modules: {} },
  write() {},
  now: () => 0,
  color: false,
})("store");

const opened: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0)) await close();
});

type Open = (clock: Clock) => Store;
const memory: Open = (clock) => createMemoryStore({ clock });
const sqlite: Open = (clock) => {
  const folder = mkdtempSync(join(tmpdir(), "audit-"));
  const store = openSqliteStore({ path: join(folder, "a.db"), clock, log: SILENT });
  opened.push(
    () => store.close(),
    () => rmSync(folder, { recursive: true }),
  );
  return store;
};

const events = ({ items }: { items: readonly AuditEntry[] }) => items.map(({ event }) => event);

async function all(trail: AuditTrail, filter: AuditFilter, paging: Paging = {}): Promise<AuditEntry[]> {
  const found: AuditEntry[] = [];
  let cursor: string | undefined;
  do {
    const page = await trail.find(filter, { ...paging, cursor });
    found.push(...page.items);
    cursor = page.next;
  } while (cursor !== undefined);
  return found;
}

describe.each<[string, Open]>([
  ["memory", memory],
  ["SQLite", sqlite],
])("the audit in %s", (_, open) => {
  function stage(): Stage {
    const clock = testClock();
    return openTrail({ clock, store: open(clock) });
  }

  test("an event is kept as H.5 has it, and found by its id", async () => {
    const { trail } = stage();
    trail.keep(redeemed());
    const { items, next } = await trail.find({});
    expect(next).toBeUndefined();
    const [entry] = items;
    expect(entry).toEqual({
      v: 1,
      id: expect.stringMatching(/^[0-7][0-9A-Z]{25}$/),
      time: "2026-01-02T03:04:05.000Z",
      event: "redeemed",
      outcome: "ok",
      reason: null,
      actor: { kind: "user", email: ADA, session: "9f2c41aa" },
      subject: { email: ADA },
      route: null,
      host: null,
      client: { ip: "203.0.113.7", agent: null },
      request: null,
      details: { by: "link" },
      chain: { writer: expect.stringMatching(/^vps1-/), seq: 1, prev: "", hash: expect.any(String) },
    });
    expect(await trail.get(entry?.id ?? "")).toEqual(entry);
    expect(await trail.get("01JD0000000000000000000000")).toBeUndefined();
    expect(JSON.parse(canonicalJson(entry))).toEqual(entry as object);
  });

  test("events come newest first, in pages, each once, in the same millisecond too", async () => {
    const { trail, clock } = stage();
    for (let i = 0; i < 250; i++) {
      trail.keep(redeemed(ADA, { n: `${i}` }));
      if (i % 60 === 0) clock.advance(1000);
    }
    const numbers = (found: AuditEntry[]) => found.map(({ details }) => Number(details.n));
    const expected = Array.from({ length: 250 }, (_, i) => 249 - i);
    expect(numbers(await all(trail, {}, { limit: 7 }))).toEqual(expected);
    expect(numbers(await all(trail, {}))).toEqual(expected);
    expect(numbers(await all(trail, {}, { limit: 40, oldestFirst: true }))).toEqual(expected.toReversed());
    expect(numbers(await all(trail, { email: ADA }, { limit: 40 }))).toEqual(expected);
    expect((await trail.find({}, { limit: 10_000 })).items).toHaveLength(200);
  });

  test("they are found by time, event, outcome, person, application and client", async () => {
    const { trail, clock } = stage();
    const start = clock.now();
    trail.keep(redeemed(ADA));
    clock.advance(1000);
    trail.keep(redeemed(BOB, { route: "lab" }));
    clock.advance(1000);
    trail.keep(refused());
    trail.keep({
      event: "session_revoked",
      outcome: "ok",
      subject: BOB,
      session: "abcdef123456",
      actor: ROOT,
    });
    const find = async (filter: AuditFilter) => events(await trail.find(filter));
    expect(await find({ event: "redeemed" })).toEqual(["redeemed", "redeemed"]);
    expect(await find({ outcome: "refused" })).toEqual(["access_refused"]);
    expect(await find({ email: ADA })).toEqual(["redeemed"]);
    expect(await find({ email: BOB })).toEqual(["session_revoked", "redeemed"]);
    expect(await find({ email: ROOT })).toEqual(["session_revoked"]);
    expect(await find({ email: BOB, event: "redeemed" })).toEqual(["redeemed"]);
    expect(await find({ route: "lab" })).toEqual(["redeemed"]);
    expect(await find({ client: "192.0.2.1" })).toEqual(["access_refused"]);
    expect(await find({ since: start + 1, until: start + 1000 })).toEqual(["redeemed"]);
    expect(await find({ since: start, until: start })).toEqual(["redeemed"]);
    expect(await find({ until: start - 1 })).toEqual([]);
    expect(await find({ event: "nothing" })).toEqual([]);
    const [revoked] = (await trail.find({ event: "session_revoked" })).items;
    expect(revoked?.actor).toEqual({ kind: "admin", email: ROOT });
    expect(revoked?.details).toEqual({ session: "abcdef12" });
  });

  test("what matches nothing looks at so many and no more, and says that there are others", async () => {
    const { trail } = stage();
    for (let i = 0; i < 6_000; i++) {
      trail.keep(refused());
      if (i % 500 === 0) await trail.flush();
    }
    const page = await trail.find({ event: "redeemed" });
    expect(page.items).toEqual([]);
    expect(page.next).toBeDefined();
    const rest = await trail.find({ event: "redeemed" }, { cursor: page.next });
    expect(rest).toEqual({ items: [], next: undefined });
  });

  test("H5 quotes, percent signs, regular expressions and a megabyte are searched for as they are", async () => {
    const { trail } = stage();
    const words = ["'", '"', "%", "_", ".*", "a' OR '1'='1", "\\", "\n", "\0", "{", "x".repeat(1 << 20)];
    for (const word of words) trail.keep(redeemed(ADA, { route: word.slice(0, 400) }));
    for (const word of words) {
      for (const name of ["event", "outcome", "email", "client"] as const) {
        expect((await trail.find({ [name]: word })).items).toEqual([]);
      }
      const found = (await trail.find({ route: word })).items;
      expect(found.map(({ route }) => route)).toEqual(word.length > 400 ? [] : [word]);
      expect((await trail.find({}, { cursor: word })).items).toHaveLength(words.length);
    }
  });
});
