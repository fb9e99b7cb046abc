import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { type Clock, systemClock } from "../../src/clock.ts";
import { createLoggers } from "../../src/observe/log.ts";
import type { Logger } from "../../src/observe/logger.ts";
import { type SessionRecord, type Stores, StoreUnavailable } from "../../src/store/contracts.ts";
import { OUTBOX } from "../../src/store/valkey/keys.ts";
import { ValkeyRefusal } from "../../src/store/valkey/refusal.ts";
import { openValkeyStores } from "../../src/store/valkey.ts";
import { needs } from "../support/needs.ts";
import { startProcess } from "../support/process.ts";
import { startValkey, type ValkeyServer, type ValkeyServerSettings } from "../support/valkey.ts";
import { createTestClock, storeContract, type TestClock } from "./contract.ts";
import { recordsContract } from "./records-contract.ts";

const HOUR = 3_600_000;
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

function record(clock: Clock, id: string, changes: Partial<SessionRecord> = {}): SessionRecord {
  const now = clock.now();
  const times = { createdAt: now, expiresAt: now + HOUR, seenAt: now };
  return {
    id,
    email: "ann@example.org",
    ...times,
    ip: "192.0.2.7",
    userAgent: "test",
    seal: "s",
    ...changes,
  };
}

/** Asks until the answer is as wanted. @returns after how many milliseconds that was. */
async function until(wanted: () => unknown, withinMs = 20_000): Promise<number> {
  const begun = performance.now();
  for (;;) {
    try {
      if (await wanted()) return performance.now() - begun;
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error;
    }
    if (performance.now() - begun > withinMs) throw new Error(`not within ${withinMs} ms: ${wanted}`);
    await Bun.sleep(2);
  }
}

const ready = (stores: Stores) => async () => {
  await stores.ready();
  return true;
};

describe.each(executables)("%s", (executable) => {
  const opened: Stores[] = [];
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
  ): Promise<Stores & { readonly lines: readonly string[] }> {
    const { log, lines } = createLog();
    const stores = await openValkeyStores({ url, clock, log });
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
      return openValkeyStores({ url: server.url, clock, log: createLog().log });
    };
    storeContract("valkey", open);
    recordsContract("valkey", open);
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
      return openValkeyStores({ url: server.url, clock, log: createLog().log });
    };
    storeContract("valkey", open);
    recordsContract("valkey", open);
  });

  describe("shared by two machines", () => {
    let server: ValkeyServer;
    let clock: TestClock;
    let here: Stores;
    let there: Stores;
    beforeAll(async () => {
      server = await startValkey(executable);
    });
    afterAll(() => server.stop());
    beforeEach(async () => {
      await server.run("FLUSHALL");
      clock = createTestClock();
      here = await open(server.url, clock);
      // Another machine's monotonic clock began elsewhere.
      there = await open(server.url, { now: clock.now, monotonic: () => clock.monotonic() + 987_654_321 });
    });

    test("500 tickets are each fresh for exactly one of those who show them on both", async () => {
      const end = clock.now() + HOUR;
      const shown = Array.from({ length: 2000 }, (_, i) => ({
        jti: `t${i % 500}`,
        at: i % 3 === 0 ? here : there,
      }));
      const outcomes = await Promise.all(
        shown.map(async ({ jti, at }) => [jti, await at.tickets.spend(jti, end)]),
      );
      const fresh = outcomes.filter(([, outcome]) => outcome === "fresh").map(([jti]) => jti);
      expect(fresh).toHaveLength(500);
      expect(new Set(fresh).size).toBe(500);
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

    test("a mail is claimed by one of them", async () => {
      const now = clock.now();
      for (let i = 0; i < 40; i++) {
        await here.outbox.add(
          {
            ...{ id: `m${i}`, to: "ann@example.org", content: "sealed" },
            ...{ messageId: "<m@example.org>", queuedAt: now, expiresAt: now + HOUR, attempts: 0 },
            ...{ nextAttemptAt: now, cooldownKey: undefined, first: false },
          },
          1000,
        );
      }
      const claims = await Promise.all(
        Array.from({ length: 40 }, async (_, i) =>
          (i % 2 ? here : there).outbox.claim(false, now, now + HOUR, 3),
        ),
      );
      const ids = claims.flat().map(({ id }) => id);
      expect(ids).toHaveLength(40);
      expect(new Set(ids).size).toBe(40);
    });

    test("mails that an older Runegate queued in clear are handed out; broken ones cost themselves only", async () => {
      const lasting = {
        to: "ann@example.org",
        messageId: "<m@x>",
        queuedAt: 1,
        expiresAt: clock.now() + HOUR,
      };
      const inClear = { ...lasting, subject: "Sign in", text: "the link" };
      const values = {
        clear: JSON.stringify(inClear),
        sealed: JSON.stringify({ ...lasting, content: "sealed" }),
        cut: JSON.stringify(inClear).slice(0, -3),
        null: "null",
        nobody: JSON.stringify({ ...inClear, to: undefined }),
        number: JSON.stringify({ ...lasting, content: 7 }),
        endless: JSON.stringify({ ...lasting, content: "sealed", expiresAt: "never" }),
      };
      const add = async (id: string, value: string) => {
        await server.run("HSET", OUTBOX[0], id, value);
        await server.run("ZADD", OUTBOX[1], "1", `${"0".repeat(32)}${id}`);
      };
      for (const [id, rest] of Object.entries(values)) await add(id, `0\n${"0".repeat(32)}${id}\n${rest}`);
      for (const value of ["", "x", "many\n0\n{}"]) await add(`bare${value}`, value);

      const claimed = await here.outbox.claim(false, clock.now(), clock.now() + HOUR, 100);
      expect(claimed.map(({ id, to, content }) => [id, to, content])).toEqual([
        ["clear", "ann@example.org", '{"subject":"Sign in","text":"the link"}'],
        ["sealed", "ann@example.org", "sealed"],
      ]);
      expect(await server.run("HLEN", OUTBOX[0])).toBe(2);
      expect(await server.run("ZCARD", OUTBOX[1])).toBe(2);
    });

    test("a session of one is good on the other at once", async () => {
      expect(await there.sessions.find("a")).toBeUndefined();
      await here.sessions.create(record(clock, "a"));
      expect(await there.sessions.find("a")).toEqual(record(clock, "a"));
    });

    test.each<[string, () => unknown, string[]]>([
      ["end", () => here.sessions.end("a"), ["a"]],
      ["end of an address", () => here.sessions.endAll("ann@example.org"), ["a", "b"]],
    ])("the %s on one is pushed to the other, and told once on each", async (_, end, ended) => {
      const told: Record<"here" | "there", string[]> = { here: [], there: [] };
      here.sessions.onEnded((id) => told.here.push(id));
      there.sessions.onEnded((id) => told.there.push(id));
      for (const id of ["a", "b"]) await here.sessions.create(record(clock, id));
      for (const id of ["a", "b"]) expect(await there.sessions.find(id)).toBeDefined();
      await end();
      expect(told.here.toSorted()).toEqual(ended);
      expect(await until(() => told.there.length === ended.length)).toBeLessThan(1000);
      // The clock stands still: it is the push that emptied the cache.
      for (const id of ended) expect(await there.sessions.find(id)).toBeUndefined();
      // Whatever was published before this one has been heard.
      await there.sessions.create(record(clock, "last"));
      await there.sessions.end("last");
      await until(() => told.here.includes("last"));
      expect(told.here.toSorted()).toEqual([...ended, "last"]);
      expect(told.there.toSorted()).toEqual([...ended, "last"]);
    });

    test("an end that goes by while the listening connection is cut is known when it is back", async () => {
      await here.sessions.create(record(clock, "a"));
      expect(await there.sessions.find("a")).toBeDefined();
      const told: string[] = [];
      there.sessions.onEnded((id) => told.push(id));
      await Promise.all([
        server.run("CLIENT", "KILL", "TYPE", "pubsub"),
        // As the operator would from anywhere: by a connection that is not cut.
        server.run("HDEL", "{runegate}:sessions", "a"),
      ]);
      await until(async () => (await there.sessions.find("a")) === undefined);
      await until(ready(here));
      await here.sessions.create(record(clock, "b"));
      await here.sessions.end("b");
      await until(() => told.includes("b"));
    });

    test("a database number keeps two installations apart", async () => {
      const apart = await open(server.url.replace(/0$/, "5"), clock);
      const told: string[] = [];
      apart.sessions.onEnded((id) => told.push(id));
      await here.sessions.create(record(clock, "a"));
      expect(await apart.sessions.find("a")).toBeUndefined();
      await here.sessions.end("a");
      await apart.sessions.create(record(clock, "b"));
      await apart.sessions.end("b");
      expect(told).toEqual(["b"]);
      expect(await apart.sessions.list()).toEqual([]);
    });

    test("more sessions than a page are listed once each, however many end at once", async () => {
      const ids = Array.from({ length: 3500 }, (_, i) => `s${i}`);
      await Promise.all(
        ids.map(async (id, i) =>
          here.sessions.create(
            record(clock, id, { createdAt: i, expiresAt: clock.now() + (i < 3000 ? HOUR : i) }),
          ),
        ),
      );
      expect((await here.sessions.list()).map(({ id }) => id)).toEqual(ids);
    });

    test("what has expired goes as others come, and everything goes when nobody comes", async () => {
      for (let i = 0; i < 30; i++) await here.sessions.create(record(clock, `s${i}`));
      clock.advance(HOUR);
      const sizes: unknown[] = [];
      for (let i = 0; i < 4; i++) {
        await here.sessions.create(record(clock, `new${i}`, { email: `${i}@example.org` }));
        sizes.push(await server.run("HLEN", "{runegate}:sessions"));
      }
      expect(sizes).toEqual([21, 12, 3, 4]);
      expect(await server.run("ZCARD", "{runegate}:sessions:expiry")).toBe(4);
      expect(await server.run("ZCARD", "{runegate}:sessions:addresses")).toBe(4);
      await here.limits.hit("k", { limit: 1, windowMs: 5000 });
      await here.tickets.spend("t", clock.now() + HOUR);
      for (const key of (await server.run("KEYS", "*")) as string[]) {
        // A beginning must not be forgotten before what it is about.
        if (key === "{runegate}:since") continue;
        const ttl = Number(await server.run("PTTL", key));
        expect([key, ttl > 0 && ttl <= DAY + HOUR]).toEqual([key, true]);
      }
    });

    test("a mark outlives its ticket by a day, so that setting a clock back makes nothing fresh", async () => {
      const end = clock.now() + HOUR;
      expect(await here.tickets.spend("a", end)).toBe("fresh");
      clock.advance(DAY);
      expect(await there.tickets.spend("a", end)).toBe("spent");
      clock.advance(-DAY - HOUR);
      expect(await there.tickets.spend("a", end)).toBe("spent");
      expect(Number(await server.run("PTTL", "{runegate}:ticket:a"))).toBeGreaterThan(DAY + HOUR - 10_000);
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
      await here.sessions.create(record(clock, "a"));
      expect(await here.sessions.endAll("ann@example.org")).toEqual(["a"]);
    });
  });

  describe("in trouble", () => {
    test("paused: nothing hangs, who was seen just now goes on for the cache time, and then all is well", async () => {
      const server = await startOwn();
      const clock = createTestClock();
      const stores = await open(server.url, clock);
      await stores.sessions.create(record(clock, "a"));
      await stores.sessions.find("a");
      server.pause();
      clock.advance(2499);
      expect(stores.sessions.find("a")).toMatchObject({ id: "a" });
      clock.advance(1);
      const begun = performance.now();
      const asked = await Promise.allSettled([
        stores.sessions.find("a"),
        stores.tickets.spend("t", clock.now() + HOUR),
        stores.limits.hit("k", { limit: 1, windowMs: 1 }),
        stores.ready(),
      ]);
      const took = performance.now() - begun;
      expect(took).toBeGreaterThan(1900);
      expect(took).toBeLessThan(10_000);
      const outcomes = asked.map((one) => (one.status === "fulfilled" ? one.value : one.reason));
      expect(outcomes[1]).toBe("unavailable");
      for (const i of [0, 2, 3]) expect(outcomes[i]).toBeInstanceOf(StoreUnavailable);
      expect(outcomes[3].message).toBe("The Valkey server does not answer.");
      // Nobody waits a second time.
      const again = performance.now();
      expect(await stores.tickets.spend("u", clock.now() + HOUR)).toBe("unavailable");
      expect(async () => stores.sessions.list()).toThrow(StoreUnavailable);
      expect(performance.now() - again).toBeLessThan(1900);
      server.resume();
      await until(ready(stores));
      expect(await stores.sessions.find("a")).toMatchObject({ id: "a" });
      expect(await stores.tickets.spend("u", clock.now() + HOUR)).toBe("fresh");
      // Only the answer was lost: the server had read the order, and a ticket is never fresh twice.
      expect(await stores.tickets.spend("t", clock.now() + HOUR)).toBe("spent");
      expect(stores.lines.filter((line) => /lost the store|is back/.test(line))).toHaveLength(2);
    }, 60_000);

    test("killed, away for many attempts and started again: works again, and says so once", async () => {
      const server = await startOwn();
      const stores = await open(server.url);
      expect(await stores.tickets.spend("t", Date.now() + HOUR)).toBe("fresh");
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
      expect(await stores.tickets.spend("u", Date.now() + HOUR)).toBe("unavailable");
      expect(async () => stores.outbox.nextDue()).toThrow(StoreUnavailable);
      await until(() => attempts > 12);
      nobody.stop(true);
      await server.start();
      await until(ready(stores));
      expect(await stores.tickets.spend("u", Date.now() + HOUR)).toBe("fresh");
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
      expect(await stores.tickets.spend("t", Date.now() + HOUR)).toBe("unavailable");
      await server.start();
      await until(ready(stores));
      const told: string[] = [];
      stores.sessions.onEnded((id) => told.push(id));
      await stores.sessions.create(record(systemClock, "a"));
      await (await open(server.url)).sessions.end("a");
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
      await stores.sessions.create(record(systemClock, "a"));
      await server.run("REPLICAOF", "127.0.0.1", "1");
      expect(await stores.tickets.spend("t", Date.now() + HOUR)).toBe("unavailable");
      expect(async () => stores.ready()).toThrow("is a read-only replica");
      expect(async () => stores.sessions.find("a")).toThrow("is a read-only replica");
      await server.run("REPLICAOF", "NO", "ONE");
      await until(ready(stores));
      expect(await stores.sessions.find("a")).toMatchObject({ id: "a" });
    });

    test("full: not ready, nobody new; who is signed in stays, and can sign out", async () => {
      const server = await startOwn({ lines: ["maxmemory-policy noeviction"] });
      const stores = await open(server.url);
      await stores.sessions.create(record(systemClock, "a"));
      await server.run("CONFIG", "SET", "maxmemory", "1");
      const late = await open(server.url);
      for (const { ready, tickets, limits, sessions } of [stores, late]) {
        expect(async () => ready()).toThrow("The Valkey server has no memory left");
        expect(await tickets.spend("t", Date.now() + HOUR)).toBe("unavailable");
        expect(async () => limits.hit("k", { limit: 1, windowMs: 1000 })).toThrow(StoreUnavailable);
        expect(async () => sessions.create(record(systemClock, "b"))).toThrow(StoreUnavailable);
        expect(await sessions.find("a")).toMatchObject({ id: "a" });
      }
      expect(await late.sessions.end("a")).toBe(true);
      await server.run("CONFIG", "SET", "maxmemory", "0");
      await stores.ready();
    });

    test("asked whether it is ready: writes at most once a second, and knows a failure at once", async () => {
      const server = await startOwn({ lines: ["maxmemory-policy noeviction"] });
      const clock = createTestClock();
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
      expect(await stores.tickets.spend("t", clock.now() + HOUR)).toBe("unavailable");
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
      const RECORDS = "{runegate}:sessions";
      const json = (changes: object) =>
        JSON.stringify({ createdAt: 1, expiresAt: 2e12, ip: "", userAgent: "", seal: "s", ...changes });
      const BROKEN: [string, string][] = [
        ["nothing", ""],
        ["no JSON", "1800000012345\nann@example.org\n{"],
        ["cut off", json({}).slice(0, 40)],
        ["another shape", "1800000012345\nann@example.org\n[]"],
        ["null", "1800000012345\nann@example.org\nnull"],
        ["one line", "1800000012345"],
        ["a time that is none", `soon\nann@example.org\n${json({})}`],
        ["no time", `\nann@example.org\n${json({})}`],
        ["an end that is a text", `1800000012345\nann@example.org\n${json({ expiresAt: "2e12" })}`],
        ["no end", `1800000012345\nann@example.org\n${json({ expiresAt: null })}`],
        ["an address from nowhere", `1800000012345\nann@example.org\n${json({ ip: 7 })}`],
        ["binary", "\u0000\u00ff\n\n\n\u0000"],
      ];

      test.each(BROKEN)("(%s) costs that session, and is told and removed once", async (_, value) => {
        const server = await startOwn({ lines: ["appendonly yes"] });
        const clock = createTestClock();
        const stores = await open(server.url, clock);
        for (const id of ["broken", "whole"]) await stores.sessions.create(record(clock, id));
        await server.run("HSET", RECORDS, "broken", value);
        expect((await stores.sessions.list()).map(({ id }) => id)).toEqual(["whole"]);
        const found = await Promise.all(
          ["broken", "whole", "broken"].map(async (id) => stores.sessions.find(id)),
        );
        expect(found.map((one) => one?.id)).toEqual([undefined, "whole", undefined]);
        expect(stores.lines.filter((line) => line.includes("cannot be read"))).toHaveLength(1);
        expect(await server.run("HEXISTS", RECORDS, "broken")).toBe(0);
        expect(await server.run("ZSCORE", `${RECORDS}:expiry`, "broken")).toBeNull();
        await stores.sessions.create(record(clock, "new"));
        expect(await stores.sessions.endAll("ann@example.org")).toEqual(["new", "whole"]);
        expect(await server.run("ZCARD", `${RECORDS}:addresses`)).toBe(0);
      });

      test.each(BROKEN)("(%s) that has expired keeps nobody from signing in", async (_, value) => {
        const server = await startOwn();
        const clock = createTestClock();
        const stores = await open(server.url, clock);
        for (let i = 0; i < 12; i++) {
          await stores.sessions.create(record(clock, `s${i}`));
          await server.run("HSET", RECORDS, `s${i}`, value);
        }
        await server.run("HDEL", RECORDS, "s11");
        clock.advance(2 * HOUR);
        for (const id of ["one", "two"]) {
          await stores.sessions.create(record(clock, id));
          expect(await stores.sessions.find(id)).toMatchObject({ id });
        }
        // Twelve have gone, ten with each that came.
        expect(await server.run("ZCARD", `${RECORDS}:expiry`)).toBe(2);
        expect(await server.run("HLEN", RECORDS)).toBe(2);
      });

      test("among thousands hides none of the others from a list", async () => {
        const server = await startOwn();
        const clock = createTestClock();
        const stores = await open(server.url, clock);
        const ids = Array.from({ length: 3_200 }, (_, i) => `s${String(i).padStart(4, "0")}`);
        await Promise.all(
          ids.map(async (id, i) => stores.sessions.create(record(clock, id, { createdAt: i }))),
        );
        // A page of them, and more.
        for (const id of ids.slice(900, 2_300)) await server.run("HSET", RECORDS, id, "broken");
        const listed = (await stores.sessions.list()).map(({ id }) => id);
        expect(listed).toEqual([...ids.slice(0, 900), ...ids.slice(2_300)]);
      });

      test("of a limit is as good as none", async () => {
        const server = await startOwn();
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
      expect(await stores.tickets.spend("t", Date.now() + HOUR)).toBe("unavailable");
      expect(stores.lines.join("\n")).toContain(reason);
      expect(stores.lines.join("\n")).not.toContain("Secret");
      await server.run("ACL", "SETUSER", "default", "on", "nopass", "~*", "&*", "+@all");
    });

    test("the user that the guide names may do all there is to do", async () => {
      const server = await startOwn(WITH_USERS);
      const stores = await open(server.url);
      await stores.ready();
      expect(await stores.tickets.spend("t", Date.now() + HOUR)).toBe("fresh");
      expect(await stores.tickets.isSpent("t")).toBe(true);
      await stores.sessions.create(record(systemClock, "a"));
      await stores.sessions.touch(record(systemClock, "a", { seenAt: Date.now() + 1 }));
      expect(await stores.sessions.list()).toHaveLength(1);
      expect(await stores.sessions.endAll("ann@example.org")).toEqual(["a"]);
      await stores.limits.hit("k", { limit: 1, windowMs: 1000 });
      await stores.limits.release("k");
      expect(await stores.outbox.claim(false, 0, 1, 1)).toEqual([]);
      expect(await stores.outbox.nextDue()).toBeUndefined();
    });

    test("closed: throws, and lets the process end, whether the server is there or not", async () => {
      const server = await startOwn();
      const stores = await open(server.url);
      await stores.close();
      expect(async () => stores.ready()).toThrow("The store has been closed.");
      expect(async () => stores.sessions.find("a")).toThrow(StoreUnavailable);
      expect(await stores.tickets.spend("t", Date.now() + HOUR)).toBe("unavailable");
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
    import { openValkeyStores } from "${source}/store/valkey.ts";
    const say = (message, { reason } = {}) => console.log(message, reason ?? "");
    const log = { error: say, warn: say, info: say, debug: say, trace: say, enabled: () => true };
    const stores = await openValkeyStores({ url: ${JSON.stringify(url)}, clock: systemClock, log });
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
