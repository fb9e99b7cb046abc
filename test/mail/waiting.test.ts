import { afterAll, afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../../src/clock.ts";
import {
  CAPACITY,
  createWaitingMails,
  type OutboxEntry,
  RESERVED,
  type WaitingMails,
} from "../../src/mail/waiting.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import type { Store } from "../../src/store/store.ts";
import { openValkeyStore } from "../../src/store/valkey.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { needs } from "../support/needs.ts";
import { SILENT } from "../support/silent.ts";
import { startValkey } from "../support/valkey.ts";
import { recordingLog } from "./support.ts";

/** Mails that wait, in each store. */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const folder = mkdtempSync(join(tmpdir(), "runegate-waiting-"));
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
if (server !== undefined) {
  STORES.push([
    "Valkey",
    async (clock) => {
      await server.run("FLUSHALL");
      return openValkeyStore({ url: server.url, clock, log: SILENT });
    },
  ]);
}

describe.each(STORES)("in %s, mails that wait", (_, open) => {
  let clock: TestClock;
  let store: Store;
  let mails: WaitingMails;
  const log = recordingLog();
  beforeEach(async () => {
    clock = testClock();
    store = await open(clock);
    mails = createWaitingMails(store, log);
  });
  afterEach(() => store.close());

  function mail(id: string, changes: Partial<OutboxEntry> = {}): OutboxEntry {
    return {
      id,
      to: "ann@example.org",
      content: "line one\nline two\n",
      messageId: `<${id}@example.org>`,
      queuedAt: clock.now(),
      expiresAt: clock.now() + HOUR,
      attempts: 0,
      nextAttemptAt: clock.now(),
      cooldownKey: undefined,
      first: false,
      ...changes,
    };
  }
  /** Long enough that what is claimed does not come back in a case that is about something else. */
  const CLAIM = 100 * HOUR;
  const add = (entry: OutboxEntry, reserved = false) => mails.add(entry, reserved);
  const claim = (most = 100) => mails.claim(false, clock.now(), clock.now() + CLAIM, most);
  const claimedIds = async (most?: number) => (await claim(most)).map((entry) => entry.id);

  test("starts empty", async () => {
    expect(await claimedIds()).toEqual([]);
    expect(await mails.nextDue()).toBeUndefined();
  });

  test("hands out mails as they were queued, counting the attempt, until they are removed", async () => {
    const plain = mail("a");
    const full = mail("b", { content: "<p>ünïcode</p>", cooldownKey: "mail:ann@example.org" });
    expect(await add(plain)).toBe(true);
    expect(await add(full)).toBe(true);
    const until = clock.now() + 90_000;
    const handedOut = (attempts: number, nextAttemptAt: number) =>
      [plain, full].map((entry) => ({ ...entry, attempts, nextAttemptAt }));
    expect(await mails.claim(false, clock.now(), until, 100)).toEqual(handedOut(1, until));
    expect(await mails.nextDue()).toBe(until);
    clock.advance(90_000);
    expect(await mails.claim(false, clock.now(), until + 90_000, 100)).toEqual(handedOut(2, until + 90_000));
    await mails.remove("a");
    clock.advance(90_000);
    expect(await claimedIds()).toEqual(["b"]);
    await mails.remove("a");
    await mails.remove("b");
    clock.advance(CLAIM);
    expect(await claimedIds()).toEqual([]);
    expect(await mails.nextDue()).toBeUndefined();
  });

  test("gives a mail to one of many who claim at once, and to nobody else while the claim lasts", async () => {
    for (let i = 0; i < 20; i++) await add(mail(`m${i}`));
    const all = await Promise.all(Array.from({ length: 50 }, () => claimedIds(3)));
    const handedOut = all.flat();
    expect(handedOut).toHaveLength(20);
    expect(new Set(handedOut).size).toBe(20);
    for (const ids of all) expect(ids.length).toBeLessThanOrEqual(3);
    clock.advance(CLAIM - 1);
    expect(await claimedIds()).toEqual([]);
    clock.advance(1);
    expect(await claimedIds()).toHaveLength(20);
  });

  test("orders by when mails fall due, and what falls due together by id", async () => {
    const now = clock.now();
    await add(mail("late", { nextAttemptAt: now + 2000 }));
    await add(mail("second", { queuedAt: now - 1, nextAttemptAt: now + 1000 }));
    await add(mail("first", { queuedAt: now - 2, nextAttemptAt: now + 1000 }));
    await add(mail("now"));
    expect(await mails.nextDue()).toBe(now);
    clock.advance(999);
    expect(await mails.claim(false, clock.now(), now + 999, 100)).toMatchObject([{ id: "now" }]);
    clock.advance(1);
    expect(await mails.claim(false, clock.now(), now + 1500, 2)).toMatchObject([
      { id: "now" },
      { id: "first" },
    ]);
    expect(await claimedIds()).toEqual(["second"]);
    clock.advance(1000);
    expect(await claimedIds()).toEqual(["first", "now", "late"]);
  });

  test("postpones", async () => {
    const entry = mail("a");
    const now = clock.now();
    await add(entry);
    await add(mail("b", { nextAttemptAt: now + 5000 }));
    expect(await claimedIds()).toEqual(["a"]);
    await mails.postpone("a", now + 30_000, 1);
    expect(await claimedIds()).toEqual([]);
    expect(await mails.nextDue()).toBe(now + 5000);
    await mails.remove("b");
    expect(await mails.nextDue()).toBe(now + 30_000);
    clock.advance(30_000);
    await mails.postpone("gone", now, 1);
    expect(await claim(5)).toEqual([{ ...entry, attempts: 2, nextAttemptAt: clock.now() + CLAIM }]);
  });

  test("are listed, oldest first, with why the last attempt failed", async () => {
    const now = clock.now();
    await add(mail("b", { queuedAt: now, nextAttemptAt: now + 1 }));
    await add(mail("a", { queuedAt: now - 5, nextAttemptAt: now + 9, first: true }), true);
    await mails.postpone("b", now + 7, 2, "451 later");
    expect(await mails.list()).toMatchObject([
      { id: "a", first: true },
      { id: "b", attempts: 2, nextAttemptAt: now + 7, lastError: "451 later" },
    ]);
    // Not forgotten by what has no reason of its own.
    await mails.postpone("b", now + 8, 1);
    expect((await mails.list())[1]).toMatchObject({ lastError: "451 later", nextAttemptAt: now + 8 });
  });

  test("are due at once when they are to be retried, but for one that somebody has", async () => {
    const now = clock.now();
    const bothIds = async () =>
      [
        ...(await mails.claim(true, now, now + CLAIM, 5)),
        ...(await mails.claim(false, now, now + CLAIM, 5)),
      ].map(({ id }) => id);
    for (const [id, first] of [
      ["a", true],
      ["b", false],
    ] as const)
      await add(mail(id, { nextAttemptAt: now, first }));
    expect(await bothIds()).toEqual(["a", "b"]);
    // H17: it is being sent, so it must not be handed out a second time.
    expect([await mails.retry("a", now), await mails.retry("b", now)]).toEqual(["busy", "busy"]);
    expect(await bothIds()).toEqual([]);
    for (const id of ["a", "b"]) await mails.postpone(id, now + HOUR, 1);
    expect(await bothIds()).toEqual([]);
    expect([await mails.retry("a", now), await mails.retry("b", now)]).toEqual(["due", "due"]);
    expect(await bothIds()).toEqual(["a", "b"]);
    expect(await mails.retry("gone", now)).toBe("gone");
    expect([await mails.remove("a"), await mails.remove("a")]).toEqual([true, false]);
  });

  test("are handed out to one only of those who retry and claim at once", async () => {
    const now = clock.now();
    for (let i = 0; i < 20; i++) {
      await add(mail("a", { nextAttemptAt: now + HOUR }));
      await mails.postpone("a", now, 1);
      const [claimed, retried] = await Promise.all([claimedIds(), mails.retry("a", now)]);
      expect(claimed.length + (await claimedIds()).length).toBe(1);
      expect(["due", "busy"]).toContain(retried);
      await mails.remove("a");
    }
  });

  test("says how often a postponed mail has been tried", async () => {
    await add(mail("a"));
    await claim();
    await mails.postpone("a", clock.now(), 0);
    expect(await claim()).toMatchObject([{ id: "a", attempts: 1 }]);
  });

  test("hands out those that go first and the others each for themselves, postponed ones too", async () => {
    const claimFirst = async () =>
      (await mails.claim(true, clock.now(), clock.now() + CLAIM, 100)).map(({ id, first }) => [id, first]);
    const now = clock.now();
    for (const id of ["b", "a"]) await add(mail(id, { nextAttemptAt: now - 1000 - (id === "b" ? 1 : 0) }));
    expect(await claimFirst()).toEqual([]);
    await add(mail("late", { first: true, nextAttemptAt: now + 1000 }));
    await add(mail("first", { first: true, nextAttemptAt: now - 500 }));
    expect(await mails.nextDue()).toBe(now - 1001);
    expect(await claimFirst()).toEqual([["first", true]]);
    expect(await claimFirst()).toEqual([]);
    expect(await claimedIds()).toEqual(["b", "a"]);
    expect(await mails.nextDue()).toBe(now + 1000);
    await mails.postpone("first", now + 500, 1);
    await mails.postpone("a", now + 600, 1);
    expect(await mails.nextDue()).toBe(now + 500);
    clock.advance(1000);
    expect(await claimFirst()).toEqual([
      ["first", true],
      ["late", true],
    ]);
    expect(await claimedIds()).toEqual(["a"]);
    for (const id of ["first", "late", "a", "b"]) await mails.remove(id);
    expect(await mails.nextDue()).toBeUndefined();
  });

  test("that go first have room of their own when there is no other, and are handed out from there as well", async () => {
    const later = clock.now() + HOUR;
    await Promise.all(
      Array.from({ length: CAPACITY }, (_, i) => add(mail(`m${i}`, { nextAttemptAt: later }))),
    );
    expect(await add(mail("no room"))).toBe(false);
    expect(await add(mail("no room", { first: true }))).toBe(false);
    const names = Array.from({ length: RESERVED }, (_, i) => `r${String(i).padStart(4, "0")}`);
    const added = await Promise.all(names.map((id) => add(mail(id, { first: true }), true)));
    expect(added.every(Boolean)).toBe(true);
    expect(await add(mail("no room", { first: true }), true)).toBe(false);
    expect(await mails.nextDue()).toBe(clock.now());
    const claimed = await mails.claim(true, clock.now(), clock.now() + CLAIM, 3);
    expect(claimed.map(({ id, first }) => [id, first])).toEqual([
      ["r0000", true],
      ["r0001", true],
      ["r0002", true],
    ]);
    await mails.postpone("r0000", clock.now() + MINUTE, 0);
    for (const id of names.slice(1)) await mails.remove(id);
    expect(await mails.nextDue()).toBe(clock.now() + MINUTE);
    expect(await add(mail("no room"))).toBe(false);
  });

  test("still hands out a mail that has expired: giving it up is the sender's part", async () => {
    await add(mail("a"));
    clock.advance(2 * HOUR);
    expect(await claimedIds()).toEqual(["a"]);
  });

  test("keeps one of a mail that is added twice", async () => {
    expect(await add(mail("a"))).toBe(true);
    expect(await add(mail("a"))).toBe(true);
    expect(await claimedIds()).toEqual(["a"]);
  });

  test("takes 10,000 mails and no more, until there is room", async () => {
    const added = await Promise.all(
      Array.from({ length: 10_000 }, (_, i) =>
        add(mail(`m${i}`, { nextAttemptAt: clock.now() + ((i * 7919) % 10_000) })),
      ),
    );
    expect(added.every(Boolean)).toBe(true);
    expect(await add(mail("one too many"))).toBe(false);
    clock.advance(10_000);
    const ids = await claimedIds(20_000);
    expect(ids).toHaveLength(10_000);
    const offsets = ids.map((id) => (Number(id.slice(1)) * 7919) % 10_000);
    expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
    await mails.remove("m5000");
    expect(await add(mail("fits now"))).toBe(true);
    expect(await add(mail("again too many"))).toBe(false);
  });

  test("and cannot be read cost themselves only, and are told and dropped once", async () => {
    log.lines.length = 0;
    await add(mail("good"));
    const records = store.records<Record<string, unknown>>({ name: "mail" });
    const whole = { ...mail("x"), turn: clock.now() - 1 };
    for (const [i, broken] of [
      { turn: 1 },
      { ...whole, to: 7 },
      { ...whole, content: undefined },
      { ...whole, expiresAt: "never" },
      { ...whole, attempts: null },
    ].entries())
      await records.add(`broken${i}`, broken, clock.now() + HOUR);
    expect(await claimedIds(2)).toEqual(["good"]);
    expect(log.lines.map(({ message }) => message)).toEqual(
      Array(5).fill("a waiting mail that cannot be read was dropped"),
    );
    await mails.remove("good");
    expect(await mails.nextDue()).toBeUndefined();
  });

  test("are there to be given up for a month after they were of any use", async () => {
    await add(mail("a"));
    clock.advance(30 * 24 * HOUR);
    expect(await claimedIds()).toEqual(["a"]);
  });
});
