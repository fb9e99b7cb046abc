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
import { type Kind, type Seen, StoreUnavailable } from "../../src/store/records.ts";
import { openHandle } from "../../src/store/sqlite/handle.ts";
import { createSqliteLimits } from "../../src/store/sqlite/limits.ts";
import { checkContents, contentsOf, MIGRATIONS, migrate } from "../../src/store/sqlite/migrations.ts";
import { createSqliteRecords } from "../../src/store/sqlite/records.ts";
import { startSweeper } from "../../src/store/sqlite/sweeper.ts";
import type { Store } from "../../src/store/store.ts";
import { testClock } from "../support/clock.ts";
import { SILENT } from "../support/silent.ts";
import { storeContract } from "./contract.ts";
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

let place: Place;
beforeEach(() => {
  place = temporaryPlace();
  places.push(place);
});
afterEach(() => {
  for (const used of places.splice(0)) used[Symbol.dispose]();
});

type Thing = { readonly owner: string; readonly used?: number };
const THING: Kind<Thing> = { name: "thing", by: ["owner"] };
const ONCE: Kind<object> = { name: "once", once: true };
const thing = (owner = "ann", used = 0): Thing => ({ owner, used });

/** Which answers at once, as SQLite does. */
function seen(store: Store, id: string): Seen<Thing> {
  const found = store.records(THING).get(id);
  if (found === undefined || found instanceof Promise) throw new Error(`no ${id}`);
  return found;
}

function everyCall({ records, limits, since, ready }: Store) {
  const things = records(THING);
  const once = records(ONCE);
  return {
    ready,
    since,
    add: () => things.add("a", thing(), 2e12),
    addLight: () => things.add("b", thing(), 2e12, "light"),
    once: () => once.add("a", {}, 2e12),
    get: () => things.get("a"),
    replace: () => things.replace({ id: "a", version: 1, expiresAt: 2e12, record: thing() }, thing()),
    touch: () => things.replace({ id: "a", version: 1, expiresAt: 2e12, record: thing() }, thing(), "light"),
    take: () => things.take("a"),
    takeAll: () => things.takeAll("owner", "a"),
    find: () => things.find({ most: 10 }),
    hit: () => limits.hit("a", { limit: 1, windowMs: 1 }),
    release: () => limits.release("a"),
  };
}

test("the SQLite store answers at once, but for what is written grouped", async () => {
  const store = place.open(testClock());
  const things = store.records(THING);
  const queued = things.add("grouped", thing(), 2e12, "grouped");
  // Waiting for the disk, it has everybody else go on.
  expect(queued).toBeInstanceOf(Promise);
  expect(seen(store, "grouped").record).toEqual(thing());
  expect(await queued).toBe(true);
  for (const answer of [...Object.values(everyCall(store)).map((call) => call()), store.close()])
    expect(answer).not.toBeInstanceOf(Promise);
});

test("what is grouped is said once the disk has it, of a thousand at once too, and not where it fails", async () => {
  const things = place.open(testClock()).records(THING);
  const add = async (id: string) => things.add(id, thing(), 2e12, "grouped");
  const queued = await Promise.all(Array.from({ length: 1000 }, (_, index) => add(`m${index}`)));
  expect(new Set(queued)).toEqual(new Set([true]));
  // As near as a test comes to a disk that takes what is written and cannot keep it.
  rmSync(`${place.path}-wal`);
  await expect(add("lost")).rejects.toThrow(StoreUnavailable);
});

test("a closed store says so, however often it is closed", () => {
  const store = place.open(testClock());
  const calls = Object.entries(everyCall(store));
  void store.ready();
  void store.close();
  void store.close();
  for (const [name, call] of calls) {
    expect(call, name).toThrow(StoreUnavailable);
    expect(call, name).toThrow("The database is closed.");
  }
});

test("everything is there again after closing and opening", () => {
  const clock = testClock();
  const end = clock.now() + MINUTE;
  const rule = { limit: 1, windowMs: MINUTE };
  const before = place.open(clock);
  void before.records(THING).add("a", thing(), end);
  expect(before.records(ONCE).add("t", {}, end)).toBe(true);
  expect(before.limits.hit("k", rule)).toEqual({ allowed: true });
  const kept = seen(before, "a");
  void before.close();
  expect(readdirSync(place.directory)).toEqual(["runegate.db"]);
  clock.advance(1000);
  const after = place.open(clock);
  expect(seen(after, "a")).toEqual(kept);
  expect(after.records(ONCE).add("t", {}, end)).toBe(false);
  expect(after.limits.hit("k", rule)).toEqual({ allowed: false, retryAfterMs: 59_000 });
  expect(after.since()).toBe(clock.now() - 1000);
});

test("two handles on one file see each other's changes at once", () => {
  const clock = testClock();
  const [here, there] = [place.open(clock), place.open(clock)];
  void here.records(THING).add("a", thing(), clock.now() + HOUR);
  expect(seen(there, "a").record).toEqual(thing());
  expect(there.records(THING).replace(seen(there, "a"), thing("ann", 5), "light")).toBe(true);
  expect(seen(here, "a").record).toEqual(thing("ann", 5));
  const told: string[] = [];
  for (const store of [here, there]) store.records(THING).onTaken((id) => told.push(id));
  expect(there.records(THING).take("a")).toEqual(thing("ann", 5));
  expect(here.records(THING).get("a")).toBeUndefined();
  expect(here.records(THING).take("a")).toBeUndefined();
  expect(told).toEqual(["a"]);
});

test("a kind's limit of how many holds for all processes, and is told by looking, which takes no lock", () => {
  const clock = testClock();
  const few: Kind<object> = { name: "few", capacity: 2 };
  const [here, there] = [place.open(clock), place.open(clock)];
  expect(here.records(few).add("a", {}, clock.now() + HOUR)).toBe(true);
  expect(there.records(few).add("b", {}, clock.now() + MINUTE)).toBe(true);
  const other = new Database(place.path);
  other.run("BEGIN IMMEDIATE");
  for (const store of [here, there])
    expect(() => store.records(few).add("c", {}, clock.now() + HOUR)).toThrow("holds 2");
  other.run("ROLLBACK");
  other.close();
  clock.advance(MINUTE);
  expect(here.records(few).add("c", {}, clock.now() + HOUR)).toBe(true);
  expect(() => there.records(few).add("d", {}, clock.now() + HOUR)).toThrow("holds 2");
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
        void place.open(testClock()).records(THING).add("a", thing(), 2e12);
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
    void place.open(testClock()).close();
    chmodSync(place.path, 0o644);
    place.open(testClock());
    expect(modes().map(([, mode]) => mode)).toEqual(["600", "600", "600"]);
  });

  test("is not created without its directory, which is named together with what to do", () => {
    rmdirSync(place.directory);
    expect(() => place.open(testClock())).toThrow(StoreUnavailable);
    expect(() => place.open(testClock())).toThrow(
      `There is no directory ${place.directory} for the database. Create it for the service's user`,
    );
  });

  test("is missed when it has been replaced by another", () => {
    const clock = testClock();
    const store = place.open(clock);
    const [things, once] = [store.records(THING), store.records(ONCE)];
    renameSync(place.path, `${place.path}.old`);
    writeFileSync(place.path, "");
    const moved = "The database file was moved or replaced while in use.";
    expect(() => store.ready()).toThrow(moved);
    // What would be lost at the next start is not begun.
    expect(() => once.add("a", {}, clock.now() + 60_000)).toThrow(moved);
    expect(() => things.take("a")).toThrow(moved);
    expect(things.get("a")).toBeUndefined();
    rmSync(place.path);
    renameSync(`${place.path}.old`, place.path);
    store.ready();
    expect(once.add("a", {}, clock.now() + 60_000)).toBe(true);
  });

  test("is written to tell whether it can be, at most once a second", () => {
    const clock = testClock();
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
      expect(readyAt()).toEqual({ value: testClock().now() + written });
    }
    reader.close(true);
  });
});

describe("refuses to open, and leaves alone,", () => {
  function refusal(): string {
    const before = readFileSync(place.path);
    try {
      place.open(testClock());
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
    void place.open(testClock()).close();
    const newer = new Database(place.path);
    newer.run("INSERT INTO schema_version VALUES (1000, 0)");
    newer.close(true);
    expect(refusal()).toContain(
      `was written by a newer Runegate (schema 1000, this one knows up to ${MIGRATIONS.length})`,
    );
  });

  test("a damaged database", () => {
    void place.open(testClock()).close();
    const bytes = readFileSync(place.path);
    bytes.fill(0xa5, 4096);
    writeFileSync(place.path, bytes, { mode: 0o600 });
    expect(refusal()).toContain("The database is damaged. Restore it from a backup.");
  });

  test("a directory", () => {
    mkdirSync(place.path);
    expect(() => place.open(testClock())).toThrow("The database cannot be opened");
  });
});

describe("migrations", () => {
  /** The first makes the newest tables in a new file. */
  const STEPS = [
    "CREATE TABLE one (a TEXT, b TEXT) STRICT; CREATE TABLE three (c TEXT)",
    "ALTER TABLE one ADD COLUMN b TEXT",
    "CREATE TABLE three (c TEXT)",
  ];
  /** What made a new file when that version was the newest. */
  const FIRST = [
    "",
    "CREATE TABLE one (a TEXT) STRICT",
    "CREATE TABLE one (a TEXT, b TEXT) STRICT",
    STEPS[0] ?? "",
  ];
  const madeAs = (database: Database, version: number) =>
    migrate(database, place.path, 1, [FIRST[version] ?? "", ...STEPS.slice(1, version)]);
  const tables = (database: Database) =>
    database
      .query<{ name: string }, []>("SELECT name FROM sqlite_schema ORDER BY name")
      .all()
      .map(({ name }) => name);

  test.each([0, 1, 2, 3])("take a database from version %p to the newest, keeping what is in it", (from) => {
    using database = new Database(place.path);
    if (from > 0) {
      madeAs(database, from);
      database.run("INSERT INTO one (a) VALUES ('kept')");
    }
    expect(migrate(database, place.path, 2, STEPS)).toEqual({ from, to: 3 });
    expect(contentsOf(database)).toEqual({ kind: "ours", version: 3 });
    expect(tables(database)).toEqual(["one", "schema_version", "three"]);
    expect(database.query("SELECT a, b FROM one").all()).toEqual(from > 0 ? [{ a: "kept", b: null }] : []);
    const versions = database.query("SELECT version, applied_at AS at FROM schema_version").all();
    const taken = [1, 2, 3].filter((version) => version > from).map((version) => ({ version, at: 2 }));
    expect(versions).toEqual(from > 0 ? [{ version: from, at: 1 }, ...taken] : [{ version: 3, at: 2 }]);
  });

  test("that fail leave the version before them, whole", () => {
    using database = new Database(place.path);
    madeAs(database, 1);
    const broken = ["", "CREATE TABLE two (a TEXT); INSERT INTO nowhere VALUES (1)"];
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

  test("say what they did, once", () => {
    void place.open(testClock()).close();
    void place.open(testClock()).close();
    expect(place.lines.filter((line) => line.includes("database created"))).toHaveLength(1);
  });
});

describe("expiry", () => {
  function open(clock = testClock()) {
    const handle = openHandle({ path: place.path, clock, log: SILENT });
    return { clock, handle, rows: (table: string) => rowsIn(handle.database, table) };
  }
  const rowsIn = (database: Database, table: string) =>
    database.query<{ rows: number }, []>(`SELECT count(*) AS rows FROM ${table}`).get()?.rows;

  test("goes in steps of so many rows, and spares what lives", () => {
    const { clock, handle, rows } = open();
    const once = createSqliteRecords(ONCE, handle, clock);
    const things = createSqliteRecords(THING, handle, clock);
    const limits = createSqliteLimits(handle, clock.monotonic);
    const fill = handle.database.transaction(() => {
      for (let i = 0; i < 1000; i++) {
        const end = clock.now() + (i % 10 === 0 ? HOUR : MINUTE);
        void once.add(`t${i}`, {}, end, "light");
        void things.add(`s${i}`, thing(), end, "light");
      }
    });
    fill();
    for (let i = 0; i < 1000; i++)
      void limits.hit(`k${i}`, { limit: 5, windowMs: i % 10 === 0 ? HOUR : MINUTE });
    for (const { sweep } of [once, things, limits]) expect(sweep(300)).toBe(false);
    clock.advance(MINUTE);
    for (const [left, more] of [
      [700, true],
      [400, true],
      [100, true],
      [100, false],
    ] as const) {
      for (const [table, { sweep }] of Object.entries({
        records_once: once,
        records_thing: things,
        limits,
      })) {
        expect([table, sweep(300), rows(table)]).toEqual([table, more, left]);
      }
    }
    expect(things.get("s10")).toBeDefined();
    expect(limits.hit("k10", { limit: 1, windowMs: HOUR })).toMatchObject({ allowed: false });
    expect(once.add("t10", {}, clock.now() + HOUR)).toBe(false);
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

  test("of 20,000 records goes in steps of as many as were asked for", () => {
    const { clock, handle, rows } = open();
    const things = createSqliteRecords(THING, handle, clock);
    handle.database.transaction(() => {
      for (let i = 0; i < 20_000; i++) {
        const id = new Bun.CryptoHasher("sha256").update(String(i)).digest("base64url");
        void things.add(id, thing(`u${i % 500}`), clock.now() + HOUR, "light");
      }
    })();
    clock.advance(HOUR);
    const steps = new Set<number>();
    for (let left = 20_000; left > 0; ) {
      things.sweep(50);
      const after = rows("records_thing") ?? 0;
      steps.add(left - after);
      left = after;
    }
    expect([...steps]).toEqual([50]);
    expect(things.sweep(50)).toBe(false);
    handle.close();
  });

  test("leaves nothing of it in the file, nor does anything that is taken", async () => {
    const store = place.open(testClock());
    const things = store.records(THING);
    await things.add("a", thing("gone@example.org"), 2e12);
    await things.add("b", thing("left@example.org"), 2e12, "grouped");
    await things.take("a");
    await things.take("b", "light");
    await store.close();
    const file = readFileSync(place.path, "latin1");
    expect(["gone@", "left@"].filter((text) => file.includes(text))).toEqual([]);
  });

  test("lets nothing that comes once come again when the wall clock is set back afterwards, in no process", () => {
    const { clock, handle, rows } = open();
    const once = createSqliteRecords(ONCE, handle, clock);
    const end = clock.now() + MINUTE;
    expect(once.add("a", {}, end)).toBe(true);
    clock.advance(HOUR);
    expect(once.sweep(10)).toBe(false);
    expect(rows("records_once")).toBe(0);
    clock.advance(-HOUR);
    expect(once.add("a", {}, end)).toBe(false);
    handle.close();
    const another = place.open(clock).records(ONCE);
    expect(another.add("a", {}, end)).toBe(false);
    expect(another.add("a later one", {}, end + 1)).toBe(true);
  });
});

describe("a lock that another program keeps", () => {
  test("is waited for once, and the calls after that fail at once, until it is let go", () => {
    const clock = testClock();
    const patience = 400;
    const handle = openHandle({ path: place.path, clock, log: SILENT, patience });
    const things = createSqliteRecords(THING, handle, clock);
    const create = () => things.add("a", thing(), clock.now() + HOUR);
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
      expect(things.get("a") !== undefined).toBe(time > 0);
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
    const clock = testClock();
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
    const clock = testClock();
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
    expect(handle.database.query("SELECT count(*) AS rows FROM limits").get()).toEqual({ rows: 3 });
    handle.close();
  });

  test("take over what was counted when a key's limit changes", () => {
    const clock = testClock();
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

test("writes done together are there for everybody at the end, and all of them are not if one fails", async () => {
  const clock = testClock();
  const [one, other] = [place.open(clock), place.open(clock)];
  const [things, seenByOther] = [one.records(THING), other.records(THING)];
  const add = (id: string) => things.add(id, thing(), clock.now() + HOUR, "light");
  one.together?.(() => {
    void add("a");
    void add("b");
    expect(seenByOther.count()).toBe(0);
  });
  expect(seenByOther.count()).toBe(2);
  const fails = () =>
    one.together?.(() => {
      void add("c");
      throw new StoreUnavailable("full");
    });
  expect(fails).toThrow(StoreUnavailable);
  expect(seenByOther.count()).toBe(2);
  expect(await add("c")).toBe(true);
});
