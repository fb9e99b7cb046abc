import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createSpentTickets } from "../../src/login/spent.ts";
import { createWaitingMails } from "../../src/mail/waiting.ts";
import { SESSIONS } from "../../src/session/record.ts";
import { openStore } from "../../src/store/open.ts";
import { openHandle } from "../../src/store/sqlite/handle.ts";
import { createPredecessorSweep } from "../../src/store/sqlite/predecessor-sweep.ts";
import type { Store } from "../../src/store/store.ts";
import { auditOf, redeem, sessionOf, whoAmI } from "../login/support.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { needs } from "../support/needs.ts";
import { SILENT } from "../support/silent.ts";
import { startValkey, type ValkeyServer } from "../support/valkey.ts";
import { makeOlder } from "./fixtures/older-schemas.ts";
import previous from "./fixtures/previous.json";
import { type Place, temporaryPlace } from "./sqlite-place.ts";

/** What the version before records left (`fixtures/README.md`) is taken over, and nobody is signed out. */

setDefaultTimeout(30_000);

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const PEOPLE = ["ada@example.org", "bob@example.org", "eve@example.org"] as const;

type Left = Omit<typeof previous.sqlite, "commands">;
/** A store as it was left. */
type Target = {
  readonly location: Parameters<typeof openStore>[0];
  readonly left: Left;
  /** How many mails are still where the older version looks for them. */
  mailsLeft(): Promise<number>;
  stop(): Promise<void> | void;
};

async function sqlite(): Promise<Target> {
  const place = temporaryPlace();
  copyFileSync(join(import.meta.dir, "fixtures/previous.db"), place.path);
  return {
    location: { kind: "sqlite", path: place.path },
    left: previous.sqlite,
    async mailsLeft() {
      using database = new Database(place.path);
      return database.query<{ rows: number }, []>("SELECT count(*) AS rows FROM outbox").get()?.rows ?? 0;
    },
    stop: () => place[Symbol.dispose](),
  };
}

async function replay(server: ValkeyServer): Promise<void> {
  for (const [command = "", ...args] of previous.valkey.commands) await server.run(command, ...args);
}

async function valkey(executable: string): Promise<Target> {
  const server = await startValkey(executable);
  await replay(server);
  return {
    location: { kind: "valkey", url: server.url, shown: server.url },
    left: previous.valkey,
    mailsLeft: async () => Number(await server.run("HLEN", "{runegate}:outbox")),
    stop: () => server.stop(),
  };
}

const redis = needs("redis-server");
const TARGETS: [string, () => Promise<Target>][] = [
  ["SQLite", sqlite],
  ...(redis === undefined ? [] : [["Valkey", () => valkey(redis)] satisfies [string, () => Promise<Target>]]),
];

describe.each(TARGETS)("what the previous version left in %s", (_, open) => {
  let target: Target;
  let clock: TestClock;
  const opened: (() => Promise<unknown>)[] = [];
  beforeEach(async () => {
    target = await open();
    clock = testClock(target.left.at + MINUTE);
  });
  async function shutDown(): Promise<void> {
    for (const stop of opened.splice(0).reverse()) await stop();
  }
  afterEach(async () => {
    await shutDown();
    await target.stop();
  });

  async function start(): Promise<TestGateway> {
    const stores = await openStore(target.location, { clock, log: SILENT });
    const gateway = await startGateway({
      stores,
      clock,
      env: {
        RUNEGATE_JWT_SECRET: "j".repeat(64),
        RUNEGATE_SESSION_KEY: "k".repeat(64),
        RUNEGATE_BASE_URL: previous.baseUrl,
        RUNEGATE_LOG_FORMAT: "json",
      },
    });
    opened.push(
      async () => stores.close(),
      () => gateway.stop(),
    );
    return gateway;
  }

  test("everybody is still signed in, hours later and after a restart too, until the end that it had", async () => {
    for (const later of [0, 2 * HOUR, 24 * HOUR]) {
      clock.advance(later);
      const gateway = await start();
      for (const email of PEOPLE)
        expect(await whoAmI(gateway, target.left.sessions[email])).toMatchObject({
          authenticated: true,
          email,
        });
      expect((await gateway.gateway.sessions.list()).map(({ email }) => email)).toEqual([...PEOPLE]);
      await shutDown();
    }
    clock.setWall(target.left.at + 7 * 24 * HOUR);
    const gateway = await start();
    for (const email of PEOPLE)
      expect(await whoAmI(gateway, target.left.sessions[email])).toMatchObject({ authenticated: false });
  });

  test("is left as it is by a program that runs beside a gateway, which says what to do", async () => {
    const open = async () => {
      const store = await openStore(target.location, { clock, log: SILENT, asIs: true });
      try {
        await store.ready();
      } finally {
        await store.close();
      }
    };
    const mails = await target.mailsLeft();
    await expect(open()).rejects.toThrow("start the gateway of this version, which brings it up to date");
    expect(await target.mailsLeft()).toBe(mails);
    expect(mails).toBeGreaterThan(0);
    await (await openStore(target.location, { clock, log: SILENT })).close();
    await open();
  });

  test("a session ends by order, of its own and with all of its address", async () => {
    const gateway = await start();
    const { ada, bob, eve } = { ada: PEOPLE[0], bob: PEOPLE[1], eve: PEOPLE[2] };
    const headers = { Cookie: target.left.sessions[ada] };
    expect((await fetch(`${gateway.url}/_runegate/logout`, { method: "POST", headers })).status).toBe(200);
    expect(await gateway.gateway.sessions.endAll(bob as never)).toHaveLength(1);
    await shutDown();
    const later = await start();
    const who = PEOPLE.map(async (email) => (await whoAmI(later, target.left.sessions[email])).email);
    expect(await Promise.all(who)).toEqual([null, null, eve]);
  });

  test("a used link stays used, and one that was not opens, once", async () => {
    const gateway = await start();
    const { used, unused } = target.left;
    expect((await redeem(gateway, { token: used.token }, { Cookie: used.cookie })).status).toBe(401);
    expect(auditOf(gateway).at(-1)).toMatchObject({ event: "redemption_refused", reason: "spent" });
    expect(
      sessionOf(await redeem(gateway, { token: unused.token }, { Cookie: unused.cookie })),
    ).toBeDefined();
    expect((await redeem(gateway, { token: unused.token }, { Cookie: unused.cookie })).status).toBe(401);
  });

  test("a mail that waited is sent, once, and its link opens", async () => {
    const gateway = await start();
    expect(await target.mailsLeft()).toBe(0);
    // It had been tried, and was to be again.
    clock.advance(2 * MINUTE);
    for (let i = 0; i < 2; i++) await gateway.gateway.outbox.runDue();
    const mails = gateway.mailbox.mails();
    expect(mails.map(({ to }) => to)).toEqual(["waits@example.org"]);
    const token = new URL(mails[0]?.link ?? "").searchParams.get("token") ?? "";
    expect(sessionOf(await redeem(gateway, { token }))).toBeDefined();
  });
});

describe("an older process that still runs on the database that was taken over", () => {
  let place: Place;
  let clock: TestClock;
  let older: Database;
  let store: Store;
  const count = (sql: string) => older.query<{ value: number }, []>(`SELECT ${sql} AS value`).get()?.value;

  /** As the older version has them prepared, before anything is taken over. */
  function prepare(database: Database) {
    return {
      spend: database.prepare(`
        INSERT INTO tickets (jti, expires_at)
        SELECT ?1, ?2 WHERE ?2 > (SELECT value FROM state WHERE name = 'tickets_swept_until')
        ON CONFLICT DO NOTHING`),
      create: database.prepare(`
        INSERT OR REPLACE INTO sessions (id, email, created_at, expires_at, seen_at, ip, user_agent)
        VALUES (?, ?, ?, ?, ?, ?, ?)`),
      find: database.prepare("SELECT * FROM sessions WHERE id = ?"),
      touch: database.prepare(
        "UPDATE sessions SET seen_at = ?2 WHERE id = ?1 AND seen_at < ?2 AND expires_at > ?3",
      ),
      end: database.prepare("DELETE FROM sessions WHERE id = ? RETURNING id"),
      queue: database.prepare(`
        INSERT INTO outbox (id, recipient, subject, text, html, message_id, queued_at, expires_at, attempts,
          next_attempt_at, cooldown_key)
        SELECT ?1, 'ann@example.org', 'Sign in', 'the link', NULL, '<m@x>', ?2, ?3, 0, ?2, NULL
          WHERE (SELECT count(*) FROM outbox) < 10000
        ON CONFLICT DO NOTHING`),
      due: database.prepare("SELECT * FROM outbox WHERE next_attempt_at <= ?"),
    };
  }
  let run: ReturnType<typeof prepare>;
  beforeEach(() => {
    place = temporaryPlace();
    copyFileSync(join(import.meta.dir, "fixtures/previous.db"), place.path);
    clock = testClock(previous.sqlite.at + MINUTE);
    older = new Database(place.path);
    run = prepare(older);
    expect(run.find.get("nobody")).toBeNull();
    store = place.open(clock);
  });
  afterEach(() => {
    older.close();
    place[Symbol.dispose]();
  });

  test("and the newer one accept each link once between them", async () => {
    const spent = createSpentTickets(store, clock);
    const end = clock.now() + HOUR;
    expect([run.spend.run("a", end).changes, await spent.spend("a", end)]).toEqual([1, false]);
    expect([await spent.spend("b", end), run.spend.run("b", end).changes]).toEqual([true, 0]);
    expect([run.spend.run("a", end).changes, await spent.spend("b", end)]).toEqual([0, false]);
  });

  test("goes on finding its sessions; those that it begins and ends are known to the newer one", async () => {
    const sessions = store.records(SESSIONS);
    const [first] = await sessions.find({ most: 1 });
    expect(run.find.get(first?.id ?? "")).not.toBeNull();
    const [now, end] = [clock.now(), clock.now() + HOUR];
    run.create.run("s", "ann@example.org", now, end, now, "192.0.2.1", "test");
    expect(run.touch.run("s", now + 1, now).changes).toBe(1);
    expect(await sessions.get("s")).toMatchObject({
      id: "s",
      expiresAt: end,
      record: {
        email: "ann@example.org",
        createdAt: now,
        seenAt: now,
        ip: "192.0.2.1",
        userAgent: "test",
        seal: "",
      },
    });
    expect(run.end.all("s")).toHaveLength(1);
    expect(await sessions.get("s")).toBeUndefined();
    expect(run.end.all(first?.id ?? "")).toHaveLength(1);
    expect(await sessions.find({ most: 9 })).toHaveLength(2);
  });

  test("queues mails that the newer one sends", async () => {
    const waiting = createWaitingMails(store, SILENT);
    const now = clock.now();
    expect(run.queue.run("m", now, now + HOUR).changes).toBe(1);
    expect(run.due.all(now + HOUR)).toEqual([]);
    const claimed = await waiting.claim(false, now, now + HOUR, 10);
    expect(claimed.filter(({ id }) => id === "m")).toEqual([
      {
        ...{ id: "m", to: "ann@example.org", messageId: "<m@x>", queuedAt: now, expiresAt: now + HOUR },
        ...{ attempts: 1, nextAttemptAt: now + HOUR, cooldownKey: undefined, first: false },
        content: '{"subject":"Sign in","text":"the link","html":null}',
      },
    ]);
  });

  test("has its tables for an hour; then they go, some rows at a time, and nothing of the records with them", async () => {
    const handle = openHandle({ path: place.path, clock, log: SILENT });
    const sweep = createPredecessorSweep(handle, clock);
    const records = () =>
      ["session", "ticket", "mail"].map((kind) => count(`(SELECT count(*) FROM records_${kind})`));
    const before = records();
    expect(before).toEqual([3, 3, 1]);
    expect(sweep(2)).toBe(false);
    expect(count("(SELECT count(*) FROM sessions)")).toBe(3);
    clock.advance(HOUR);
    expect([sweep(2), sweep(2), sweep(2), sweep(2)]).toEqual([true, true, false, false]);
    const tables = older.query(
      "SELECT name FROM sqlite_schema WHERE name IN ('sessions', 'tickets', 'outbox') OR type = 'trigger' AND name LIKE '%er_%'",
    );
    expect(
      tables
        .all()
        .map((row) => (row as { name: string }).name)
        .filter((name) => !name.startsWith("limits")),
    ).toEqual([]);
    expect(records()).toEqual(before);
    expect(await createSpentTickets(store, clock).spend("later", clock.now() + HOUR)).toBe(true);
    handle.close();
  });
});

test("a mail that waited in clear has left nothing in the file once it was sent", async () => {
  using place = temporaryPlace();
  copyFileSync(join(import.meta.dir, "fixtures/previous.db"), place.path);
  const clock = testClock(previous.sqlite.at);
  const store = place.open(clock);
  const waiting = createWaitingMails(store, SILENT);
  const [mail] = await waiting.claim(false, clock.now() + HOUR, clock.now() + 2 * HOUR, 10);
  const token = /token=[\w.-]+/.exec(mail?.content ?? "")?.[0] ?? "none";
  expect(token.length).toBeGreaterThan(100);
  expect(readFileSync(place.path, "latin1").includes(token)).toBe(true);
  await waiting.remove(mail?.id ?? "");
  await store.close();
  expect(readFileSync(place.path, "latin1").includes(token)).toBe(false);
});

test("seals, sealed mails and their order are taken over from a file that has had them in the older tables", async () => {
  using place = temporaryPlace();
  const clock = testClock();
  const [now, end] = [clock.now(), clock.now() + HOUR];
  const older = new Database(place.path);
  makeOlder(older, 3, now);
  older.run("INSERT INTO sessions VALUES ('s', 'ada@example.org', ?, ?, ?, '::1', 'Firefox', 'a-seal')", [
    now,
    end,
    now,
  ]);
  const mail = older.prepare(
    "INSERT INTO outbox (id, recipient, message_id, queued_at, expires_at, attempts, next_attempt_at, content, first) VALUES (?, 'ada@example.org', '<m>', ?, ?, 0, ?, ?, ?)",
  );
  mail.run("later", now, end, now, "sealed-later", 0);
  mail.run("first", now + 1, end, now + 1, "sealed-first", 1);
  older.run("INSERT INTO tickets VALUES ('used', ?)", [end]);
  older.close();
  const store = place.open(clock);
  clock.advance(MINUTE);
  expect((await store.records(SESSIONS).get("s"))?.record).toMatchObject({
    email: "ada@example.org",
    seal: "a-seal",
  });
  expect(await createSpentTickets(store, clock).spend("used", end)).toBe(false);
  const waiting = createWaitingMails(store, SILENT);
  const claimed = [true, false].map((first) => waiting.claim(first, clock.now(), end, 10));
  expect((await Promise.all(claimed)).flat().map(({ id, content }) => [id, content])).toEqual([
    ["first", "sealed-first"],
    ["later", "sealed-later"],
  ]);
  await store.close();
});

test.each([1, 2, 3] as const)(
  "sessions, used links and mails are taken over from a file of schema %p",
  async (version) => {
    using place = temporaryPlace();
    const clock = testClock();
    const [now, end] = [clock.now(), clock.now() + HOUR];
    const older = new Database(place.path);
    makeOlder(older, version, now);
    older.run(
      "INSERT INTO sessions (id, email, created_at, expires_at, seen_at, ip, user_agent) VALUES ('s', 'ada@example.org', ?, ?, ?, '::1', 'Firefox')",
      [now, end, now],
    );
    older.run(
      "INSERT INTO outbox (id, recipient, subject, text, message_id, queued_at, expires_at, attempts, next_attempt_at) VALUES ('m', 'ada@example.org', 'Sign in', 'the link', '<m>', ?, ?, 2, ?)",
      [now, end, now],
    );
    older.run("INSERT INTO tickets VALUES ('used', ?)", [end]);
    older.close();
    const store = place.open(clock);
    expect(await store.records(SESSIONS).get("s")).toEqual({
      ...{ id: "s", version: 1, expiresAt: end },
      record: {
        ...{ email: "ada@example.org", createdAt: now, seenAt: now, ip: "::1", userAgent: "Firefox" },
        seal: "",
      },
    });
    expect(await createSpentTickets(store, clock).spend("used", end)).toBe(false);
    const [mail] = await createWaitingMails(store, SILENT).claim(false, now, end, 10);
    expect(mail).toMatchObject({
      ...{ id: "m", to: "ada@example.org", attempts: 3, first: false },
      content: '{"subject":"Sign in","text":"the link","html":null}',
    });
    expect(store.since()).toBe(now);
    await store.close();
  },
);

test("a new database has none of the older tables", () => {
  using place = temporaryPlace();
  void place.open(testClock()).ready();
  using database = new Database(place.path);
  const names = database
    .query<{ name: string }, []>("SELECT name FROM sqlite_schema WHERE type IN ('table', 'trigger')")
    .all();
  expect(names.map(({ name }) => name).toSorted()).toEqual([
    "limits",
    "limits_added",
    "limits_removed",
    "schema_version",
    "state",
  ]);
});

describe.skipIf(redis === undefined)("a Valkey server of older gateways", () => {
  let server: ValkeyServer;
  const clock = testClock(previous.valkey.at + MINUTE);
  const stores: Store[] = [];
  const open = async (): Promise<Store> => {
    const store = await openStore(
      { kind: "valkey", url: server.url, shown: server.url },
      { clock, log: SILENT },
    );
    stores.push(store);
    return store;
  };
  beforeEach(async () => {
    server = await startValkey(redis ?? "");
    await replay(server);
  });
  afterEach(async () => {
    for (const store of stores.splice(0)) await store.close();
    await server.stop();
  });

  /** As they keep a session. */
  async function create(id: string, value: string): Promise<void> {
    await server.run("HSET", "{runegate}:sessions", id, value);
    await server.run("ZADD", "{runegate}:sessions:expiry", String(clock.now() + HOUR), id);
  }
  const oldSession = (email: string) =>
    `${clock.now()}\n${email}\n${JSON.stringify({ createdAt: 1, expiresAt: clock.now() + HOUR, ip: "", userAgent: "" })}`;

  test("is taken over by one gateway where several start at once, in pages, before any of them answers", async () => {
    for (let i = 0; i < 1_200; i++) await create(`s${i}`, oldSession(`${i % 7}@example.org`));
    const opened = await Promise.all([open(), open(), open()]);
    for (const store of opened) {
      const all = await store.records(SESSIONS).find({ most: 1e6 });
      expect(all).toHaveLength(1_203);
      expect(await store.records(SESSIONS).get("s1199")).toMatchObject({
        record: { email: "2@example.org", seal: "" },
      });
    }
    expect(await opened[0]?.records(SESSIONS).takeAll("email", "3@example.org")).toHaveLength(171);
    // What has ended stays so, whoever comes later.
    expect(
      await (await open()).records(SESSIONS).find({ where: { email: "3@example.org" }, most: 9 }),
    ).toEqual([]);
  });

  test("gives up what cannot be read alone, and leaves the older ones their sessions for an hour", async () => {
    const broken = [
      "",
      "x",
      "1\nann@example.org\n{",
      "soon\nann@example.org\nnull",
      oldSession("a").slice(0, 20),
    ];
    for (const [i, value] of broken.entries()) await create(`broken${i}`, value);
    const sessions = (await open()).records(SESSIONS);
    expect(await sessions.find({ most: 99 })).toHaveLength(3);
    expect(await server.run("HLEN", "{runegate}:sessions")).toBe(3 + broken.length);
    expect(Number(await server.run("PTTL", "{runegate}:sessions"))).toBeLessThanOrEqual(HOUR);
  });

  test("and its newer ones accept each link once between them", async () => {
    const spent = createSpentTickets(await open(), clock);
    const end = clock.now() + HOUR;
    await server.run("SET", "{runegate}:ticket:a", "", "NX", "PX", "60000");
    expect([await spent.useOf("a"), await spent.spend("a", end)]).toEqual([{ device: {} }, false]);
    expect(await spent.spend("b", end)).toBe(true);
    expect(await server.run("SET", "{runegate}:ticket:b", "", "NX", "PX", "60000")).toBeNull();
  });

  test("has mails that an older one still queues sent by the next that comes", async () => {
    await createWaitingMails(await open(), SILENT).remove("");
    const rest = {
      to: "ann@example.org",
      subject: "Sign in",
      text: "the link",
      messageId: "<m@x>",
      queuedAt: 1,
    };
    const place = `${"1".padStart(16, "0")}${"7".padStart(16, "0")}late`;
    const value = `0\n${place}\n${JSON.stringify({ ...rest, expiresAt: clock.now() + HOUR })}`;
    await server.run("HSET", "{runegate}:outbox", "late", value, "broken", "x");
    await server.run("ZADD", "{runegate}:outbox:due", String(clock.now() - 5), place);
    const waiting = createWaitingMails(await open(), SILENT);
    const claimed = await waiting.claim(false, clock.now(), clock.now() + HOUR, 10);
    const late = claimed.filter(({ to }) => to !== "waits@example.org");
    expect(late.map(({ id, to, content, attempts }) => [id, to, content, attempts])).toEqual([
      ["late", "ann@example.org", '{"subject":"Sign in","text":"the link"}', 1],
    ]);
    expect(await server.run("EXISTS", "{runegate}:outbox", "{runegate}:outbox:due")).toBe(0);
  });
});
