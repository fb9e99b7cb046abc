import { Database } from "bun:sqlite";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import {
  type OutboxEntry,
  type SessionRecord,
  type Stores,
  StoreUnavailable,
} from "../../src/store/contracts.ts";
import { openHandle } from "../../src/store/sqlite/handle.ts";
import { createSqliteLimits } from "../../src/store/sqlite/limits.ts";
import { checkContents, contentsOf, MIGRATIONS, migrate } from "../../src/store/sqlite/migrations.ts";
import { createSqliteSessions } from "../../src/store/sqlite/sessions.ts";
import { startSweeper } from "../../src/store/sqlite/sweeper.ts";
import { createSqliteTickets } from "../../src/store/sqlite/tickets.ts";
import { SILENT } from "../support/silent.ts";
import { createTestClock, storeContract } from "./contract.ts";
import { recordsContract } from "./records-contract.ts";
import { type Place, temporaryPlace } from "./sqlite-place.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** In memory where there is such a file system: the contract is about answers, and 10,000 syncs would only measure the disk. */
const MEMORY = existsSync("/dev/shm") ? mkdtempSync("/dev/shm/runegate-sqlite-") : undefined;
afterAll(() => {
  if (MEMORY !== undefined) rmSync(MEMORY, { recursive: true });
});

const places: Place[] = [];
storeContract("sqlite", async (clock) => {
  const place = temporaryPlace(MEMORY);
  places.push(place);
  return place.open(clock);
});

recordsContract("sqlite", async (clock) => {
  const place = temporaryPlace(MEMORY);
  places.push(place);
  return place.open(clock);
});

let place: Place;
beforeEach(() => {
  place = temporaryPlace();
  places.push(place);
});
afterEach(() => {
  for (const used of places.splice(0)) used[Symbol.dispose]();
});

function session(id: string, changes: Partial<SessionRecord> = {}): SessionRecord {
  const now = 1_800_000_012_345;
  return {
    id,
    email: "ann@example.org",
    createdAt: now,
    expiresAt: now + HOUR,
    seenAt: now,
    ip: "192.0.2.7",
    userAgent: "test",
    seal: "s",
    ...changes,
  };
}

function mail(id: string): OutboxEntry {
  const times = { queuedAt: 0, expiresAt: 0, attempts: 0, nextAttemptAt: 0 };
  return { id, to: "a", content: "", messageId: "", cooldownKey: undefined, first: false, ...times };
}

function everyCall({ tickets, sessions, limits, outbox, ready }: Stores) {
  return {
    ready,
    isSpent: () => tickets.isSpent("a"),
    since: () => tickets.since(),
    create: () => sessions.create(session("a")),
    find: () => sessions.find("a"),
    end: () => sessions.end("a"),
    endAll: () => sessions.endAll("a"),
    list: () => sessions.list(),
    hit: () => limits.hit("a", { limit: 1, windowMs: 1 }),
    release: () => limits.release("a"),
    add: () => outbox.add(mail("m"), 10),
    claim: () => outbox.claim(false, 0, 1, 1),
    nextDue: () => outbox.nextDue(),
    postpone: () => outbox.postpone("a", 1, 1),
    remove: () => outbox.remove("a"),
  };
}

test("the SQLite store answers at once, but for a mail that is queued", async () => {
  const stores = place.open(createTestClock());
  const { add, ...others } = everyCall(stores);
  const queued = add();
  // Waiting for the disk, it has everybody else go on.
  expect(queued).toBeInstanceOf(Promise);
  expect(await queued).toBe(true);
  const answers = [
    stores.tickets.spend("a", 2e12),
    stores.sessions.touch(session("a")),
    ...Object.values(others).map((call) => call()),
    stores.close(),
  ];
  for (const answer of answers) expect(answer).not.toBeInstanceOf(Promise);
});

test("mails are queued once the disk has them, a thousand at once too, and not where it fails", async () => {
  const { outbox } = place.open(createTestClock());
  const mail = { to: "a", content: "", messageId: "", cooldownKey: undefined, first: false };
  const times = { queuedAt: 0, expiresAt: 0, attempts: 0, nextAttemptAt: 0 };
  const add = async (id: string) => outbox.add({ id, ...mail, ...times }, 10_000);
  const queued = await Promise.all(Array.from({ length: 1000 }, (_, index) => add(`m${index}`)));
  expect(new Set(queued)).toEqual(new Set([true]));
  // As near as a test comes to a disk that takes what is written and cannot keep it.
  rmSync(`${place.path}-wal`);
  await expect(add("lost")).rejects.toThrow(StoreUnavailable);
});

test("a closed store says so, however often it is closed", () => {
  const stores = place.open(createTestClock());
  void stores.ready();
  void stores.close();
  void stores.close();
  for (const [name, call] of Object.entries(everyCall(stores))) {
    expect(call, name).toThrow(StoreUnavailable);
    expect(call, name).toThrow("The database is closed.");
  }
  expect(stores.tickets.spend("a", 2e12)).toBe("unavailable");
  expect(stores.sessions.touch(session("a"))).toBeUndefined();
});

test("everything is there again after closing and opening", () => {
  const clock = createTestClock();
  const rule = { limit: 1, windowMs: MINUTE };
  const before = place.open(clock);
  void before.sessions.create(session("a"));
  expect(before.tickets.spend("t", clock.now() + MINUTE)).toBe("fresh");
  expect(before.limits.hit("k", rule)).toEqual({ allowed: true });
  void before.close();
  expect(readdirSync(place.directory)).toEqual(["runegate.db"]);
  clock.advance(1000);
  const after = place.open(clock);
  expect(after.sessions.find("a")).toEqual(session("a"));
  expect(after.tickets.spend("t", clock.now() + MINUTE)).toBe("spent");
  expect(after.limits.hit("k", rule)).toEqual({ allowed: false, retryAfterMs: 59_000 });
});

test("two handles on one file see each other's changes at once", () => {
  const clock = createTestClock();
  const [here, there] = [place.open(clock), place.open(clock)];
  void here.sessions.create(session("a"));
  expect(there.sessions.find("a")).toEqual(session("a"));
  void there.sessions.touch(session("a", { seenAt: session("a").seenAt + 5 }));
  expect(here.sessions.find("a")).toMatchObject({ seenAt: session("a").seenAt + 5 });
  const told: string[] = [];
  here.sessions.onEnded((id) => told.push(id));
  there.sessions.onEnded((id) => told.push(id));
  expect(there.sessions.end("a")).toBe(true);
  expect(here.sessions.find("a")).toBeUndefined();
  expect(here.sessions.end("a")).toBe(false);
  expect(told).toEqual(["a"]);
});

describe("the file", () => {
  const modes = () =>
    readdirSync(place.directory)
      .sort()
      .map((name) => [name, (statSync(join(place.directory, name)).mode & 0o777).toString(8)]);

  test.each([0o000, 0o022, 0o077])(
    "is its owner's alone under a umask of %p, with its log and index",
    (umask) => {
      const before = process.umask(umask);
      try {
        const stores = place.open(createTestClock());
        void stores.sessions.create(session("a"));
      } finally {
        process.umask(before);
      }
      expect(modes()).toEqual([
        ["runegate.db", "600"],
        ["runegate.db-shm", "600"],
        ["runegate.db-wal", "600"],
      ]);
    },
  );

  test("that was copied here for all to read becomes its owner's alone", () => {
    void place.open(createTestClock()).close();
    chmodSync(place.path, 0o644);
    place.open(createTestClock());
    expect(modes().map(([, mode]) => mode)).toEqual(["600", "600", "600"]);
  });

  test("is not created without its directory, which is named together with what to do", () => {
    rmdirSync(place.directory);
    expect(() => place.open(createTestClock())).toThrow(StoreUnavailable);
    expect(() => place.open(createTestClock())).toThrow(
      `There is no directory ${place.directory} for the database. Create it for the service's user`,
    );
  });

  test("is missed when it has been replaced by another", () => {
    const clock = createTestClock();
    const stores = place.open(clock);
    renameSync(place.path, `${place.path}.old`);
    writeFileSync(place.path, "");
    const moved = "The database file was moved or replaced while in use.";
    expect(() => stores.ready()).toThrow(moved);
    // What would be lost at the next start is not begun.
    expect(stores.tickets.spend("a", clock.now() + 60_000)).toBe("unavailable");
    expect(() => stores.sessions.end("a")).toThrow(moved);
    expect(stores.sessions.find("a")).toBeUndefined();
    rmSync(place.path);
    renameSync(`${place.path}.old`, place.path);
    stores.ready();
    expect(stores.tickets.spend("a", clock.now() + 60_000)).toBe("fresh");
  });

  test("is written to tell whether it can be, at most once a second", () => {
    const clock = createTestClock();
    const stores = place.open(clock);
    const reader = new Database(place.path, { readonly: true });
    const readyAt = () => reader.query("SELECT value FROM state WHERE name = 'probed_at'").get();
    for (const [ms, written] of [
      [0, 0],
      [999, 0],
      [1, 1000],
    ] as const) {
      clock.advance(ms);
      void stores.ready();
      expect(readyAt()).toEqual({ value: createTestClock().now() + written });
    }
    reader.close(true);
  });
});

describe("refuses to open, and leaves alone,", () => {
  function refusal(): string {
    const before = readFileSync(place.path);
    try {
      place.open(createTestClock());
    } catch (error) {
      expect(error).toBeInstanceOf(StoreUnavailable);
      expect(readFileSync(place.path).equals(before)).toBe(true);
      expect(readdirSync(place.directory)).toEqual(["runegate.db"]);
      return (error as StoreUnavailable).message;
    }
    throw new Error("it was opened");
  }

  test.each([
    ["a short text", "hello\n"],
    ["a long text", "RUNEGATE_STORE=sqlite:/etc/runegate/runegate.env\n".repeat(500)],
  ])("%s", (_, text) => {
    writeFileSync(place.path, text);
    expect(refusal()).toBe(
      `${place.path} is not a database. Name a file of Runegate's own in RUNEGATE_STORE.`,
    );
  });

  test.each(["DELETE", "WAL"])("another program's database with journal_mode=%s", (mode) => {
    const other = new Database(place.path);
    other.run(`PRAGMA journal_mode = ${mode}`);
    other.run("CREATE TABLE bookmarks (url TEXT)");
    other.close(true);
    expect(refusal()).toContain("is a database of another program");
  });

  test("another program's marked, but empty, database", () => {
    const other = new Database(place.path);
    other.run("PRAGMA application_id = 7");
    other.close(true);
    expect(refusal()).toContain("is a database of another program");
  });

  test("a newer Runegate's database", () => {
    void place.open(createTestClock()).close();
    const newer = new Database(place.path);
    newer.run("INSERT INTO schema_version VALUES (1000, 0)");
    newer.close(true);
    expect(refusal()).toContain(
      `was written by a newer Runegate (schema 1000, this one knows up to ${MIGRATIONS.length})`,
    );
  });

  test("a damaged database", () => {
    void place.open(createTestClock()).close();
    const bytes = readFileSync(place.path);
    bytes.fill(0xa5, 4096);
    writeFileSync(place.path, bytes, { mode: 0o600 });
    expect(refusal()).toContain("The database is damaged. Restore it from a backup.");
  });

  test("a directory", () => {
    mkdirSync(place.path);
    expect(() => place.open(createTestClock())).toThrow("The database cannot be opened");
  });
});

describe("migrations", () => {
  const STEPS = [
    "CREATE TABLE one (a TEXT) STRICT",
    "ALTER TABLE one ADD COLUMN b TEXT",
    "CREATE TABLE three (c TEXT)",
  ];
  const tables = (database: Database) =>
    database
      .query<{ name: string }, []>("SELECT name FROM sqlite_schema ORDER BY name")
      .all()
      .map(({ name }) => name);

  test.each([0, 1, 2, 3])("take a database from version %p to the newest, keeping what is in it", (from) => {
    using database = new Database(place.path);
    migrate(database, place.path, 1, STEPS.slice(0, from));
    if (from > 0) database.run("INSERT INTO one (a) VALUES ('kept')");
    expect(migrate(database, place.path, 2, STEPS)).toEqual({ from, to: 3 });
    expect(contentsOf(database)).toEqual({ kind: "ours", version: 3 });
    expect(tables(database)).toEqual(["one", "schema_version", "three"]);
    expect(database.query("SELECT a, b FROM one").all()).toEqual(from > 0 ? [{ a: "kept", b: null }] : []);
    expect(database.query("SELECT applied_at AS at FROM schema_version").all()).toEqual(
      [1, 2, 3].map((version) => ({ at: version <= from ? 1 : 2 })),
    );
  });

  test("that fail leave the version before them, whole", () => {
    using database = new Database(place.path);
    const broken = [...STEPS.slice(0, 1), "CREATE TABLE two (a TEXT); INSERT INTO nowhere VALUES (1)"];
    expect(() => migrate(database, place.path, 1, broken)).toThrow("nowhere");
    expect(contentsOf(database)).toEqual({ kind: "ours", version: 1 });
    expect(tables(database)).toEqual(["one", "schema_version"]);
    expect(migrate(database, place.path, 1, STEPS)).toEqual({ from: 1, to: 3 });
  });

  test("of an older Runegate are not run on a newer one's database", () => {
    using database = new Database(place.path);
    migrate(database, place.path, 1, STEPS);
    expect(() => migrate(database, place.path, 1, STEPS.slice(0, 2))).toThrow(StoreUnavailable);
    expect(() => checkContents(contentsOf(database), place.path, 2)).toThrow(
      "schema 3, this one knows up to 2",
    );
  });

  test.each([1, 2, 3])("of another process, between this one's questions: number %p", (last) => {
    using database = new Database(place.path);
    using other = new Database(place.path);
    let asked = 0;
    /** After the question of that number, the other process makes the tables. */
    const interrupted = {
      query(sql: string) {
        const row = database.query(sql).get();
        if (++asked === last) migrate(other, place.path, 1, STEPS);
        return { get: () => row };
      },
    } as unknown as Database;
    expect(() => checkContents(contentsOf(interrupted), place.path, 3)).not.toThrow();
  });

  test("to sealed mail leave what waits in clear to be sent, also what an older Runegate still adds", async () => {
    using older = new Database(place.path);
    migrate(older, place.path, 1, MIGRATIONS.slice(0, 1));
    // As the older one has it prepared, before and after.
    const add = older.prepare(`
      INSERT INTO outbox (id, recipient, subject, text, html, message_id, queued_at, expires_at, attempts,
        next_attempt_at, cooldown_key)
      SELECT ?1, 'ann@example.org', 'Sign in', 'the link', ?2, '<m@x>', 1, 2000, 0, ?3, 'mail:ann@example.org'
        WHERE (SELECT count(*) FROM outbox) < 10000
      ON CONFLICT DO NOTHING`);
    const due = older.prepare("SELECT id, subject, text, html FROM outbox ORDER BY next_attempt_at");
    add.run("before", "<p>the link</p>", 10);
    const { outbox } = place.open(createTestClock());
    add.run("after", null, 20);
    const sealed = { ...mail("sealed"), content: "sealed", nextAttemptAt: 30 };
    await outbox.add(sealed, 10);

    const shown = due.all();
    const claimed = await outbox.claim(false, 1000, 5000, 10);
    expect(claimed.map(({ id, content }) => [id, content])).toEqual([
      ["before", '{"subject":"Sign in","text":"the link","html":"<p>the link</p>"}'],
      ["after", '{"subject":"Sign in","text":"the link","html":null}'],
      ["sealed", "sealed"],
    ]);
    expect(claimed[0]).toEqual({
      ...{ id: "before", to: "ann@example.org", messageId: "<m@x>", queuedAt: 1, expiresAt: 2000 },
      ...{ attempts: 1, nextAttemptAt: 5000, cooldownKey: "mail:ann@example.org", first: false },
      content: expect.any(String),
    });
    // Neither a subject nor a text: the older one fails to write that mail, and tries again later.
    expect(shown).toContainEqual({ id: "sealed", subject: null, text: null, html: null });
  });

  test("to sealed mail leave nothing of what was sent in the file, nor does anything that is deleted", async () => {
    const older = new Database(place.path);
    migrate(older, place.path, 1, MIGRATIONS.slice(0, 1));
    older.run(`INSERT INTO outbox VALUES (1, 'old', 'old@example.org', 'Sign in', 'the link', '<p>the link</p>', '<m@x>',
      1, 2000, 0, 10, NULL)`);
    older.close(true);
    const { outbox, sessions, close } = place.open(createTestClock());
    await outbox.add({ ...mail("new"), to: "new@example.org" }, 10);
    await sessions.create(session("s", { email: "gone@example.org" }));
    for (const { id } of await outbox.claim(false, 1000, 5000, 10)) await outbox.remove(id);
    await sessions.end("s");
    await close();
    const file = readFileSync(place.path, "latin1");
    expect(["the link", "old@", "new@", "gone@"].filter((text) => file.includes(text))).toEqual([]);
  });

  test("say what they did, once", () => {
    void place.open(createTestClock()).close();
    void place.open(createTestClock()).close();
    expect(place.lines.filter((line) => line.includes("database created"))).toHaveLength(1);
  });
});

describe("expiry", () => {
  function open(clock = createTestClock()) {
    const handle = openHandle({ path: place.path, clock, log: SILENT });
    return { clock, handle, rows: (table: string) => rowsIn(handle.durable, table) };
  }
  const rowsIn = (database: Database, table: string) =>
    database.query<{ rows: number }, []>(`SELECT count(*) AS rows FROM ${table}`).get()?.rows;

  test("goes in steps of so many rows, and spares what lives", () => {
    const { clock, handle, rows } = open();
    const tickets = createSqliteTickets(handle, clock);
    const sessions = createSqliteSessions(handle, clock);
    const limits = createSqliteLimits(handle, clock.monotonic);
    const fill = handle.durable.transaction(() => {
      for (let i = 0; i < 1000; i++) {
        const lasts = i % 10 === 0 ? HOUR : MINUTE;
        void tickets.spend(`t${i}`, clock.now() + lasts);
        void sessions.create(session(`s${i}`, { expiresAt: clock.now() + lasts }));
      }
    });
    fill();
    for (let i = 0; i < 1000; i++)
      void limits.hit(`k${i}`, { limit: 5, windowMs: i % 10 === 0 ? HOUR : MINUTE });
    // Marks are kept for a day longer.
    const tomorrow = createSqliteTickets(handle, { ...clock, now: () => clock.now() + DAY });
    for (const { sweep } of [tomorrow, sessions, limits]) expect(sweep(300)).toBe(false);
    clock.advance(MINUTE);
    for (const [left, more] of [
      [700, true],
      [400, true],
      [100, true],
      [100, false],
    ] as const) {
      for (const [table, { sweep }] of Object.entries({ tickets: tomorrow, sessions, limits })) {
        expect([table, sweep(300), rows(table)]).toEqual([table, more, left]);
      }
    }
    expect(sessions.find("s10")).toBeDefined();
    expect(limits.hit("k10", { limit: 1, windowMs: HOUR })).toMatchObject({ allowed: false });
    expect(tickets.spend("t10", clock.now() + HOUR)).toBe("spent");
    handle.close();
  });

  test("is taken up by a timer, with pauses in which others get their turn", async () => {
    const steps: number[] = [];
    let turns = 0;
    const turn = setInterval(() => turns++, 1);
    const { promise: done, resolve } = Promise.withResolvers<void>();
    const sweeper = startSweeper(
      [
        (most) => {
          expect(most).toBeLessThanOrEqual(200);
          steps.push(turns);
          if (steps.length === 3) resolve();
          return steps.length < 3;
        },
        () => {
          throw new StoreUnavailable("The disk that the database is on is full.");
        },
      ],
      5,
    );
    await done;
    sweeper.stop();
    clearInterval(turn);
    expect(steps[1]).toBeGreaterThan(steps[0] ?? 0);
    expect(steps[2]).toBeGreaterThan(steps[1] ?? 0);
  });

  test("of 20,000 sessions goes in steps of as many as were asked for", () => {
    const { clock, handle, rows } = open();
    const sessions = createSqliteSessions(handle, clock);
    handle.durable.transaction(() => {
      for (let i = 0; i < 20_000; i++) {
        const id = new Bun.CryptoHasher("sha256").update(String(i)).digest("base64url");
        void sessions.create(session(id, { email: `u${i % 500}@example.org` }));
      }
    })();
    clock.advance(HOUR);
    const steps = new Set<number>();
    for (let left = 20_000; left > 0; ) {
      sessions.sweep(50);
      const after = rows("sessions") ?? 0;
      steps.add(left - after);
      left = after;
    }
    expect([...steps]).toEqual([50]);
    expect(sessions.sweep(50)).toBe(false);
    handle.close();
  });

  test("makes no spent ticket fresh when the wall clock is set back afterwards, in no process", () => {
    const { clock, handle, rows } = open();
    const tickets = createSqliteTickets(handle, clock);
    const end = clock.now() + MINUTE;
    expect(tickets.spend("a", end)).toBe("fresh");
    clock.advance(DAY + HOUR);
    expect(tickets.sweep(10)).toBe(false);
    expect(rows("tickets")).toBe(0);
    clock.advance(-DAY - HOUR);
    expect(tickets.spend("a", end)).toBe("spent");
    handle.close();
    const another = place.open(clock);
    expect(another.tickets.spend("a", end)).toBe("spent");
    expect(another.tickets.spend("a later one", end + 1)).toBe("fresh");
  });

  test("keeps no link from working once a wall clock that was ahead is right again", () => {
    const { clock, handle, rows } = open();
    const tickets = createSqliteTickets(handle, clock);
    clock.advance(30 * DAY);
    expect(tickets.spend("a", clock.now() + MINUTE)).toBe("fresh");
    clock.advance(23 * HOUR);
    expect(tickets.sweep(10)).toBe(false);
    expect(rows("tickets")).toBe(1);
    clock.advance(-30 * DAY);
    expect(tickets.spend("b", clock.now() + MINUTE)).toBe("fresh");
    handle.close();
  });
});

describe("a lock that another program keeps", () => {
  test("is waited for once, and the calls after that fail at once, until it is let go", () => {
    const clock = createTestClock();
    const patience = 400;
    const handle = openHandle({ path: place.path, clock, log: SILENT, patience });
    const sessions = createSqliteSessions(handle, clock);
    const create = () => sessions.create(session("a"));
    const timed = (work: () => void) => {
      const begun = performance.now();
      work();
      return performance.now() - begun;
    };
    const other = new Database(place.path);
    for (let time = 0; time < 2; time++) {
      other.run("BEGIN IMMEDIATE");
      expect(timed(() => expect(create).toThrow("locked by another program"))).toBeGreaterThanOrEqual(
        patience,
      );
      const requests = () => {
        for (let i = 0; i < 20; i++) expect(create).toThrow("locked by another program");
      };
      // Far from what it would take if each of them waited.
      expect(timed(requests)).toBeLessThan(10 * patience);
      expect(sessions.find("a")).toEqual(time === 0 ? undefined : session("a"));
      other.run("ROLLBACK");
      create();
      expect(handle.isFailing()).toBe(false);
    }
    other.close();
    handle.close();
  });
});

describe("limits", () => {
  const once = { limit: 1, windowMs: 5 * MINUTE };

  /** A wall clock and an uptime that are moved apart. */
  function machine(wall: number, uptime: number, bootId: string) {
    const state = { wall, uptime };
    return {
      state,
      clock: { now: () => state.wall, monotonic: () => state.uptime },
      machine: { bootId, uptime: () => state.uptime },
    };
  }
  const WALL = 1_800_000_000_000;

  test("are not moved by setting the wall clock, in this process or the next", () => {
    const { state, clock, machine: here } = machine(WALL, 5000, "boot");
    expect(place.open(clock, here).limits.hit("a", once)).toEqual({ allowed: true });
    for (const wall of [WALL + 24 * HOUR, WALL - 24 * HOUR, 0]) {
      state.wall = wall;
      state.uptime += MINUTE;
      const retryAfterMs = once.windowMs - (state.uptime - 5000);
      expect(place.open(clock, here).limits.hit("a", once)).toEqual({ allowed: false, retryAfterMs });
    }
  });

  test("go on over a restart of the machine, the time it was down included", () => {
    const before = machine(WALL, 900 * HOUR, "one boot");
    expect(place.open(before.clock, before.machine).limits.hit("a", once)).toEqual({ allowed: true });
    const after = machine(WALL + MINUTE, 10_000, "the next");
    const { limits } = place.open(after.clock, after.machine);
    expect(limits.hit("a", once)).toEqual({ allowed: false, retryAfterMs: 4 * MINUTE });
    after.state.uptime += 4 * MINUTE;
    expect(limits.hit("a", once)).toEqual({ allowed: true });
  });

  test.each([
    ["a machine that wakes up in 1970", "the next", 0],
    ["a container whose uptime starts anew", "one boot", WALL],
  ])("never wait for longer than their window: %s", (_, bootId, wall) => {
    const before = machine(WALL, 900 * HOUR, "one boot");
    expect(place.open(before.clock, before.machine).limits.hit("a", once)).toEqual({ allowed: true });
    const after = machine(wall, 10_000, bootId);
    const { limits } = place.open(after.clock, after.machine);
    expect(limits.hit("a", once)).toEqual({ allowed: false, retryAfterMs: once.windowMs });
    after.state.uptime += once.windowMs;
    expect(limits.hit("a", once)).toEqual({ allowed: true });
  });

  test("keep to their capacity with any windows: keys of a long one do not take the room of the others", () => {
    const clock = createTestClock();
    const handle = openHandle({ path: place.path, clock, log: SILENT });
    const limits = createSqliteLimits(handle, clock.monotonic, 10);
    for (let i = 0; i < 20; i++) {
      clock.advance(1);
      void limits.hit(`code:${i}`, { limit: 5, windowMs: DAY });
    }
    for (const key of ["login:a", "mail:b", "token:a"]) {
      clock.advance(1);
      expect(limits.hit(key, once)).toEqual({ allowed: true });
    }
    for (const key of ["login:a", "mail:b", "token:a"]) {
      expect(limits.hit(key, once)).toMatchObject({ allowed: false });
    }
    handle.close();
  });

  test("keep to their capacity: the key that was hit longest ago makes room", () => {
    const clock = createTestClock();
    const handle = openHandle({ path: place.path, clock, log: SILENT });
    const limits = createSqliteLimits(handle, clock.monotonic, 3);
    for (const key of ["a", "b", "c", "d"]) {
      expect(limits.hit(key, once)).toEqual({ allowed: true });
      clock.advance(1);
    }
    for (const key of ["b", "c", "d"]) expect(limits.hit(key, once)).toMatchObject({ allowed: false });
    expect(limits.hit("a", once)).toEqual({ allowed: true });
    void limits.release("c");
    expect(limits.hit("c", once)).toEqual({ allowed: true });
    expect(handle.durable.query("SELECT count(*) AS rows FROM limits").get()).toEqual({ rows: 3 });
    handle.close();
  });

  test("take over what was counted when a key's limit changes", () => {
    const clock = createTestClock();
    const { limits } = place.open(clock);
    const of = (limit: number) => ({ limit, windowMs: 1000 });
    for (const wait of [100, 100, 800]) {
      void limits.hit("a", of(3));
      clock.advance(wait);
    }
    expect(limits.hit("a", of(3))).toEqual({ allowed: true });
    expect(limits.hit("a", of(4))).toEqual({ allowed: true });
    expect(limits.hit("a", of(4))).toEqual({ allowed: false, retryAfterMs: 100 });
    expect(limits.hit("a", of(2))).toEqual({ allowed: false, retryAfterMs: 1000 });
  });
});
