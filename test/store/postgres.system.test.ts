import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { type AddressInfo, connect, createServer } from "node:net";
import { type Clock, systemClock } from "../../src/clock.ts";
import { createLoggers } from "../../src/observe/log.ts";
import { storeLocation } from "../../src/store/location.ts";
import { openStore } from "../../src/store/open.ts";
import { type Kind, StoreUnavailable } from "../../src/store/records.ts";
import type { Store } from "../../src/store/store.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { type PostgresServer, postgresPrograms, startPostgres } from "../support/postgres.ts";
import { freePort } from "../support/process.ts";
import { SILENT } from "../support/silent.ts";
import { storeContract } from "./contract.ts";
import { add, addOnce, ready, type Thing, thing, things, until } from "./things.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const programs = postgresPrograms();

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
    const server = connect(to, "127.0.0.1");
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
  const servers: PostgresServer[] = [];
  afterEach(async () => {
    for (const store of opened.splice(0)) await store.close();
    for (const server of servers.splice(0)) await server.stop();
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
