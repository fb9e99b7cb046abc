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
import { main } from "../../src/main.ts";
import { storeLocation } from "../../src/store/location.ts";
import { openStore } from "../../src/store/open.ts";
import type { Store } from "../../src/store/store.ts";
import { bearer } from "../keys/stage.ts";
import { made, ROOT } from "../keys/support.ts";
import { askFor, auditOf, postLogin, redeem, sessionOf, whoAmI } from "../login/support.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { needs } from "../support/needs.ts";
import { type PostgresServer, postgresPrograms, startPostgres } from "../support/postgres.ts";
import { recordedIo } from "../support/recorded-io.ts";
import { SILENT } from "../support/silent.ts";
import { startUpstream, type Upstream } from "../support/upstream.ts";
import { startValkey, type ValkeyServer } from "../support/valkey.ts";

/** Moving everything to another store, with people signed in. */

setDefaultTimeout(30_000);

const HOUR = 3_600_000;
const SECRETS = { RUNEGATE_JWT_SECRET: "j".repeat(64), RUNEGATE_SESSION_KEY: "5e".repeat(64) };

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
    })[name] ?? "";

  async function opened(url: string): Promise<Store> {
    const store = await openStore(storeLocation(url), { clock: systemClock, log: SILENT });
    await store.ready();
    return store;
  }

  async function start(url: string): Promise<TestGateway & { readonly end: () => Promise<void> }> {
    const stores = await opened(url);
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
    let ended = false;
    const end = async () => {
      if (ended) return;
      ended = true;
      await gateway.stop();
      await stores.close();
    };
    open.push({ stop: end });
    return { ...gateway, end };
  }

  async function command(words: readonly string[], store = "memory") {
    const io = recordedIo({
      RUNEGATE_STORE: store,
      RUNEGATE_ENV_FILE: "/dev/null",
      RUNEGATE_CONTROL_SOCKET: "off",
      RUNEGATE_ALLOWED_EMAILS: "ada@example.org",
      RUNEGATE_TARGET_SERVICE: "http://127.0.0.1:9",
      ...SECRETS,
    });
    const code = await main(words, io);
    return { code, out: io.stdout.join("\n"), err: io.stderr.join("\n") };
  }

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
    await before.end();

    const copied = await command(["store", "copy", from, to, "--json"]);
    expect(copied.err).toBe("");
    expect(copied.code).toBe(0);
    const { records } = JSON.parse(copied.out) as { records: Record<string, number> };
    expect(records).toMatchObject({ session: 2, ticket: 3, api_key: 1, mail: 1 });
    expect(records.audit).toBeGreaterThan(8);
    expect(records.limits).toBeGreaterThan(0);

    const audited = await command(["audit", "verify"], to);
    expect(audited).toMatchObject({ code: 0, out: expect.stringContaining("none is missing") });
    const after = await start(to);
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
});
