import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { type Clock, systemClock } from "../../src/clock.ts";
import { createLoggers } from "../../src/observe/log.ts";
import type { Logger } from "../../src/observe/logger.ts";
import { StoreUnavailable } from "../../src/store/records.ts";
import type { Store } from "../../src/store/store.ts";
import { ValkeyRefusal } from "../../src/store/valkey/refusal.ts";
import { openValkeyStore } from "../../src/store/valkey.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { needs } from "../support/needs.ts";
import { startProcess } from "../support/process.ts";
import { startValkey, type ValkeyServer, type ValkeyServerSettings } from "../support/valkey.ts";
import { storeContract } from "./contract.ts";
import { add, addOnce, ONCE, ready, thing, things, until } from "./things.ts";

const HOUR = 3_600_000;
const RECORDS = "{runegate}:r:thing";
const DAY = 24 * HOUR;

/** Redis is what Debian has. Valkey is tested where there is one. */
const executables = [needs("redis-server"), Bun.which("valkey-server")].filter((path) => path != null);

function createLog(): { log: Logger; lines: string[] } {
  const lines: string[] = [];
  const loggers = createLoggers({
    format: "console",
    levels: { default: "info", modules: {} },
    write: (line) => lines.push(line),
    now: Date.now,
    color: false,
  });
  return { log: loggers("store"), lines };
}

describe.each(executables)("%s", (executable) => {
  const opened: Store[] = [];
  const servers: ValkeyServer[] = [];
  afterEach(async () => {
    for (const stores of opened.splice(0)) await stores.close();
    for (const server of servers.splice(0)) await server.stop();
  });

  /** A server for one case. */
  async function startOwn(settings?: ValkeyServerSettings): Promise<ValkeyServer> {
    const server = await startValkey(executable, settings);
    servers.push(server);
    return server;
  }
  async function open(
    url: string,
    clock: Clock = systemClock,
  ): Promise<Store & { readonly lines: readonly string[] }> {
    const { log, lines } = createLog();
    const stores = await openValkeyStore({ url, clock, log });
    opened.push(stores);
    return { ...stores, lines };
  }

  describe("alone", () => {
    let server: ValkeyServer;
    beforeAll(async () => {
      server = await startValkey(executable);
    });
    afterAll(() => server.stop());
    const open = async (clock: Clock) => {
      await server.run("FLUSHALL");
      return openValkeyStore({ url: server.url, clock, log: createLog().log });
    };
    storeContract("valkey", open);
  });

  describe("in a cluster", () => {
    let server: ValkeyServer;
    beforeAll(async () => {
      server = await startValkey(executable, { lines: ["cluster-enabled yes"] });
      await server.run("CLUSTER", "ADDSLOTSRANGE", "0", "16383");
      await until(async () => String(await server.run("CLUSTER", "INFO")).includes("cluster_state:ok"));
    });
    afterAll(() => server.stop());
    const open = async (clock: Clock) => {
      await server.run("FLUSHALL");
      return openValkeyStore({ url: server.url, clock, log: createLog().log });
    };
    storeContract("valkey", open);
  });

  describe("shared by two machines", () => {
    let server: ValkeyServer;
    let clock: TestClock;
    let here: Store;
    let there: Store;
    beforeAll(async () => {
      server = await startValkey(executable);
    });
    afterAll(() => server.stop());
    beforeEach(async () => {
      await server.run("FLUSHALL");
      clock = testClock();
      here = await open(server.url, clock);
      // Another machine's monotonic clock began elsewhere.
      there = await open(server.url, { now: clock.now, monotonic: () => clock.monotonic() + 987_654_321 });
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
        Array.from({ length: 100 }, async (_, i) => (i % 2 ? here : there).limits.hit("k", rule)),
      );
      expect(outcomes.filter(({ allowed }) => allowed)).toHaveLength(7);
      for (const { limits } of [here, there]) {
        const outcome = await limits.hit("k", rule);
        // The clocks were set by the server's at two moments, a few milliseconds apart.
        expect(outcome.allowed ? 0 : Math.abs(outcome.retryAfterMs - 60_000)).toBeLessThan(1000);
        expect(outcome.allowed).toBe(false);
      }
    });

    test("of those who replace a record on both one does", async () => {
      await add(here, "a", clock);
      const seen = await things(here).get("a");
      if (seen === undefined) throw new Error("gone");
      const won = await Promise.all(
        Array.from({ length: 40 }, async (_, i) =>
          things(i % 2 ? here : there).replace(seen, thing("ann", i)),
        ),
      );
      expect(won.filter(Boolean)).toHaveLength(1);
    });

    test("a record of one is there on the other at once", async () => {
      expect(await things(there).get("a")).toBeUndefined();
      await add(here, "a", clock);
      expect(await things(there).get("a")).toMatchObject({ id: "a", record: thing() });
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
      await take();
      expect(told.here.toSorted()).toEqual(taken);
      expect(await until(() => told.there.length === taken.length)).toBeLessThan(1000);
      // The clock stands still: it is the push that emptied the cache.
      for (const id of taken) expect(await things(there).get(id)).toBeUndefined();
      // Whatever was published before this one has been heard.
      await add(there, "last", clock);
      await things(there).take("last");
      await until(() => told.here.includes("last"));
      expect(told.here.toSorted()).toEqual([...taken, "last"]);
      expect(told.there.toSorted()).toEqual([...taken, "last"]);
    });

    test("what is taken while the listening connection is cut is known when it is back", async () => {
      await add(here, "a", clock);
      expect(await things(there).get("a")).toBeDefined();
      const told: string[] = [];
      things(there).onTaken((id) => told.push(id));
      await Promise.all([
        server.run("CLIENT", "KILL", "TYPE", "pubsub"),
        // As the operator would from anywhere: by a connection that is not cut.
        server.run("HDEL", RECORDS, "a"),
      ]);
      await until(async () => (await things(there).get("a")) === undefined);
      await until(ready(here));
      await add(here, "b", clock);
      await things(here).take("b");
      await until(() => told.includes("b"));
    });

    test("a database number keeps two installations apart", async () => {
      const apart = await open(server.url.replace(/0$/, "5"), clock);
      const told: string[] = [];
      things(apart).onTaken((id) => told.push(id));
      await add(here, "a", clock);
      expect(await things(apart).get("a")).toBeUndefined();
      await things(here).take("a");
      await add(apart, "b", clock);
      await things(apart).take("b");
      expect(told).toEqual(["b"]);
      expect(await things(apart).find({ most: 9 })).toEqual([]);
    });

    test("more records than a page are found once each, however many end at once", async () => {
      const ids = Array.from({ length: 3500 }, (_, i) => `s${i}`);
      await Promise.all(ids.map((id, i) => add(here, id, clock, "ann", i < 3000 ? HOUR : i)));
      const found = (await things(here).find({ most: 1e6 })).map(({ id }) => id);
      expect(found.toSorted()).toEqual(ids.toSorted());
      expect(await things(here).find({ where: { owner: "ann" }, most: 1e6 })).toHaveLength(3500);
    });

    test("while others come and go, none is left out that is there all the time", async () => {
      const ids = Array.from({ length: 3500 }, (_, i) => `s${String(i).padStart(4, "0")}`);
      await Promise.all(ids.map((id, i) => add(here, id, clock, "ann", HOUR + i)));
      const finding = (async () => things(here).find({ most: 1e6 }))();
      await Promise.all(ids.slice(0, 500).map(async (id) => things(there).take(id)));
      const found = new Set((await finding).map(({ id }) => id));
      expect(ids.slice(500).filter((id) => !found.has(id))).toEqual([]);
    });

    test("what has expired goes as others come, and everything goes when nobody comes", async () => {
      for (let i = 0; i < 30; i++) await add(here, `s${i}`, clock);
      clock.advance(HOUR);
      const sizes: unknown[] = [];
      for (let i = 0; i < 4; i++) {
        await add(here, `new${i}`, clock, `o${i}`);
        sizes.push(await server.run("HLEN", RECORDS));
      }
      expect(sizes).toEqual([21, 12, 3, 4]);
      expect(await server.run("ZCARD", `${RECORDS}:expiry`)).toBe(4);
      expect(await server.run("ZCARD", `${RECORDS}:by:owner`)).toBe(4);
      await here.limits.hit("k", { limit: 1, windowMs: 5000 });
      await addOnce(here, "t", clock.now() + HOUR);
      for (const key of (await server.run("KEYS", "*")) as string[]) {
        // A beginning must not be forgotten before what it is about, nor what was done once and for all.
        if (key === "{runegate}:since" || key === "{runegate}:taken-over") continue;
        const ttl = Number(await server.run("PTTL", key));
        expect([key, ttl > 0 && ttl <= DAY + HOUR]).toEqual([key, true]);
      }
    });

    test("what comes once is kept for a day longer, so that setting a clock back makes nothing new", async () => {
      const end = clock.now() + HOUR;
      expect(await addOnce(here, "a", end)).toBe(true);
      clock.advance(DAY);
      expect(await addOnce(there, "a", end)).toBe(false);
      clock.advance(-DAY - HOUR);
      expect(await addOnce(there, "a", end)).toBe(false);
      expect(Number(await server.run("PTTL", "{runegate}:once:a"))).toBeGreaterThan(DAY + HOUR - 10_000);
    });

    test("a limit goes by no wall clock, and forgets hits of a future that the server's clock has left", async () => {
      const rule = { limit: 1, windowMs: 60_000 };
      let wall = clock.now();
      const limits = (await open(server.url, { now: () => wall, monotonic: clock.monotonic })).limits;
      expect(await limits.hit("k", rule)).toEqual({ allowed: true });
      wall += 10 * HOUR;
      expect(await limits.hit("k", rule)).toEqual({ allowed: false, retryAfterMs: 60_000 });
      clock.advance(-HOUR);
      expect(await limits.hit("k", rule)).toEqual({ allowed: true });
    });

    test("scripts that the server has forgotten are sent again", async () => {
      expect(await here.limits.hit("k", { limit: 1, windowMs: 1000 })).toEqual({ allowed: true });
      await server.run("SCRIPT", "FLUSH");
      const outcomes = await Promise.all(
        Array.from({ length: 10 }, async () => here.limits.hit("k", { limit: 1, windowMs: 1000 })),
      );
      expect(outcomes.every(({ allowed }) => !allowed)).toBe(true);
      await server.run("SCRIPT", "FLUSH");
      await add(here, "a", clock);
      expect(await things(here).takeAll("owner", "ann")).toHaveLength(1);
    });
  });

  describe("in trouble", () => {
    test("paused: nothing hangs, who was seen just now goes on for the cache time, and then all is well", async () => {
      const server = await startOwn();
      const clock = testClock();
      const stores = await open(server.url, clock);
      await add(stores, "a", clock);
      await things(stores).get("a");
      server.pause();
      clock.advance(2499);
      expect(things(stores).get("a")).toMatchObject({ id: "a" });
      clock.advance(1);
      const begun = performance.now();
      const asked = await Promise.allSettled([
        things(stores).get("a"),
        addOnce(stores, "t", clock.now() + HOUR),
        stores.limits.hit("k", { limit: 1, windowMs: 1 }),
        stores.ready(),
      ]);
      const took = performance.now() - begun;
      expect(took).toBeGreaterThan(1900);
      expect(took).toBeLessThan(10_000);
      const outcomes = asked.map((one) => (one.status === "fulfilled" ? one.value : one.reason));
      for (const i of [0, 1, 2, 3]) expect(outcomes[i]).toBeInstanceOf(StoreUnavailable);
      expect(outcomes[3].message).toBe("The Valkey server does not answer.");
      // Nobody waits a second time.
      const again = performance.now();
      expect(async () => addOnce(stores, "u", clock.now() + HOUR)).toThrow(StoreUnavailable);
      expect(async () => things(stores).find({ most: 9 })).toThrow(StoreUnavailable);
      expect(performance.now() - again).toBeLessThan(1900);
      server.resume();
      await until(ready(stores));
      expect(await things(stores).get("a")).toMatchObject({ id: "a" });
      expect(await addOnce(stores, "u", clock.now() + HOUR)).toBe(true);
      // Only the answer was lost: the server had read the order, and a ticket is never fresh twice.
      expect(await addOnce(stores, "t", clock.now() + HOUR)).toBe(false);
      expect(stores.lines.filter((line) => /lost the store|is back/.test(line))).toHaveLength(2);
    }, 60_000);

    test("killed, away for many attempts and started again: works again, and says so once", async () => {
      const server = await startOwn();
      const stores = await open(server.url);
      expect(await addOnce(stores, "t")).toBe(true);
      await server.kill();
      let attempts = 0;
      const nobody = Bun.listen({
        hostname: "127.0.0.1",
        port: server.port,
        socket: {
          open(socket) {
            attempts++;
            socket.end();
          },
          data() {},
        },
      });
      expect(async () => addOnce(stores, "u")).toThrow(StoreUnavailable);
      expect(async () => things(stores).find({ most: 1 })).toThrow(StoreUnavailable);
      await until(() => attempts > 12);
      nobody.stop(true);
      await server.start();
      await until(ready(stores));
      expect(await addOnce(stores, "u")).toBe(true);
      expect(stores.lines.filter((line) => line.includes("lost the store"))).toHaveLength(1);
      expect(stores.lines.filter((line) => line.includes("the store is back"))).toHaveLength(1);
    }, 60_000);

    test("not there at the start: the stores open, and are ready when it comes", async () => {
      const server = await startOwn({ started: false });
      const stores = await open(server.url);
      expect(stores.lines.join()).toContain("the store cannot be reached yet");
      expect(async () => stores.ready()).toThrow(
        "The Valkey server cannot be reached: nobody listens on that port.",
      );
      expect(async () => addOnce(stores, "t")).toThrow(StoreUnavailable);
      await server.start();
      await until(ready(stores));
      const told: string[] = [];
      things(stores).onTaken((id) => told.push(id));
      await add(stores, "a");
      await things(await open(server.url)).take("a");
      await until(() => told.length === 1);
    });

    test("cut off in the middle: what waits fails at once, and it comes back by itself", async () => {
      const server = await startOwn();
      const stores = await open(server.url);
      await server.run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
      await until(ready(stores));
      expect(await stores.limits.hit("k", { limit: 1, windowMs: 1000 })).toEqual({ allowed: true });
    });

    test("a demoted primary is left, and answers nothing from then on", async () => {
      const server = await startOwn();
      const stores = await open(server.url);
      await add(stores, "a");
      await server.run("REPLICAOF", "127.0.0.1", "1");
      expect(async () => addOnce(stores, "t")).toThrow(StoreUnavailable);
      expect(async () => stores.ready()).toThrow("is a read-only replica");
      expect(async () => things(stores).get("a")).toThrow("is a read-only replica");
      await server.run("REPLICAOF", "NO", "ONE");
      await until(ready(stores));
      expect(await things(stores).get("a")).toMatchObject({ id: "a" });
    });

    test("full: not ready, nobody new; who is signed in stays, and can sign out", async () => {
      const server = await startOwn({ lines: ["maxmemory-policy noeviction"] });
      const stores = await open(server.url);
      await add(stores, "a");
      await server.run("CONFIG", "SET", "maxmemory", "1");
      const late = await open(server.url);
      for (const store of [stores, late]) {
        expect(async () => store.ready()).toThrow("The Valkey server has no memory left");
        expect(async () => addOnce(store, "t")).toThrow(StoreUnavailable);
        expect(async () => store.limits.hit("k", { limit: 1, windowMs: 1000 })).toThrow(StoreUnavailable);
        expect(async () => add(store, "b")).toThrow(StoreUnavailable);
        expect(await things(store).get("a")).toMatchObject({ id: "a" });
      }
      expect(await things(late).take("a")).toEqual(thing());
      await server.run("CONFIG", "SET", "maxmemory", "0");
      await stores.ready();
    });

    test("asked whether it is ready: writes at most once a second, and knows a failure at once", async () => {
      const server = await startOwn({ lines: ["maxmemory-policy noeviction"] });
      const clock = testClock();
      const stores = await open(server.url, clock);
      const writes = async () => {
        const stats = String(await server.run("INFO", "commandstats"));
        return Number(/^cmdstat_set:calls=(\d+)/m.exec(stats)?.[1] ?? 0);
      };
      const ask = async (times: number) => {
        await Promise.all(Array.from({ length: times }, () => stores.ready()));
        return writes();
      };
      await server.run("CONFIG", "RESETSTAT");
      expect(await ask(100)).toBe(1);
      clock.advance(999);
      expect(await ask(100)).toBe(1);
      clock.advance(1);
      expect(await ask(100)).toBe(2);
      // A refusal that anything else meets with counts more than what is remembered.
      await server.run("CONFIG", "SET", "maxmemory", "1");
      expect(async () => addOnce(stores, "t", clock.now() + HOUR)).toThrow(StoreUnavailable);
      expect(async () => stores.ready()).toThrow("has no memory left");
      await server.run("CONFIG", "SET", "maxmemory", "0");
      await stores.ready();
      await server.kill();
      await until(async () => {
        const answer = await Promise.resolve(stores.ready()).catch((error: unknown) => error);
        return answer instanceof StoreUnavailable;
      }, 1_000);
    });

    describe("a broken record", () => {
      let server: ValkeyServer;
      beforeAll(async () => {
        server = await startValkey(executable);
      });
      afterAll(() => server.stop());
      beforeEach(() => server.run("FLUSHALL"));

      const BROKEN: [string, string][] = [
        ["nothing", ""],
        ["no JSON", "1800000012345\n8640000000000000\n{"],
        ["cut off", '1800000012345\n8640000000000000\n{"owner":"ann","us'],
        ["another shape", "1800000012345\n8640000000000000\n[]"],
        ["null", "1800000012345\n8640000000000000\nnull"],
        ["one line", "1800000012345"],
        ["a version that is none", `soon\n8640000000000000\n${JSON.stringify(thing())}`],
        ["no end", `1\n\n${JSON.stringify(thing())}`],
        ["the record alone", JSON.stringify(thing())],
        ["binary", "\u0000\u00ff\n\n\n\u0000"],
      ];

      test.each(BROKEN)("(%s) costs that record, and is told and removed once", async (_, value) => {
        const clock = testClock();
        const store = await open(server.url, clock);
        for (const id of ["broken", "whole"]) await add(store, id, clock);
        await server.run("HSET", RECORDS, "broken", value);
        expect((await things(store).find({ most: 9 })).map(({ id }) => id)).toEqual(["whole"]);
        const found = await Promise.all(
          ["broken", "whole", "broken"].map(async (id) => things(store).get(id)),
        );
        expect(found.map((one) => one?.id)).toEqual([undefined, "whole", undefined]);
        expect(store.lines.filter((line) => line.includes("cannot be read"))).toHaveLength(1);
        expect(await server.run("HEXISTS", RECORDS, "broken")).toBe(0);
        expect(await server.run("ZSCORE", `${RECORDS}:expiry`, "broken")).toBeNull();
        await add(store, "new", clock);
        const taken = await things(store).takeAll("owner", "ann");
        expect(taken.map(({ id }) => id).toSorted()).toEqual(["new", "whole"]);
        expect(await server.run("ZCARD", `${RECORDS}:by:owner`)).toBe(0);
      });

      test.each(BROKEN)("(%s) that has expired keeps nobody from signing in", async (_, value) => {
        const clock = testClock();
        const store = await open(server.url, clock);
        for (let i = 0; i < 12; i++) {
          await add(store, `s${i}`, clock);
          await server.run("HSET", RECORDS, `s${i}`, value);
        }
        await server.run("HDEL", RECORDS, "s11");
        clock.advance(2 * HOUR);
        for (const id of ["one", "two"]) {
          await add(store, id, clock);
          expect(await things(store).get(id)).toMatchObject({ id });
        }
        // Twelve have gone, ten with each that came.
        expect(await server.run("ZCARD", `${RECORDS}:expiry`)).toBe(2);
        expect(await server.run("HLEN", RECORDS)).toBe(2);
      });

      test("among thousands hides none of the others", async () => {
        const clock = testClock();
        const store = await open(server.url, clock);
        const ids = Array.from({ length: 3_200 }, (_, i) => `s${String(i).padStart(4, "0")}`);
        await Promise.all(ids.map((id) => add(store, id, clock)));
        // A page of them, and more.
        for (const id of ids.slice(900, 2_300)) await server.run("HSET", RECORDS, id, "broken");
        const found = (await things(store).find({ most: 1e6 })).map(({ id }) => id);
        expect(found.toSorted()).toEqual([...ids.slice(0, 900), ...ids.slice(2_300)]);
      });

      test("of a limit is as good as none", async () => {
        const stores = await open(server.url);
        const rule = { limit: 1, windowMs: 60_000 };
        await server.run("RPUSH", "{runegate}:limit:k", "soon");
        expect(await stores.limits.hit("k", rule)).toEqual({ allowed: true });
        expect(await stores.limits.hit("k", rule)).toMatchObject({ allowed: false });
      });
    });

    test("a server that makes room by forgetting is warned of", async () => {
      const server = await startOwn({
        lines: ["maxmemory 100mb", "maxmemory-policy allkeys-lru", "appendonly yes"],
      });
      expect((await open(server.url)).lines.join()).toContain("maxmemory-policy");
      await server.run("CONFIG", "SET", "maxmemory-policy", "noeviction");
      expect((await open(server.url)).lines).toEqual([]);
    });

    test("a server that forgets when it is restarted is warned of", async () => {
      const server = await startOwn();
      expect((await open(server.url)).lines.join()).toContain("set appendonly to yes");
      await server.run("CONFIG", "SET", "appendonly", "yes");
      expect((await open(server.url)).lines).toEqual([]);
    });

    test("a password with a bare percent sign: works, and survives that the server goes away", async () => {
      const server = await startOwn({
        lines: ["requirepass 50%off"],
        userinfo: ":50%off",
        adminUserinfo: ":50%25off",
      });
      const stores = await open(server.url);
      await stores.ready();
      await server.kill();
      const reason = async () => String(await Promise.resolve(stores.ready()).catch((error) => error));
      await until(async () => (await reason()).includes("nobody listens"));
      await server.start();
      await until(ready(stores));
    });

    test.each<[string, (userinfo: string) => string, string]>([
      ["no password", () => "", "asks for a password, and RUNEGATE_STORE has none"],
      ["a wrong password", () => "gate:Wr0ng-Secret@", "does not accept the user and password"],
      ["no such user", () => "nobody:Wr0ng-Secret@", "does not accept the user and password"],
      [
        "a user without rights",
        () => "weak:W3ak-Secret@",
        "does not allow this user all that Runegate needs",
      ],
    ])("with %s: not ready, with the reason and without the password", async (_, userinfo, reason) => {
      const server = await startOwn(WITH_USERS);
      const url = server.url.replace(/(?<=\/\/).*@/, userinfo);
      const stores = await open(url);
      expect(async () => stores.ready()).toThrow(reason);
      expect(async () => addOnce(stores, "t")).toThrow(StoreUnavailable);
      expect(stores.lines.join("\n")).toContain(reason);
      expect(stores.lines.join("\n")).not.toContain("Secret");
      await server.run("ACL", "SETUSER", "default", "on", "nopass", "~*", "&*", "+@all");
    });

    test("the user that the guide names may do all there is to do", async () => {
      const server = await startOwn(WITH_USERS);
      const stores = await open(server.url);
      await stores.ready();
      expect(await addOnce(stores, "t")).toBe(true);
      expect(await stores.records(ONCE).get("t")).toBeDefined();
      await add(stores, "a");
      const seen = await things(stores).get("a");
      if (seen === undefined) throw new Error("gone");
      expect(await things(stores).replace(seen, thing("ann", 1))).toBe(true);
      expect(await things(stores).find({ most: 9 })).toHaveLength(1);
      expect(await things(stores).takeAll("owner", "ann")).toHaveLength(1);
      expect(await things(stores).take("a")).toBeUndefined();
      await stores.limits.hit("k", { limit: 1, windowMs: 1000 });
      await stores.limits.release("k");
      expect(await stores.since()).toBeLessThanOrEqual(Date.now());
    });

    test("closed: throws, and lets the process end, whether the server is there or not", async () => {
      const server = await startOwn();
      const stores = await open(server.url);
      await stores.close();
      expect(async () => stores.ready()).toThrow("The store has been closed.");
      expect(async () => things(stores).get("a")).toThrow(StoreUnavailable);
      expect(async () => addOnce(stores, "t")).toThrow(StoreUnavailable);
      expect(await inProcess(server.url)).toContain("ready");
      server.pause();
      expect(await inProcess(server.url)).toContain("does not answer");
      await server.kill();
      expect(await inProcess(server.url)).toContain("nobody listens");
    }, 60_000);

    test("TLS: the certificate is looked at, and trusted if NODE_EXTRA_CA_CERTS names it", async () => {
      const server = await startOwn({ ...WITH_USERS, tls: true });
      expect(await inProcess(server.url)).toMatch(
        /the store cannot be reached yet.*certificate is not trusted/,
      );
      const trusting = { NODE_EXTRA_CA_CERTS: server.certificate };
      expect(await inProcess(server.url, trusting)).toMatch(/ready$/);
      // The certificate is for `localhost` and `127.0.0.1`.
      expect(await inProcess(server.url.replace("127.0.0.1", "127.0.0.2"), trusting)).toContain("cannot be");
      const plain = await open(server.url.replace("rediss", "redis"));
      expect(async () => plain.ready()).toThrow("The Valkey server");
    }, 60_000);
  });
});

/** The least that Runegate's user needs, as the guide has it, and a password that a URL cannot hold as it is. */
const WITH_USERS: ValkeyServerSettings = {
  lines: [
    "user default off",
    "user admin on >4dmin-Secret ~* &* +@all",
    "user gate on >p@ss:/%+Secret resetchannels ~{runegate}:* &{runegate}:* +@read +@write +@scripting +@pubsub +@connection +time +info",
    "user weak on >W3ak-Secret ~* &* +@connection",
  ],
  userinfo: `gate:${encodeURIComponent("p@ss:/%+Secret")}`,
  adminUserinfo: "admin:4dmin-Secret",
};

/** Opens stores in a process of their own, closes them, and gives what it said once it has ended by itself. */
async function inProcess(url: string, env: Readonly<Record<string, string>> = {}): Promise<string> {
  const source = join(import.meta.dir, "../../src");
  const code = `
    import { systemClock } from "${source}/clock.ts";
    import { openValkeyStore } from "${source}/store/valkey.ts";
    const say = (message, { reason } = {}) => console.log(message, reason ?? "");
    const log = { error: say, warn: say, info: say, debug: say, trace: say, enabled: () => true };
    const stores = await openValkeyStore({ url: ${JSON.stringify(url)}, clock: systemClock, log });
    try { await stores.ready(); console.log("ready"); } catch (error) { console.log(error.message); }
    await stores.close();
  `;
  const child = startProcess([process.execPath, "-e", code], env);
  const timer = setTimeout(() => child.signal("SIGKILL"), 30_000);
  const exit = await child.exited;
  clearTimeout(timer);
  expect([exit, child.output()]).toEqual([0, child.output()]);
  expect(child.output()).not.toContain("Secret");
  return child.output().trim();
}

test.each([
  ["WRONGPASS invalid username-password pair or user is disabled.", "does not accept the user and password"],
  ["ERR invalid password", "does not accept the user and password"],
  ["NOAUTH HELLO must be called with the client already authenticated", "asks for a password"],
  ["NOPERM this user has no permissions to run the 'set' command", "does not allow this user"],
  ["ERR The user executing the script can't run this command or subcommand", "does not allow this user"],
  ["LOADING Redis is loading the dataset in memory", "is still loading its data"],
  ["READONLY You can't write against a read only replica.", "is a read-only replica"],
  ["MASTERDOWN Link with MASTER is down", "has lost its primary"],
  ["OOM command not allowed when used memory > 'maxmemory'.", "has no memory left"],
  ["MISCONF Valkey is configured to save RDB snapshots", "cannot save its data to disk"],
  ["NOREPLICAS Not enough good replicas to write.", "has lost its replicas"],
  ["BUSY Redis is busy running a script.", "is busy with a script"],
  ["MOVED 3999 127.0.0.1:6381", "another node keeps Runegate's keys"],
  ["CLUSTERDOWN The cluster is down", "a cluster that is down"],
  ["ERR max number of clients reached", "as many connections as it allows"],
  ["ERR DB index is out of range", "no database of that number"],
  ["ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'u' 'secret'", "with an error (ERR)."],
  ["something else entirely: secret", "with an error (ERR)."],
])("the server's %j becomes words that say what to do, and repeat nothing", (reply, words) => {
  const { message } = new ValkeyRefusal(reply);
  expect(message).toContain(words);
  expect(message).not.toContain("secret");
});
