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
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/clock.ts";
import { KINDS } from "../../src/control/kinds.ts";
import type { Contents } from "../../src/store/contents.ts";
import { copyStore } from "../../src/store/copy.ts";
import { storeLocation } from "../../src/store/location.ts";
import { openStore } from "../../src/store/open.ts";
import type { Store } from "../../src/store/store.ts";
import { needs } from "../support/needs.ts";
import { startPgBouncer } from "../support/pgbouncer.ts";
import { type PostgresServer, postgresPrograms, startPostgres } from "../support/postgres.ts";
import { SILENT } from "../support/silent.ts";
import { commandLine, contentsOf, fillSessions, HOUR, openedStore } from "./copying.ts";
import { until } from "./things.ts";

/** What goes wrong between a copy and PostgreSQL. */

setDefaultTimeout(30_000);

const programs = postgresPrograms();

describe.skipIf(programs === undefined)("a copy and PostgreSQL", () => {
  let postgres: PostgresServer;
  let directory: string;
  const open: Store[] = [];
  beforeAll(async () => {
    postgres = await startPostgres(programs ?? "");
  });
  afterAll(() => postgres.stop());
  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), "runegate-copy-postgres-"));
    for (const schema of ["runegate", "runegate_other"])
      await postgres.run(`DROP SCHEMA IF EXISTS ${schema} CASCADE`);
  });
  afterEach(async () => {
    for (const one of open.splice(0)) await one.close();
    rmSync(directory, { recursive: true });
  });

  const file = () => `sqlite:${join(directory, "state.db")}`;

  async function gateway(url: string, schema = "runegate"): Promise<Store> {
    const store = await openedStore(url, schema);
    open.push(store);
    return store;
  }

  const connected = async (where: string) =>
    Number((await postgres.run(`SELECT count(*) AS n FROM pg_stat_activity WHERE ${where}`))[0]?.n);

  const fill = (url: string, prefix: string, count = 3) =>
    fillSessions(
      url,
      Array.from({ length: count }, (_, i) => `${prefix}${i}`),
    );

  const sessions = async () =>
    (await postgres.run("SELECT id FROM runegate.r_session ORDER BY id")).map(({ id }) => id);

  test("a connection that is lost in the middle leaves what is copied to as it was", async () => {
    await fill(file(), "new");
    await fill(postgres.url, "old");
    const [from, to] = [await contentsOf(file()), await contentsOf(postgres.url, true)];
    const cut: Contents = {
      ...from,
      async *rows(kind, after) {
        for await (const page of from.rows(kind, after)) {
          // While nothing is asked of it.
          await postgres.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'runegate store'",
          );
          await until(async () => (await connected("application_name = 'runegate store'")) === 0);
          yield page;
        }
      },
    };
    const copied = copyStore(cut, to, { kinds: KINDS, replace: true, clock: systemClock, tell() {} });
    await expect(copied).rejects.toThrow("PostgreSQL");
    await from.close();
    await to.close();
    expect(await sessions()).toEqual(["old0", "old1", "old2"]);
  });

  test("one database by two spellings is not copied to itself", async () => {
    await fill(postgres.url, "old");
    const spelled = `postgres://runegate@localhost:${postgres.port}/postgres?host=${postgres.folder}`;
    expect(await commandLine(["store", "copy", "--replace", postgres.url, spelled])).toMatchObject({
      code: 1,
      err: expect.stringContaining("the same store"),
    });
  });

  const pgbouncer = needs("pgbouncer");
  test.skipIf(pgbouncer === undefined)("behind a PgBouncer: both ways, and never to itself", async () => {
    await fill(file(), "new");
    const bouncer = await startPgBouncer(pgbouncer ?? "", postgres);
    const behind = `${postgres.url.replace(`:${postgres.port}/`, `:${bouncer.port}/`)}?prepare=false`;
    try {
      expect(await commandLine(["store", "copy", file(), behind])).toMatchObject({ code: 0 });
      expect(await sessions()).toEqual(["new0", "new1", "new2"]);
      expect(await commandLine(["store", "check", behind])).toMatchObject({ code: 0 });
      for (const [from, to] of [
        [behind, postgres.url],
        [postgres.url, behind],
      ] as const)
        expect(await commandLine(["store", "copy", "--replace", from, to])).toMatchObject({
          ...{ code: 1, err: expect.stringContaining("the same store") },
        });
      expect(await commandLine(["store", "copy", behind, `${file()}2`])).toMatchObject({ code: 0 });
    } finally {
      await bouncer.stop();
    }
  });

  test("of two copies to it at once, the second is refused, and the first goes on", async () => {
    await fill(file(), "new");
    await fill(`${file()}2`, "other");
    const [from, to] = [await contentsOf(file()), await contentsOf(postgres.url, true)];
    let second: Awaited<ReturnType<typeof commandLine>> | undefined;
    const slow: Contents = {
      ...from,
      async *rows(kind, after) {
        second = await commandLine(["store", "copy", "--replace", `${file()}2`, postgres.url]);
        yield* from.rows(kind, after);
      },
    };
    const counts = await copyStore(slow, to, { kinds: KINDS, replace: true, clock: systemClock, tell() {} });
    await from.close();
    await to.close();
    expect(counts).toEqual({ session: 3 });
    expect(second).toMatchObject({
      code: 1,
      err: expect.stringContaining("Another copy of it is under way"),
    });
    expect(await sessions()).toEqual(["new0", "new1", "new2"]);
  });

  test("a gateway of another schema, whose name begins alike, is in nobody's way", async () => {
    await fill(postgres.url, "old");
    await gateway(postgres.url, "runegate_other");
    expect(await commandLine(["store", "copy", postgres.url, file()])).toMatchObject({ code: 0 });
  });

  test("a gateway that another user runs is seen", async () => {
    await fill(postgres.url, "old");
    await gateway(postgres.url);
    await postgres.run("DO $$ BEGIN CREATE ROLE reader LOGIN; EXCEPTION WHEN duplicate_object THEN END $$");
    await postgres.run("GRANT USAGE ON SCHEMA runegate TO reader");
    await postgres.run("GRANT SELECT ON ALL TABLES IN SCHEMA runegate TO reader");
    const as = postgres.url.replace("runegate@", "reader@");
    expect(await commandLine(["store", "copy", as, file()])).toMatchObject({
      ...{ code: 1, err: expect.stringContaining("stop every gateway") },
    });
    await open.pop()?.close();
    expect(await commandLine(["store", "copy", as, file()])).toMatchObject({ code: 0 });
  });

  test("a replica, which no gateway is connected to, is not copied from", async () => {
    await fill(postgres.url, "old");
    const replica = await startPostgres(programs ?? "", { primary: postgres });
    try {
      expect(await commandLine(["store", "copy", replica.url, file()])).toMatchObject({
        ...{ code: 1, err: expect.stringContaining("name the primary") },
      });
    } finally {
      await replica.stop();
    }
  });

  test("the command line uses a schema that an administrator made, before any gateway has", async () => {
    await postgres.run("CREATE SCHEMA runegate");
    const store = await openStore(storeLocation(postgres.url), {
      clock: systemClock,
      log: SILENT,
      asIs: true,
    });
    open.push(store);
    await store.ready();
    expect(await store.limits.hit("key", { limit: 1, windowMs: HOUR })).toEqual({ allowed: true });
  });
});
