import { Database } from "bun:sqlite";
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
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/clock.ts";
import { copyMemory } from "../../src/control/copy.ts";
import { KINDS } from "../../src/control/kinds.ts";
import { startControl } from "../../src/control/server.ts";
import type { Contents } from "../../src/store/contents.ts";
import { copyStore } from "../../src/store/copy.ts";
import { storeLocation } from "../../src/store/location.ts";
import { openStore } from "../../src/store/open.ts";
import { type KeptLocation, loadContents } from "../../src/store/open-contents.ts";
import { FOREVER, StoreUnavailable } from "../../src/store/records.ts";
import { environment, REPOSITORY, run, runegate, temporaryPlace } from "../control/support.ts";
import { bearer } from "../keys/stage.ts";
import { made, ROOT } from "../keys/support.ts";
import { askFor, auditOf, postLogin, redeem, said, sessionOf, whoAmI } from "../login/support.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { needs } from "../support/needs.ts";
import { type PostgresServer, postgresPrograms, startPostgres } from "../support/postgres.ts";
import { freePort } from "../support/process.ts";
import { SILENT } from "../support/silent.ts";
import { startUpstream, type Upstream } from "../support/upstream.ts";
import { startValkey, type ValkeyServer } from "../support/valkey.ts";
import { commandLine, contentsOf, HOUR, openedStore } from "./copying.ts";

/** Moving everything to another store, with people signed in. */

setDefaultTimeout(30_000);

const SECRETS = { RUNEGATE_JWT_SECRET: "j".repeat(64), RUNEGATE_SESSION_KEY: "5e".repeat(64) };

type Noted = { readonly email: string; readonly note: string };

const HERE = { clock: systemClock, schema: "runegate" };

const redis = needs("redis-server");
const programs = postgresPrograms();

describe.skipIf(redis === undefined || programs === undefined)("a store is copied", () => {
  let valkey: ValkeyServer;
  let postgres: PostgresServer;
  let upstream: Upstream;
  let directory: string;
  const open: { stop(): Promise<void> }[] = [];
  beforeAll(async () => {
    valkey = await startValkey(redis ?? "", { lines: ["appendonly yes"] });
    postgres = await startPostgres(programs ?? "");
    upstream = await startUpstream();
  });
  afterAll(async () => {
    await valkey.stop();
    await postgres.stop();
    upstream.stop();
  });
  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), "runegate-copy-"));
    await valkey.run("FLUSHALL");
    await postgres.run("DROP SCHEMA IF EXISTS runegate CASCADE");
    await postgres.run("DROP SCHEMA IF EXISTS other CASCADE");
  });
  afterEach(async () => {
    for (const one of open.splice(0).reverse()) await one.stop();
    rmSync(directory, { recursive: true });
  });

  /** By the names of the rows below. */
  const urlOf = (name: string): string =>
    ({
      SQLite: `sqlite:${join(directory, "state.db")}`,
      "another file": `sqlite:${join(directory, "other.db")}`,
      Valkey: valkey.url,
      "another database": valkey.url.replace(/0$/, "1"),
      PostgreSQL: postgres.url,
      memory: "memory",
    })[name] ?? "";

  const socket = () => join(directory, "run", "control.sock");

  async function start(url: string): Promise<TestGateway & { readonly end: () => Promise<void> }> {
    const stores = await openedStore(url);
    const gateway = await startGateway({
      stores,
      target: upstream.url,
      env: {
        RUNEGATE_BASE_URL: "http://localhost",
        RUNEGATE_LOG_FORMAT: "json",
        RUNEGATE_API_KEYS: "true",
        ...SECRETS,
      },
    });
    const { inside } = stores;
    const control =
      inside &&
      (await startControl(socket(), (arrival) => gateway.gateway.answer(arrival), {
        reload: async () => undefined,
        copyMemory: (wanted) => copyMemory(inside, wanted),
      }));
    let ended = false;
    const end = async () => {
      if (ended) return;
      ended = true;
      await control?.stop();
      await gateway.stop();
      await stores.close();
    };
    open.push({ stop: end });
    return { ...gateway, end };
  }

  const command = (words: readonly string[], store = "memory") =>
    commandLine(words, {
      RUNEGATE_STORE: store,
      RUNEGATE_CONTROL_SOCKET: socket(),
      RUNEGATE_ALLOWED_EMAILS: "ada@example.org",
      RUNEGATE_TARGET_SERVICE: "http://127.0.0.1:9",
      ...SECRETS,
    });

  const why = (gateway: TestGateway) =>
    auditOf(gateway).findLast(({ event }) => event === "redemption_refused")?.reason;

  test.each([
    ["SQLite", "another file"],
    ["SQLite", "Valkey"],
    ["SQLite", "PostgreSQL"],
    ["Valkey", "SQLite"],
    ["Valkey", "another database"],
    ["Valkey", "PostgreSQL"],
    ["PostgreSQL", "SQLite"],
    ["PostgreSQL", "Valkey"],
    ["memory", "SQLite"],
    ["memory", "Valkey"],
    ["memory", "PostgreSQL"],
    ["SQLite", "memory"],
    ["Valkey", "memory"],
    ["PostgreSQL", "memory"],
  ])("from %s to %s: sessions, links, keys, limits, mail and the audit go on", async (one, other) => {
    const [from, to] = [urlOf(one), urlOf(other)];
    const before = await start(from);
    const ada = sessionOf(await redeem(before, { token: (await askFor(before)).token })) ?? "";
    const bob =
      sessionOf(await redeem(before, { token: (await askFor(before, "bob@example.org")).token })) ?? "";
    const out = await fetch(`${before.url}/_runegate/logout`, {
      ...{ method: "POST", headers: { Cookie: bob, Origin: "http://localhost" }, redirect: "manual" },
    });
    expect(out.status).toBeLessThan(400);
    const used = await askFor(before, "carol@example.org");
    expect(sessionOf(await redeem(before, { token: used.token }))).toBeDefined();
    const unused = await askFor(before, "dora@example.org");
    const { token } = made(await before.gateway.apiKeys.create({ owner: "ada@example.org" }, ROOT));
    const rule = { limit: 2, windowMs: HOUR };
    for (let i = 0; i < 2; i++) await before.stores.limits.hit("some key", rule);
    const [waits] = await before.stores.limits.count([{ key: "some key", rule }]);
    expect(waits).toBe(2);
    await before.gateway.outbox.stop();
    await postLogin(before, { email: "erin@example.org" });
    const { created_at: createdAt } = await whoAmI(before, ada);
    if (from !== "memory") await before.end();
    const there = to === "memory" ? await start(to) : undefined;

    // One that runs has an audit.
    const replace = to === "memory" ? ["--replace"] : [];
    const copied = await command(["store", "copy", ...replace, from, to, "--json"]);
    // Where it takes a while, it says how far it is.
    expect(copied.err.replace(/^.* so far\n?/gm, "")).toBe("");
    expect(copied.code).toBe(0);
    const { records } = JSON.parse(copied.out) as { records: Record<string, number> };
    expect(records).toMatchObject({ session: 2, ticket: 3, api_key: 1, mail: 1 });
    expect(records.audit).toBeGreaterThan(8);
    expect(records.limits).toBeGreaterThan(0);

    if (from === "memory") {
      // What it did from now on would not be there.
      const refused = await postLogin(before, { email: "fay@example.org" });
      expect(await said(refused)).toMatchObject({ status: 503, error: "store_unavailable" });
      await before.end();
    }

    const audited = await command(["audit", "verify"], to);
    expect(audited).toMatchObject({ code: 0, out: expect.stringContaining("none is missing") });
    const after = there ?? (await start(to));
    expect(await whoAmI(after, ada)).toMatchObject({ email: "ada@example.org", created_at: createdAt });
    expect((await whoAmI(after, bob)).authenticated).toBe(false);
    expect((await redeem(after, { token: used.token })).status).toBe(401);
    expect(why(after)).toBe("spent");
    expect(sessionOf(await redeem(after, { token: unused.token }))).toBeDefined();
    expect((await redeem(after, { token: unused.token })).status).toBe(401);
    expect((await fetch(`${after.url}/`, { headers: bearer(token) })).status).toBe(200);
    const limited = await after.stores.limits.hit("some key", rule);
    expect(limited).toMatchObject({ allowed: false });
    if (!limited.allowed) expect(Math.abs(limited.retryAfterMs - HOUR)).toBeLessThan(60_000);
    await after.gateway.outbox.runDue();
    expect(after.mailbox.mails().map((mail) => mail.to)).toContain("erin@example.org");
    // Ended by what people are found by, as an administrator does.
    expect((await command(["sessions", "revoke", "ada@example.org", "--json"], to)).out).toContain("1");
    expect((await whoAmI(after, ada)).authenticated).toBe(false);
  });

  const THING_SETS = (count: number) =>
    Array.from({ length: count }, (_, i) => ({ id: `id ${i} \u0000ä`, email: `u${i % 7}@example.org` }));

  /** So many, of kinds of every form, without a gateway. */
  async function fill(url: string, count = 3): Promise<void> {
    const store = await openedStore(url);
    const end = Date.now() + HOUR;
    for (const { id, email } of THING_SETS(count)) {
      await store
        .records<Noted>({ name: "session", by: ["email"] })
        .add(id, { email, note: "\u0000\ud800" }, end);
      await store.records({ name: "ticket", once: true }).add(id, { at: 1 }, end);
      await store.records({ name: "closure", order: "closedAt" }).add(id, { closedAt: 1.5 }, FOREVER);
    }
    await store.close();
  }

  const exists = async (url: string) => {
    const store = await openedStore(url);
    const session = await store.records({ name: "session" }).get(THING_SETS(1)[0]?.id ?? "");
    await store.close();
    return session !== undefined;
  };

  describe.each(["SQLite", "Valkey", "PostgreSQL"])("%s", (name) => {
    const other = name === "SQLite" ? "Valkey" : "SQLite";

    test("while a gateway uses it, nothing is copied from it, nor to it", async () => {
      await fill(urlOf(name));
      await fill(urlOf(other));
      const gateway = await start(urlOf(name));
      for (const [from, to] of [
        [name, other],
        [other, name],
      ] as const) {
        const refused = await command(["store", "copy", "--replace", urlOf(from), urlOf(to)]);
        expect(refused).toMatchObject({
          code: 1,
          err: expect.stringMatching(/stop every gateway|has .* open/),
        });
      }
      await gateway.end();
      expect(await command(["store", "copy", "--replace", urlOf(name), urlOf(other)])).toMatchObject({
        code: 0,
      });
    });

    test("that is not empty is refused, and emptied first where that is asked", async () => {
      await fill(urlOf(other), 2);
      const store = await openedStore(urlOf(name));
      await store.records({ name: "session", by: ["email"] }).add("old", { email: "x" }, Date.now() + HOUR);
      await store.limits.hit("old", { limit: 1, windowMs: HOUR });
      await store.close();
      const words = ["store", "copy", urlOf(other), urlOf(name)];
      expect(await command(words)).toMatchObject({ code: 1, err: expect.stringContaining("is not empty") });
      expect(await command([...words, "--replace"])).toMatchObject({ code: 0 });
      const after = await openedStore(urlOf(name));
      expect(await after.records({ name: "session", by: ["email"] }).get("old")).toBeUndefined();
      expect(
        await after.records({ name: "session", by: ["email"] }).find({ where: { email: "x" }, most: 9 }),
      ).toEqual([]);
      expect(await after.limits.hit("old", { limit: 1, windowMs: HOUR })).toEqual({ allowed: true });
      await after.close();
      // And again, with the same result.
      expect(await command([...words, "--replace", "--json"])).toMatchObject({
        ...{ code: 0, out: expect.stringContaining('"session":2,"ticket":2') },
      });
    });

    test("takes more than a page of each form, with every character, and what is found by", async () => {
      await fill(urlOf(other), 2_345);
      expect(await command(["store", "copy", urlOf(other), urlOf(name), "--json"])).toMatchObject({
        code: 0,
      });
      const store = await openedStore(urlOf(name));
      const sessions = store.records<Noted>({ name: "session", by: ["email"] });
      expect(await sessions.count()).toBe(2_345);
      expect(await sessions.find({ where: { email: "u3@example.org" }, most: 9999 })).toHaveLength(335);
      const [first] = await sessions.find({ where: { email: "u0@example.org" }, most: 1 });
      expect(first?.record.note).toBe("\u0000\ufffd");
      const closures = store.records<{ closedAt: number }>({ name: "closure", order: "closedAt" });
      expect(await closures.find({ from: 1.5, until: 1.5, most: 9999 })).toHaveLength(2_345);
      const marks = store.records({ name: "ticket", once: true });
      for (const { id } of THING_SETS(2_345).slice(0, 9))
        expect(await marks.add(id, {}, Date.now() + HOUR)).toBe(false);
      await store.close();
    });

    test("that keeps what this program does not know is not copied, and says what that is", async () => {
      const store = await openedStore(urlOf(name));
      await store.records({ name: "novelty" }).add("a", {}, Date.now() + HOUR);
      await store.close();
      expect(await command(["store", "copy", urlOf(name), urlOf(other)])).toMatchObject({
        ...{ code: 1, err: expect.stringContaining("does not know: novelty") },
      });
    });

    test("is looked at: what it is, since when it remembers, and how many there are", async () => {
      await fill(urlOf(name), 4);
      const looked = await command(["store", "check", urlOf(name), "--json"]);
      expect(looked).toMatchObject({ code: 0, err: "" });
      expect(JSON.parse(looked.out)).toMatchObject({
        ...{ ok: true, survives_restart: true, warnings: [] },
        records: { session: 4, ticket: 4, closure: 4 },
        server: expect.stringMatching(/^(SQLite|Redis|Valkey|PostgreSQL) \d/),
      });
      expect((await command(["store", "check"], urlOf(name))).out).toMatch(/session +4/);
    });

    test("that is not there is made to copy to, and not to look at", async () => {
      expect(await command(["store", "copy", urlOf(name), urlOf(other)])).toMatchObject({
        ...{ code: 1, err: expect.stringContaining("Nothing is kept yet") },
      });
      if (name !== "Valkey")
        expect(await command(["store", "check", urlOf(name)])).toMatchObject({
          ...{ code: 1, err: expect.stringContaining("Nothing is kept yet") },
        });
      await fill(urlOf(other));
      expect(await command(["store", "copy", urlOf(other), urlOf(name)])).toMatchObject({ code: 0 });
      expect(await exists(urlOf(name))).toBe(true);
    });

    test("a copy that fails on the way leaves it as it was, or lets no gateway start on it", async () => {
      await fill(urlOf(other));
      await fill(urlOf(name), 1);
      const open = async (at: string, made: boolean) => contentsOf(urlOf(at), made);
      const [from, to] = [await open(other, false), await open(name, true)];
      const cut: Contents = {
        ...from,
        async *rows(kind, after) {
          yield* from.rows(kind, after);
          if (kind.name === "ticket") throw new StoreUnavailable("cut");
        },
      };
      await expect(
        copyStore(cut, to, { kinds: KINDS, replace: true, clock: systemClock, tell() {} }),
      ).rejects.toThrow("cut");
      await from.close();
      await to.close();
      if (name === "Valkey") {
        const store = await openStore(storeLocation(urlOf(name)), { clock: systemClock, log: SILENT });
        await expect((async () => store.ready())()).rejects.toThrow("copy again, with --replace");
        await store.close();
        expect(await command(["store", "check", urlOf(name)])).toMatchObject({
          ...{ code: 1, out: expect.stringContaining("half filled") },
        });
      } else expect((await command(["store", "check", urlOf(name)])).out).toMatch(/session +1/);
      expect(await command(["store", "copy", "--replace", urlOf(other), urlOf(name)])).toMatchObject({
        code: 0,
      });
      expect(await exists(urlOf(name))).toBe(true);
    });

    test("what arrives otherwise than it was sent does not count", async () => {
      await fill(urlOf(other));
      const open = async (at: string, made: boolean) => contentsOf(urlOf(at), made);
      const [from, to] = [await open(other, false), await open(name, true)];
      const wrong: Contents = {
        ...to,
        refill: (work) =>
          to.refill((into) =>
            work({
              ...into,
              put: (kind, rows) => into.put(kind, kind.name === "ticket" ? rows.slice(1) : rows),
            }),
          ),
      };
      await expect(
        copyStore(from, wrong, { kinds: KINDS, replace: true, clock: systemClock, tell() {} }),
      ).rejects.toThrow("What arrived is not what was sent: ticket (3 sent, 2 arrived)");
      await from.close();
      await to.close();
    });
  });

  test.each<[string, string[], number, string]>([
    ["memory, and nobody runs", ["copy", "memory", "sqlite:x.db"], 1, "Cannot ask the running instance"],
    ["memory to memory", ["copy", "memory", "memory"], 64, "a memory store is inside"],
    ["memory to look at", ["check", "memory"], 64, "a memory store is inside"],
    ["one place", ["copy", "sqlite:x.db"], 64, "takes two stores"],
    ["the same place twice", ["copy", "sqlite:x.db", "sqlite:x.db"], 64, "the same store"],
    ["something else", ["move", "sqlite:x.db"], 64, 'no "store move"'],
    ["no store", ["check", "mysql://x"], 64, "the store is not a store"],
    ["a password", ["check", "postgres://u:hunter2@127.0.0.1:9/x"], 64, "list of processes"],
    ["a password for Valkey", ["check", "valkey://u:hunter2@127.0.0.1:9/0"], 64, "list of processes"],
    ["no file", ["check", "@/nonexistent"], 64, "/nonexistent cannot be read"],
    ["nobody there", ["check", "postgres://u@127.0.0.1:9/x"], 1, "nobody listens there"],
    [
      "nobody there either",
      ["copy", "valkey://127.0.0.1:9/0", "sqlite:/nonexistent/x.db"],
      1,
      "nobody listens on that port",
    ],
  ])("what cannot be: %s", async (_, words, code, message) => {
    const said = await command(["store", ...words]);
    expect<number>(said.code).toBe(code);
    expect(said.err).toContain(message);
    expect(said.err).not.toContain("hunter2");
  });

  test("a place with a password is named by a file, and no answer shows it", async () => {
    await fill(urlOf("SQLite"));
    const file = join(directory, "to");
    writeFileSync(file, `${postgres.url.replace("runegate@", "runegate:hunter2@")}\n`);
    const copied = await command(["store", "copy", urlOf("SQLite"), `@${file}`]);
    expect(copied.code).toBe(0);
    expect(copied.out + copied.err).not.toContain("hunter2");
  });

  test("to and from a Valkey server, as the user that the guide makes", async () => {
    await fill(urlOf("SQLite"));
    await valkey.run(
      "ACL",
      ...["SETUSER", "gate", "on", ">hunter2", "resetchannels", "~{runegate}:*", "&{runegate}:*"],
      ...["+@read", "+@write", "+@scripting", "+@pubsub", "+@connection", "+time", "+info"],
    );
    const file = join(directory, "place");
    writeFileSync(file, valkey.url.replace("://", "://gate:hunter2@"));
    expect(await command(["store", "copy", urlOf("SQLite"), `@${file}`])).toMatchObject({ code: 0 });
    expect(await command(["store", "check", `@${file}`])).toMatchObject({ code: 0 });
    expect(await command(["store", "copy", `@${file}`, urlOf("another file")])).toMatchObject({ code: 0 });
    expect(await exists(urlOf("another file"))).toBe(true);
  });

  test.each([
    ["newer", 99, "newer Runegate"],
    ["older", 0, "as an older Runegate left it"],
  ])(
    "a PostgreSQL store of a %s version is neither looked at nor copied, either way",
    async (_, version, why) => {
      await fill(postgres.url);
      await fill(urlOf("SQLite"));
      await postgres.run(`UPDATE runegate.state SET value = ${version} WHERE name = 'version'`);
      for (const words of [
        ["check", postgres.url],
        ["copy", "--replace", postgres.url, urlOf("SQLite")],
        ["copy", "--replace", urlOf("SQLite"), postgres.url],
      ])
        expect(await command(["store", ...words])).toMatchObject({
          code: 1,
          err: expect.stringContaining(why),
        });
    },
  );

  test.each(["Valkey", "PostgreSQL"])(
    "how far the clock of %s is from this machine's is told",
    async (name) => {
      await fill(urlOf(name));
      const clock = { ...systemClock, now: () => systemClock.now() + 5_000 };
      const open = await loadContents(storeLocation(urlOf(name)) as KeptLocation);
      const contents = await open({ ...HERE, clock, made: false });
      const { ahead = 0 } = await contents.look();
      await contents.close();
      expect(Math.abs(ahead + 5_000)).toBeLessThan(1_000);
    },
  );

  test("a Valkey server that would forget is told of, as a check of the configuration would", async () => {
    const forgetful = await startValkey(redis ?? "", {
      lines: ["maxmemory 64mb", "maxmemory-policy allkeys-lru"],
    });
    open.push(forgetful);
    const looked = await command(["store", "check", forgetful.url]);
    expect(looked.code).toBe(1);
    expect(looked.out).toContain("It does not outlive a restart.");
    expect(looked.out).toContain(
      "warning: Valkey may forget spent links before their time. Set maxmemory-policy",
    );
    expect(looked.out).toContain(
      "warning: Valkey forgets spent links and sessions when it restarts. Set appendonly",
    );
  });

  test("from one schema of a database to another", async () => {
    await fill(postgres.url);
    await postgres.run("ALTER SCHEMA runegate RENAME TO other");
    expect(
      await command(["store", "copy", "--from-schema", "other", postgres.url, postgres.url]),
    ).toMatchObject({ code: 0 });
    expect(await exists(postgres.url)).toBe(true);
  });

  test("until when spent links were forgotten goes along between stores that know", async () => {
    const store = await openedStore(urlOf("SQLite"));
    await store.records({ name: "ticket", once: true }).add("a", {}, Date.now() + HOUR);
    await store.close();
    const until = Date.now() + 30 * 60_000;
    using database = new Database(urlOf("SQLite").slice("sqlite:".length));
    database.run("UPDATE state SET value = ? WHERE name = 'swept:ticket'", [until]);
    database.close();
    expect(await command(["store", "copy", urlOf("SQLite"), postgres.url])).toMatchObject({ code: 0 });
    expect(await command(["store", "copy", postgres.url, urlOf("another file")])).toMatchObject({ code: 0 });
    for (const url of [postgres.url, urlOf("another file")]) {
      const marks = (await openedStore(url)).records({ name: "ticket", once: true });
      expect(await marks.add("new", {}, until)).toBe(false);
      expect(await marks.add("newer", {}, until + 1)).toBe(true);
    }
  });

  test.each<[string, () => string, ((url: string) => Promise<unknown>) | undefined, string]>([
    ["is not empty", () => urlOf("SQLite"), fill, "is not empty"],
    ["is not there", () => "postgres://u@127.0.0.1:9/x", undefined, "nobody listens there"],
    ["is used by a gateway", () => valkey.url, start, "stop every gateway"],
  ])("from memory to one that %s: the instance goes on as before", async (_, place, prepare, why) => {
    const to = place();
    await prepare?.(to);
    const gateway = await start("memory");
    const cookie = await gateway.signIn();
    const refused = await command(["store", "copy", "memory", to]);
    expect(refused.code).toBe(1);
    expect(refused.err).toContain(why);
    expect((await whoAmI(gateway, cookie)).authenticated).toBe(true);
    expect((await postLogin(gateway, { email: "bob@example.org" })).status).toBe(200);
  });

  test("from the memory of an instance with two workers, by the command line, and it answers 503 until it is restarted", async () => {
    using place = temporaryPlace();
    const env = environment(place, freePort(), {
      ...SECRETS,
      RUNEGATE_WORKERS: "2",
      RUNEGATE_STORE: "memory",
    });
    const cli = (...args: string[]) => runegate([...args], env, place.directory);
    const main = [join(REPOSITORY, "src/main.ts")];
    const first = await run(main, env, place.directory);
    const url = env.RUNEGATE_BASE_URL ?? "";
    const { out } = await cli("link", "ada@example.org");
    const link = /https?:\S+token=\S+/.exec(out)?.[0] ?? "";
    const token = new URL(link).searchParams.get("token") ?? "";
    const post = (body: object) =>
      fetch(`${url}/_runegate/auth`, {
        ...{ method: "POST", redirect: "manual", body: JSON.stringify(body) },
        headers: { "Content-Type": "application/json" },
      });
    const cookie = sessionOf(await post({ token })) ?? "";
    expect(cookie).toContain("runegate_id=");
    const copied = await cli("store", "copy", "RUNEGATE_STORE", "sqlite:kept.db");
    expect(copied).toMatchObject({ code: 0, out: expect.stringMatching(/session +1/) });
    expect((await post({ token })).status).toBe(503);
    // Once more, which is refused, and changes nothing about it.
    expect(await cli("store", "copy", "RUNEGATE_STORE", "sqlite:kept.db")).toMatchObject({ code: 1 });
    expect((await post({ token })).status).toBe(503);
    expect(await (await fetch(`${url}/_runegate/health/ready`)).text()).not.toContain("kept.db");
    await first.stop();
    const kept = { ...env, RUNEGATE_STORE: `sqlite:${join(place.directory, "kept.db")}` };
    const second = await run(main, kept, place.directory);
    const who = await fetch(`${url}/_runegate/session`, { headers: { Cookie: cookie } });
    expect(await who.json()).toMatchObject({ authenticated: true, email: "ada@example.org" });
    expect((await post({ token })).status).toBe(401);
    const refused = await runegate(["store", "copy", "memory", "sqlite:other.db"], kept, place.directory);
    expect(refused).toMatchObject({
      code: 1,
      err: expect.stringContaining("does not keep its state in memory"),
    });
    await second.stop();
  });
});
