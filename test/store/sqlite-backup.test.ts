import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { systemClock } from "../../src/clock.ts";
import { createSpentTickets } from "../../src/login/spent.ts";
import { main } from "../../src/main.ts";
import { type KeptSession, SESSIONS } from "../../src/session/record.ts";
import { MIGRATIONS } from "../../src/store/sqlite/migrations.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import { startProcess, runegate as theProgram } from "../support/process.ts";
import { recordedIo } from "../support/recorded-io.ts";
import { SILENT } from "../support/silent.ts";
import { type Place, temporaryPlace } from "./sqlite-place.ts";

const HOUR = 3_600_000;
let place: Place;
let file: string;
beforeEach(() => {
  place = temporaryPlace();
  file = join(place.directory, "backup.db");
});
afterEach(() => place[Symbol.dispose]());

async function backup(args: readonly string[], store = `sqlite:${place.path}`) {
  const io = recordedIo({ RUNEGATE_STORE: store, RUNEGATE_ENV_FILE: "/dev/null" });
  const code = await main(["backup", ...args], io);
  return { code, out: io.stdout.join("\n"), err: io.stderr.join("\n") };
}

const session = (): KeptSession => ({
  email: "ann@example.org",
  createdAt: Date.now(),
  seenAt: Date.now(),
  ip: "192.0.2.7",
  userAgent: "test",
  seal: "s",
});

test("a backup holds everything, opens as a store, and is its owner's alone", async () => {
  const store = place.open(systemClock);
  const sessions = store.records(SESSIONS);
  const end = Date.now() + HOUR;
  for (let i = 0; i < 50; i++) await sessions.add(`s${i}`, session(), end);
  for (let i = 0; i < 3; i++)
    expect(await createSpentTickets(store, systemClock).spend(`t${i}`, end)).toBe(true);

  const umask = process.umask(0);
  try {
    expect(await backup([file])).toMatchObject({ code: 0, err: "" });
  } finally {
    process.umask(umask);
  }
  expect((statSync(file).mode & 0o777).toString(8)).toBe("600");
  expect(readdirSync(place.directory).filter((name) => name.startsWith("backup"))).toEqual(["backup.db"]);

  // What comes after is not in it.
  await sessions.take("s0");
  const restored = openSqliteStore({ path: file, clock: systemClock, log: SILENT });
  expect(await restored.records(SESSIONS).find({ most: 99 })).toHaveLength(50);
  expect(await restored.records(SESSIONS).get("s0")).toMatchObject({ id: "s0" });
  expect(await createSpentTickets(restored, systemClock).spend("t0", end)).toBe(false);
  await restored.ready();
  await restored.close();
});

test("the temporary file is its owner's alone from its first moment", async () => {
  await place.open(systemClock).records({ name: "ticket", once: true }).get("");
  const fill = new Database(place.path);
  fill.run(
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) INSERT INTO records_ticket SELECT 't' || i, 1, 9000000000000, '{}' FROM n",
  );
  fill.close(true);
  const child = startProcess(theProgram("backup", file), { RUNEGATE_STORE: `sqlite:${place.path}` });
  const seen = new Map<string, Set<string>>();
  let running = true;
  void child.exited.then(() => {
    running = false;
  });
  while (running) {
    for (const name of readdirSync(place.directory)) {
      if (!name.startsWith(basename(file))) continue;
      const mode = statSync(join(place.directory, name), { throwIfNoEntry: false })?.mode;
      if (mode === undefined) continue;
      const kind = name === basename(file) ? "file" : "temporary";
      const modes = seen.get(kind) ?? new Set();
      seen.set(kind, modes.add((mode & 0o777).toString(8)));
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(await child.exited).toBe(0);
  expect(seen.get("temporary")).toEqual(new Set(["600"]));
});

test("a backup under load has every session that was acknowledged before it began", async () => {
  const sessions = place.open(systemClock).records(SESSIONS);
  const acknowledged: string[] = [];
  let writing = true;
  const load = (async () => {
    while (writing) {
      const id = `s${acknowledged.length}`;
      await sessions.add(id, session(), Date.now() + HOUR);
      acknowledged.push(id);
      if (acknowledged.length % 5 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  for (let round = 0; round < 2; round++) {
    const target = `${file}.${round}`;
    const before = [...acknowledged];
    const child = startProcess(theProgram("backup", target, "--json"), {
      RUNEGATE_STORE: `sqlite:${place.path}`,
    });
    expect(await child.exited).toBe(0);
    const said = JSON.parse(child.output());
    expect(said).toEqual({
      file: target,
      bytes: statSync(target).size,
      schema: MIGRATIONS.length,
      sessions: expect.any(Number),
      spent_tickets: 0,
      mails: 0,
    });
    const restored = openSqliteStore({ path: target, clock: systemClock, log: SILENT });
    const found = new Set((await restored.records(SESSIONS).find({ most: 1e6 })).map(({ id }) => id));
    await restored.close();
    expect(found.size).toBe(said.sessions);
    expect(before.filter((id) => !found.has(id))).toEqual([]);
    // The load went on meanwhile, so the copy was made among writes.
    expect(acknowledged.length).toBeGreaterThan(before.length);
  }
  writing = false;
  await load;
}, 20_000);

describe("is refused, and nothing is left behind:", () => {
  test("a file that is there", async () => {
    await place.open(systemClock).ready();
    writeFileSync(file, "precious");
    expect(await backup([file])).toMatchObject({ code: 1, out: "" });
    expect((await backup([file])).err).toContain(`${file} is there already, and nothing is overwritten.`);
    expect(readFileSync(file, "utf8")).toBe("precious");
  });

  test("a link that points nowhere yet", async () => {
    await place.open(systemClock).ready();
    symlinkSync(join(place.directory, "elsewhere"), file);
    expect((await backup([file])).err).toContain("is there already");
    expect(existsSync(join(place.directory, "elsewhere"))).toBe(false);
  });

  test("a directory that is not there", async () => {
    await place.open(systemClock).ready();
    const { code, err } = await backup([join(place.directory, "missing", "backup.db")]);
    expect([code, err]).toEqual([
      1,
      expect.stringContaining("cannot be written: ENOENT. Its directory must be there"),
    ]);
  });

  test("no database yet", async () => {
    const { code, err } = await backup([file]);
    expect([code, err]).toEqual([1, `runegate backup: Nothing is kept yet: there is no ${place.path}.`]);
    expect(readdirSync(place.directory)).toEqual([]);
  });

  test("another program's database, and one that is none", async () => {
    const other = new Database(place.path);
    other.run("CREATE TABLE bookmarks (url TEXT)");
    other.close(true);
    expect((await backup([file])).err).toContain("is a database of another program");
    writeFileSync(place.path, "no database at all\n".repeat(100));
    chmodSync(place.path, 0o600);
    expect((await backup([file])).err).toContain("The database is damaged, or is none.");
    expect(readdirSync(place.directory)).toEqual(["runegate.db"]);
  });

  test.each([
    ["memory", "RUNEGATE_STORE is memory"],
    ["valkey://127.0.0.1:1", "RUNEGATE_STORE is a Valkey server"],
  ])("the store %s", async (store, text) => {
    const { code, out, err } = await backup([file], store);
    expect([code, out]).toEqual([1, ""]);
    expect(err).toContain(text);
  });

  test.each([[[]], [["a", "b"]], [[""]]])("arguments %j, by exit code 64", async (args) => {
    const { code, err } = await backup(args);
    expect([code, err]).toEqual([64, expect.stringContaining("backup takes one file.")]);
  });
});
