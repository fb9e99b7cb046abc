import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { chownSync } from "node:fs";
import { type AddressInfo, createServer, connect as dial } from "node:net";
import { type Clock, systemClock } from "../../src/clock.ts";
import { createLoggers } from "../../src/observe/log.ts";
import { storeLocation } from "../../src/store/location.ts";
import { openStore } from "../../src/store/open.ts";
import { connect, together } from "../../src/store/postgres/connection.ts";
import { type Kind, StoreUnavailable } from "../../src/store/records.ts";
import type { Store } from "../../src/store/store.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { needs } from "../support/needs.ts";
import { startPgBouncer } from "../support/pgbouncer.ts";
import { type PostgresServer, postgresPrograms, startPostgres } from "../support/postgres.ts";
import { freePort } from "../support/process.ts";
import { SILENT } from "../support/silent.ts";
import { openWire } from "../support/wire.ts";
import { storeContract } from "./contract.ts";
import { needsSmallDisk } from "./small-disk.ts";
import { add, addOnce, ready, type Thing, thing, things, until } from "./things.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const programs = postgresPrograms();
const pgbouncer = needs("pgbouncer");
const disk = needsSmallDisk();

const FEW: Kind<Thing> = { name: "few", capacity: 5 };

/** What it says while it is not ready. */
async function problemOf(store: Store): Promise<string> {
  try {
    await store.ready();
    return "";
  } catch (error) {
    return error instanceof StoreUnavailable ? error.message : `not of the store: ${error}`;
  }
}

/**
 * Passes everything on to a port, until a client sends a statement that has `last` in it: once the server has it, nothing passes
 * any more, and every connection stays open.
 */
function cuttingRelay(to: number, last: string) {
  const cut = Promise.withResolvers<void>();
  let isCut = false;
  const relay = createServer((client) => {
    const server = dial(to, "127.0.0.1");
    client.on("data", (data) => {
      if (isCut) return;
      server.write(data);
      if (!data.includes(last)) return;
      // What comes next are its values: it is done then, and nobody hears of it.
      client.once("data", () => {
        isCut = true;
        server.once("data", () => cut.resolve());
      });
    });
    server.on("data", (data) => isCut || client.write(data));
    for (const socket of [client, server]) socket.on("error", () => {});
  });
  relay.listen(0, "127.0.0.1");
  const { port } = relay.address() as AddressInfo;
  return { port, cut: cut.promise, stop: () => relay.close() };
}

describe.skipIf(programs === undefined)("PostgreSQL", () => {
  const opened: Store[] = [];
  const servers: { stop(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const store of opened.splice(0)) await store.close();
    for (const server of servers.splice(0).reverse()) await server.stop();
  });

  async function startOwn(settings?: Parameters<typeof startPostgres>[1]): Promise<PostgresServer> {
    const server = await startPostgres(programs ?? "", settings);
    servers.push(server);
    return server;
  }

  async function open(url: string, clock: Clock = systemClock, schema = "runegate") {
    const lines: string[] = [];
    const loggers = createLoggers({
      format: "console",
      levels: { default: "info", modules: {} },
      write: (line) => lines.push(line),
      now: Date.now,
      color: false,
    });
    const store = await openStore(storeLocation(url), { clock, schema, log: loggers("store") });
    opened.push(store);
    return { ...store, lines };
  }

  describe("alone", () => {
    let server: PostgresServer;
    beforeAll(async () => {
      server = await startPostgres(programs ?? "");
    });
    afterAll(() => server.stop());
    storeContract("postgres", async (clock) => {
      await server.run("DROP SCHEMA IF EXISTS runegate CASCADE");
      return openStore(storeLocation(server.url), { clock, log: SILENT });
    });
  });

  describe("shared by two machines", () => {
    let server: PostgresServer;
    let clock: TestClock;
    let here: Store;
    let there: Store;
    beforeAll(async () => {
      server = await startPostgres(programs ?? "");
    });
    afterAll(() => server.stop());
    beforeEach(async () => {
      await server.run("DROP SCHEMA IF EXISTS runegate CASCADE");
      clock = testClock();
      // Both make the schema, and the tables.
      [here, there] = await Promise.all([
        open(server.url, clock),
        // Another machine's monotonic clock began elsewhere.
        open(server.url, { now: clock.now, monotonic: () => clock.monotonic() + 987_654_321 }),
      ]);
    });

    test("500 that come once are each new for exactly one of those who add them on both", async () => {
      const end = clock.now() + HOUR;
      const outcomes = await Promise.all(
        Array.from({ length: 2000 }, async (_, i) => {
          const id = `t${i % 500}`;
          return (await addOnce(i % 3 === 0 ? here : there, id, end)) ? [id] : [];
        }),
      );
      const won = outcomes.flat();
      expect(won).toHaveLength(500);
      expect(new Set(won).size).toBe(500);
    });

    test("a limit lets as many through as it says, on both together", async () => {
      const rule = { limit: 7, windowMs: 60_000 };
      const outcomes = await Promise.all(
        Array.from({ length: 60 }, async (_, i) => (i % 2 ? here : there).limits.hit("k", rule)),
      );
      expect(outcomes.filter(({ allowed }) => allowed)).toHaveLength(7);
    });

    test("a kind that is full is full for both, however many come at once", async () => {
      const added = await Promise.allSettled(
        Array.from({ length: 40 }, async (_, i) =>
          (i % 2 ? here : there).records(FEW).add(`f${i}`, thing(), clock.now() + HOUR),
        ),
      );
      expect(added.filter(({ status }) => status === "fulfilled")).toHaveLength(5);
      expect(await here.records(FEW).find({ most: 99 })).toHaveLength(5);
    });

    test.each<[string, () => unknown, string[]]>([
      ["one", () => things(here).take("a"), ["a"]],
      ["all of one owner", () => things(here).takeAll("owner", "ann"), ["a", "b"]],
    ])("that %s is taken on one is pushed to the other, and told once on each", async (_, take, taken) => {
      const told: Record<"here" | "there", string[]> = { here: [], there: [] };
      things(here).onTaken((id) => told.here.push(id));
      things(there).onTaken((id) => told.there.push(id));
      for (const id of ["a", "b"]) await add(here, id, clock);
      for (const id of ["a", "b"]) expect(await things(there).get(id)).toBeDefined();
      await until(async () => {
        // The listening connection is made beside the others.
        const id = `first ${told.there.length}`;
        await things(here).add(id, thing("nobody"), clock.now() + HOUR);
        await things(here).take(id);
        return told.there.length > 0;
      });
      told.here.length = told.there.length = 0;
      await take();
      expect(told.here.toSorted()).toEqual(taken);
      expect(
        await until(() => told.there.filter((id) => !id.startsWith("first")).length === taken.length),
      ).toBeLessThan(1000);
      // The clock stands still: it is the push that emptied the cache.
      for (const id of taken) expect(await things(there).get(id)).toBeUndefined();
      expect(told.here.toSorted()).toEqual(taken);
    });

    test("what is taken while the listening connection is cut is known when it is back", async () => {
      await add(here, "a", clock);
      expect(await things(there).get("a")).toBeDefined();
      await server.run("DELETE FROM runegate.r_thing");
      await server.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ILIKE 'listen%'");
      await until(async () => (await things(there).get("a")) === undefined);
    });

    test("a schema keeps two installations apart", async () => {
      const apart = await open(server.url, clock, "other_one");
      const told: string[] = [];
      things(apart).onTaken((id) => told.push(id));
      await add(here, "a", clock);
      expect(await things(apart).get("a")).toBeUndefined();
      await things(here).take("a");
      await add(apart, "b", clock);
      await things(apart).take("b");
      expect(told).toEqual(["b"]);
      expect(await apart.limits.hit("k", { limit: 1, windowMs: HOUR })).toEqual({ allowed: true });
      expect(await here.limits.hit("k", { limit: 1, windowMs: HOUR })).toEqual({ allowed: true });
      await server.run("DROP SCHEMA other_one CASCADE");
    });

    test("a schema that is dropped is made anew, and says that it remembers from then on", async () => {
      const begun = clock.now();
      expect(await here.since()).toBe(begun);
      await add(here, "a", clock);
      clock.advance(HOUR);
      await server.run("DROP SCHEMA runegate CASCADE");
      await until(async () => (await here.since()) === begun + HOUR);
      expect(await things(here).get("a")).toBeUndefined();
      await until(async () => things(there).add("b", thing(), clock.now() + HOUR));
      expect(await there.since()).toBe(begun + HOUR);
    });

    test("two that end each other's people at once: both are done", async () => {
      for (let round = 0; round < 5; round++) {
        for (let i = 0; i < 60; i++) await add(here, `r${round} ${i}`, clock, i % 2 ? "ann" : "ben");
        await Promise.all([
          things(here).takeAll("owner", "ann"),
          things(there).takeAll("owner", "ben"),
          ...Array.from({ length: 30 }, async (_, i) => things(i % 2 ? here : there).take(`r${round} ${i}`)),
        ]);
        expect(await things(here).find({ most: 99 })).toEqual([]);
      }
    });

    test("two transactions that wait for each other's rows: both are done", async () => {
      await server.run("CREATE TABLE IF NOT EXISTS pair (id int PRIMARY KEY, value int)");
      await server.run("TRUNCATE pair");
      await server.run("INSERT INTO pair VALUES (1, 0), (2, 0)");
      const location = storeLocation(server.url);
      if (location.kind !== "postgres") throw new Error("not a PostgreSQL server");
      const settings = { most: 2, statementTimeoutMs: 0, idleTimeoutMs: 0 };
      const sql = connect(location.place, settings);
      const held: PromiseWithResolvers<void>[] = [Promise.withResolvers(), Promise.withResolvers()];
      const add = (first: number, second: number, mine = 0) =>
        together(sql, async (run) => {
          await run("UPDATE pair SET value = value + 1 WHERE id = $1", [first]);
          held[mine]?.resolve();
          await Promise.all(held.map(({ promise }) => promise));
          await run("UPDATE pair SET value = value + 1 WHERE id = $1", [second]);
        });
      await Promise.all([add(1, 2), add(2, 1, 1)]);
      await sql.close({ timeout: 1 });
      expect(await server.run("SELECT value FROM pair")).toMatchObject([{ value: 2 }, { value: 2 }]);
    });
  });

  describe("in trouble", () => {
    test("frozen: nothing hangs, who was seen just now goes on for the cache time, and then all is well", async () => {
      const server = await startOwn();
      const clock = testClock();
      const store = await open(server.url, clock);
      await add(store, "a", clock);
      await addOnce(store, "first", clock.now() + HOUR);
      await things(store).get("a");
      await server.pause();
      clock.advance(2499);
      expect(things(store).get("a")).toMatchObject({ id: "a" });
      clock.advance(1);
      const begun = performance.now();
      const asked = await Promise.allSettled([
        things(store).get("a"),
        addOnce(store, "t", clock.now() + HOUR),
        store.limits.hit("k", { limit: 1, windowMs: 1 }),
        store.ready(),
      ]);
      expect(performance.now() - begun).toBeLessThan(6_000);
      for (const one of asked) {
        expect(one.status).toBe("rejected");
        if (one.status === "rejected") expect(one.reason).toBeInstanceOf(StoreUnavailable);
      }
      // Nobody waits a second time.
      const again = performance.now();
      expect(async () => addOnce(store, "u", clock.now() + HOUR)).toThrow(StoreUnavailable);
      expect(async () => things(store).find({ most: 9 })).toThrow(StoreUnavailable);
      expect(performance.now() - again).toBeLessThan(500);
      await server.resume();
      await until(ready(store));
      expect(await things(store).get("a")).toMatchObject({ id: "a" });
      expect(await addOnce(store, "u", clock.now() + HOUR)).toBe(true);
      expect(store.lines.filter((line) => /lost the store|is back/.test(line))).toHaveLength(2);
    }, 60_000);

    test("a gateway that is cut off in the middle of a transaction does not stop the others", async () => {
      const server = await startOwn();
      const relay = cuttingRelay(server.port, "pg_advisory_xact_lock(hashtextextended($1");
      const url = new URL(server.url);
      url.port = String(relay.port);
      const [cut, other] = [await open(url.href), await open(server.url)];
      const few = (store: Store) => store.records(FEW);
      // The table is there, which is made under a lock of its own.
      expect(await few(other).add("first", thing(), Date.now() + HOUR)).toBe(true);
      const lost = Promise.resolve(few(cut).add("lost", thing(), Date.now() + HOUR)).catch((error) => error);
      await relay.cut;
      expect(await few(other).add("kept", thing(), Date.now() + HOUR)).toBe(true);
      expect(await lost).toBeInstanceOf(StoreUnavailable);
      relay.stop();
    }, 60_000);

    test("stopped at once and started again: works again, says so once, and has what it had", async () => {
      const server = await startOwn();
      const store = await open(server.url);
      expect(await addOnce(store, "t")).toBe(true);
      await server.halt();
      await until(
        async () => (await problemOf(store)) === "PostgreSQL cannot be reached: nobody listens there.",
      );
      expect(async () => addOnce(store, "u")).toThrow(StoreUnavailable);
      expect(async () => store.ready()).toThrow(StoreUnavailable);
      await server.start();
      await until(ready(store));
      expect(await addOnce(store, "t")).toBe(false);
      expect(await addOnce(store, "u")).toBe(true);
      const told: string[] = [];
      things(store).onTaken((id) => told.push(id));
      const other = await open(server.url);
      await until(async () => {
        await things(other).add("a", thing(), Date.now() + HOUR);
        await things(other).take("a");
        return told.length > 0;
      });
      expect(store.lines.filter((line) => line.includes("lost the store"))).toHaveLength(1);
      expect(store.lines.filter((line) => line.includes("the store is back"))).toHaveLength(1);
    }, 60_000);

    test("restarted in order: works again by itself, and has what it had", async () => {
      const server = await startOwn();
      const store = await open(server.url);
      await add(store, "a");
      expect(await addOnce(store, "t")).toBe(true);
      await server.halt("fast");
      await until(async () => (await problemOf(store)) !== "");
      await server.start();
      await until(ready(store));
      expect(await addOnce(store, "t")).toBe(false);
      expect(await things(store).take("a")).toEqual(thing());
      expect(store.lines.filter((line) => /lost the store|is back/.test(line))).toHaveLength(2);
    }, 60_000);

    test("its disk is full: nobody new, in words; who is signed in stays; and it works again when there is room", async () => {
      if (disk === undefined) return;
      using small = disk();
      chownSync(small.directory, 65534, 65534);
      const server = await startOwn();
      await server.run(`CREATE TABLESPACE small LOCATION '${small.directory}'`);
      await server.run("ALTER DATABASE postgres SET default_tablespace = small");
      const clock = testClock();
      const store = await open(server.url, clock);
      await add(store, "a", clock);
      small.fill();
      const much = { owner: "o".repeat(2_000), used: 0 };
      const why = await (async () => {
        for (let i = 0; ; i++) await things(store).add(`b${i}`, much, clock.now() + HOUR);
      })().catch((error: unknown) => error);
      expect(why).toBeInstanceOf(StoreUnavailable);
      expect(String(why)).toContain("PostgreSQL has no disk space left.");
      clock.advance(5_000);
      expect(await things(store).get("a")).toMatchObject({ id: "a" });
      small.free();
      await until(async () => things(store).add("c", much, clock.now() + HOUR));
      expect(store.lines.filter((line) => line.includes("lost the store"))).toEqual([]);
      await server.halt("fast");
    }, 60_000);

    test("over a slow network: all goes on; one too slow is refused in time, and all is well when it is faster", async () => {
      const server = await startOwn();
      const wire = await openWire(server.port);
      servers.push(wire);
      const store = await open(server.url.replace(`:${server.port}/`, `:${wire.port}/`));
      await until(ready(store));
      wire.delayMs = 100;
      await add(store, "a");
      expect(await addOnce(store, "t")).toBe(true);
      expect(await store.limits.hit("k", { limit: 1, windowMs: HOUR })).toEqual({ allowed: true });
      await things(store).take("a");
      await store.records(FEW).add("f", thing(), Date.now() + HOUR);
      wire.delayMs = 3_000;
      const begun = performance.now();
      // One statement, and several in a transaction.
      const asked = await Promise.allSettled([
        addOnce(store, "u"),
        store.records(FEW).add("g", thing(), Date.now() + HOUR),
      ]);
      expect(performance.now() - begun).toBeLessThan(6_000);
      for (const one of asked) {
        expect(one.status).toBe("rejected");
        if (one.status === "rejected") expect(one.reason).toBeInstanceOf(StoreUnavailable);
      }
      wire.delayMs = 0;
      await until(ready(store));
      expect(await addOnce(store, "t")).toBe(false);
      expect(await store.limits.hit("k", { limit: 1, windowMs: HOUR })).toMatchObject({ allowed: false });
    }, 60_000);

    test("the primary fails, and a replica takes its place: spent links stay spent, and it goes on", async () => {
      const primary = await startOwn();
      const replica = await startOwn({ primary });
      const wire = await openWire(primary.port);
      servers.push(wire);
      const store = await open(primary.url.replace(`:${primary.port}/`, `:${wire.port}/`));
      const begun = await store.since();
      await add(store, "a");
      expect(await addOnce(store, "t")).toBe(true);
      expect(await store.limits.hit("k", { limit: 1, windowMs: HOUR })).toEqual({ allowed: true });
      await until(async () => {
        // The hit was written last, and the other follows in order.
        const [row] = await replica.run(
          "SELECT count(*)::int AS n FROM pg_tables WHERE schemaname = 'runegate'",
        );
        const [hits] =
          row?.n === 0 ? [] : await replica.run("SELECT count(*)::int AS n FROM runegate.limits");
        return hits?.n === 1;
      });
      await primary.halt();
      wire.leadTo(replica.port);
      await until(async () => (await problemOf(store)).includes("read-only replica"));
      await expect((async () => addOnce(store, "t"))()).rejects.toBeInstanceOf(StoreUnavailable);
      await replica.promote();
      await until(ready(store));
      expect(await addOnce(store, "t")).toBe(false);
      expect(await store.since()).toBe(begun);
      expect(await things(store).take("a")).toEqual(thing());
      expect(await store.limits.hit("k", { limit: 1, windowMs: HOUR })).toMatchObject({ allowed: false });
      expect(await addOnce(store, "u")).toBe(true);
    }, 60_000);

    test("behind a PgBouncer that lends connections by the transaction: all of it, without prepared statements", async () => {
      if (pgbouncer === undefined) return;
      const server = await startOwn();
      const bouncer = await startPgBouncer(pgbouncer, server);
      servers.push(bouncer);
      const url = `postgres://runegate@127.0.0.1:${bouncer.port}/postgres`;
      const store = await open(`${url}?prepare=false`);
      await until(ready(store));
      const all = Array.from({ length: 60 }, async (_, i) => {
        await add(store, `a${i}`);
        return (await things(store).take(`a${i}`)) !== undefined;
      });
      expect(await Promise.all(all)).toEqual(all.map(() => true));
      const rule = { limit: 7, windowMs: HOUR };
      const hits = await Promise.all(Array.from({ length: 30 }, async () => store.limits.hit("k", rule)));
      expect(hits.filter(({ allowed }) => allowed)).toHaveLength(7);
      const once = await Promise.all(Array.from({ length: 30 }, () => addOnce(store, "t")));
      expect(once.filter(Boolean)).toHaveLength(1);
      const wrong = await open(url);
      await until(async () => (await problemOf(wrong)).includes("add &prepare=false"));
    }, 60_000);

    test("behind a PgBouncer that takes no settings of ours: said in words", async () => {
      if (pgbouncer === undefined) return;
      const server = await startOwn();
      const bouncer = await startPgBouncer(pgbouncer, server, "");
      servers.push(bouncer);
      const store = await open(`postgres://runegate@127.0.0.1:${bouncer.port}/postgres?prepare=false`);
      expect(await problemOf(store)).toContain("ignore_startup_parameters");
    }, 60_000);

    test("not there at the start: the store opens, and is ready when it comes", async () => {
      const server = await startOwn();
      await server.halt("fast");
      const store = await open(server.url);
      expect(store.lines.join()).toContain("the store cannot be reached yet");
      expect(async () => store.ready()).toThrow("PostgreSQL cannot be reached: nobody listens there.");
      expect(async () => addOnce(store, "t")).toThrow(StoreUnavailable);
      await server.start();
      await until(ready(store));
      expect(await addOnce(store, "t")).toBe(true);
    }, 60_000);

    test("every connection cut by the administrator: it goes on", async () => {
      const server = await startOwn();
      const store = await open(server.url);
      await add(store, "a");
      await server.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'runegate'",
      );
      await until(ready(store));
      expect(await things(store).take("a")).toEqual(thing());
    }, 60_000);

    test("a replica, which takes no writes: not ready, nobody new, and who is signed in stays", async () => {
      const server = await startOwn();
      const clock = testClock();
      const store = await open(server.url, clock);
      await add(store, "a", clock);
      await server.run("ALTER SYSTEM SET default_transaction_read_only = on");
      await server.run("SELECT pg_reload_conf()");
      await until(async () => {
        clock.advance(1_001);
        return (await problemOf(store)) !== "";
      });
      clock.advance(5_000);
      expect(await things(store).get("a")).toMatchObject({ id: "a" });
      await expect((async () => addOnce(store, "t", clock.now() + HOUR))()).rejects.toThrow(
        "PostgreSQL is a read-only replica: Runegate needs the primary.",
      );
    }, 60_000);

    test("a record that cannot be read costs that record, and is told and removed once", async () => {
      const server = await startOwn();
      const store = await open(server.url);
      for (const id of ["a", "b"]) await add(store, id);
      await server.run("UPDATE runegate.r_thing SET body = '{' WHERE id = 'a'");
      expect(await things(store).get("a")).toBeUndefined();
      expect(await things(store).get("a")).toBeUndefined();
      expect((await things(store).find({ most: 9 })).map(({ id }) => id)).toEqual(["b"]);
      expect(store.lines.filter((line) => line.includes("cannot be read"))).toHaveLength(1);
      await add(store, "a");
    }, 60_000);

    test("a kind that a later version looks up by more: what was there is found by that too", async () => {
      const server = await startOwn();
      const before = await open(server.url);
      const old: Kind<{ owner: string; place: string; at: number }> = { name: "grown" };
      for (let i = 0; i < 1200; i++)
        await before
          .records(old)
          .add(`g${i}`, { owner: `o${i % 3}`, place: `p\0${i % 2}`, at: i }, Date.now() + HOUR);
      const after = await open(server.url);
      const grown = after.records({ ...old, by: ["owner", "place"], order: "at" });
      expect(await grown.find({ where: { owner: "o1" }, most: 9999 })).toHaveLength(400);
      expect(await grown.find({ where: { place: "p\0" + "1" }, most: 9999 })).toHaveLength(600);
      expect((await grown.find({ most: 2, newestFirst: true })).map(({ id }) => id)).toEqual([
        "g1199",
        "g1198",
      ]);
    }, 60_000);

    test("what an older version made is left as it is by a program that runs beside a gateway", async () => {
      const server = await startOwn();
      const gateway = await open(server.url);
      const old: Kind<{ owner: string; place: string }> = { name: "grown", by: ["owner"] };
      const grown: typeof old = { ...old, by: ["owner", "place"] };
      await gateway.records(old).add("a", { owner: "o", place: "p" }, Date.now() + HOUR);
      const beside = await openStore(storeLocation(server.url), {
        clock: systemClock,
        log: SILENT,
        asIs: true,
      });
      opened.push(beside);
      await beside.ready();
      expect(await beside.records(old).get("a")).toBeDefined();
      const other = await openStore(storeLocation(server.url), {
        clock: systemClock,
        log: SILENT,
        asIs: true,
      });
      opened.push(other);
      await expect((async () => other.records(grown).get("a"))()).rejects.toThrow(
        "as an older Runegate left it",
      );
      const columns = await server.run(
        "SELECT count(*)::int AS n FROM information_schema.columns WHERE table_name = 'r_grown' AND column_name = 'by_place'",
      );
      expect(columns).toMatchObject([{ n: 0 }]);
      await server.run("UPDATE runegate.state SET value = 0 WHERE name = 'version'");
      const older = await openStore(storeLocation(server.url), {
        clock: systemClock,
        log: SILENT,
        asIs: true,
      });
      opened.push(older);
      await expect((async () => older.ready())()).rejects.toThrow("as an older Runegate left it");
    }, 60_000);

    test("a store of a newer version is left alone", async () => {
      const server = await startOwn();
      await open(server.url);
      await server.run("UPDATE runegate.state SET value = 99 WHERE name = 'version'");
      const store = await open(server.url);
      expect(async () => store.ready()).toThrow("PostgreSQL holds the store of a newer Runegate");
    }, 60_000);

    test("of marks that are swept, none is added again with a clock that was set back", async () => {
      const server = await startOwn();
      const clock = testClock();
      const store = await open(server.url, clock);
      const end = clock.now() + HOUR;
      expect(await addOnce(store, "t", end)).toBe(true);
      const begun = clock.now();
      clock.advance(DAY + 2 * HOUR);
      await server.run(
        `INSERT INTO runegate.state VALUES ('swept once', ${clock.now() - DAY}); DELETE FROM runegate.r_once`,
      );
      clock.setWall(begun);
      expect(await addOnce(store, "t", end)).toBe(false);
      expect(await addOnce(store, "t", end + 3 * HOUR)).toBe(true);
    }, 60_000);

    test.each<[string, (server: PostgresServer) => string, string]>([
      [
        "a wrong password",
        ({ url }) => url.replace(":right@", ":hunter2@"),
        "PostgreSQL does not accept the user and password of RUNEGATE_STORE.",
      ],
      [
        "no such database",
        ({ url }) => url.replace("/postgres?", "/none?"),
        "PostgreSQL has no database of that name",
      ],
      [
        "a certificate of somebody else",
        ({ url }) => url.replace(/&sslrootcert=.*/, ""),
        "PostgreSQL has a certificate that is not trusted",
      ],
      [
        "another port",
        ({ url, port }) => url.replace(`:${port}/`, `:${freePort()}/`),
        "nobody listens there",
      ],
    ])(
      "%s: said in words, without a password",
      async (_, urlOf, words) => {
        const server = await startOwn({ tls: true, password: "right" });
        const store = await open(urlOf(server));
        const why = await problemOf(store);
        expect(why).toContain(words);
        expect(why + store.lines.join()).not.toContain("hunter2");
        // And the right one is let in.
        await until(ready(await open(server.url)));
      },
      60_000,
    );

    test("by a unix socket, and without prepared statements", async () => {
      const server = await startOwn();
      const store = await open(
        `postgres://runegate@/postgres?host=${server.folder}&prepare=false`
          .replace("/postgres?", `:${server.port}/postgres?`)
          .replace("@:", "@localhost:"),
      );
      await until(ready(store));
      await add(store, "a");
      expect(await things(store).take("a")).toEqual(thing());
      expect(await store.limits.hit("k", { limit: 1, windowMs: HOUR })).toEqual({ allowed: true });
    }, 60_000);

    test("closed: throws, and lets the process end", async () => {
      const server = await startOwn();
      const store = await open(server.url);
      await add(store, "a");
      await store.close();
      expect(async () => things(store).find({ most: 1 })).toThrow("The store has been closed.");
      const script = `
        import { openStore } from ${JSON.stringify(`${import.meta.dir}/../../src/store/open.ts`)};
        import { storeLocation } from ${JSON.stringify(`${import.meta.dir}/../../src/store/location.ts`)};
        import { systemClock } from ${JSON.stringify(`${import.meta.dir}/../../src/clock.ts`)};
        const log = { enabled: () => false, trace() {}, debug() {}, info() {}, warn() {}, error() {} };
        const store = await openStore(storeLocation(${JSON.stringify(server.url)}), { clock: systemClock, log });
        await store.ready();
        await store.close();
      `;
      const child = Bun.spawn([process.execPath, "-e", script], { stdout: "inherit", stderr: "inherit" });
      const late = setTimeout(() => child.kill(), 10_000);
      expect(await child.exited).toBe(0);
      clearTimeout(late);
    }, 60_000);
  });
});
