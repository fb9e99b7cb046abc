import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { storeLocation } from "../../src/store/location.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { openStore } from "../../src/store/open.ts";
import { StoreUnavailable } from "../../src/store/records.ts";
import type { Store } from "../../src/store/store.ts";
import { asOperator, asUser, JSON_BODY } from "../api/support.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { needs } from "../support/needs.ts";
import { postgresPrograms, startPostgres } from "../support/postgres.ts";
import { SILENT } from "../support/silent.ts";
import { intercepted } from "../support/store.ts";
import { startValkey } from "../support/valkey.ts";
import { askFor, auditOf, NAVIGATION, openLink, redeem, said, sessionOf, whoAmI } from "./support.ts";

/** Links that an operator makes for several uses. */

setDefaultTimeout(60_000);

const ADA = "ada@example.org";
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

let gateway: TestGateway;
let clock: TestClock;
let cleanUp: (() => unknown)[] = [];

afterEach(async () => {
  await gateway.stop();
  for (const step of cleanUp.reverse()) await step();
  cleanUp = [];
});

async function start(env: Record<string, string> = {}, more: { stores?: Store; routes?: string } = {}) {
  clock = testClock();
  gateway = await startGateway({
    clock,
    env: {
      RUNEGATE_LOG_FORMAT: "json",
      RUNEGATE_MULTI_USE_LINKS: "true",
      RUNEGATE_JWT_SECRET: "1".repeat(64),
      RUNEGATE_SESSION_KEY: "9".repeat(128),
      ...(more.routes === undefined ? {} : { RUNEGATE_BASE_URL: "https://app.example.org" }),
      ...env,
    },
    ...more,
  });
}

const ask = (wanted: object) =>
  asOperator(gateway)("POST", "/links", {
    headers: JSON_BODY,
    body: JSON.stringify({ email: ADA, ...wanted }),
  });

async function make(wanted: object) {
  const made = await ask(wanted);
  expect([made.status, made.body]).toEqual([201, expect.anything()]);
  const { link, id = "", expires_at = "" } = made.body as Record<string, string>;
  return { link: link ?? "", id, expires_at, token: new URL(link ?? "").searchParams.get("token") ?? "" };
}

const countOf = async () => (await gateway.gateway.sessions.list()).length;
const eventsOf = (event: string) => auditOf(gateway).filter((line) => line.event === event);

describe("a link for five uses", () => {
  test("signs in five times, each a login of its own, and tells the sixth visitor nothing of the others", async () => {
    await start();
    const { token, expires_at } = await make({ uses: 5, ttl: "8h" });
    expect(expires_at).toBe(new Date(Math.floor(clock.now() / 1000) * 1000 + 8 * HOUR).toISOString());
    clock.advance(7 * HOUR);
    const sessions = new Set<string>();
    for (let n = 1; n <= 5; n++) {
      const used = await redeem(gateway, { token }, { "User-Agent": "Secret/1.0" });
      expect(used.status).toBe(200);
      sessions.add(sessionOf(used) ?? "");
    }
    for (const session of sessions) expect((await whoAmI(gateway, session)).email).toBe(ADA);
    expect([sessions.size, await countOf()]).toEqual([5, 5]);
    expect(await said(await redeem(gateway, { token }))).toMatchObject({ status: 401, reason: "used" });
    const page = await (await openLink(gateway, token, NAVIGATION)).text();
    expect(page).toContain("It was good for 5 sign-ins, which have been made.");
    expect(page).not.toContain("once");
    expect(eventsOf("link_used").map(({ n, of, email }) => [n, of, email])).toEqual(
      ["1", "2", "3", "4", "5"].map((n) => [n, "5", ADA]),
    );
    expect(eventsOf("link_printed")).toEqual([
      { event: "link_printed", email: ADA, by: "operator", of: "5" },
    ]);
  });

  const redis = needs("redis-server");
  const places: [string, () => Promise<Store | undefined>][] = [
    ["memory", async () => undefined],
    [
      "SQLite",
      async () => {
        const directory = mkdtempSync(join(tmpdir(), "runegate-links-"));
        cleanUp.push(() => rmSync(directory, { recursive: true }));
        return openStore(
          { kind: "sqlite", path: join(directory, "state.db") },
          { clock: testClock(), log: SILENT },
        );
      },
    ],
  ];
  if (redis !== undefined) {
    places.push([
      "Valkey",
      async () => {
        const { url, stop } = await startValkey(redis);
        cleanUp.push(stop);
        return openStore({ kind: "valkey", url, shown: url }, { clock: testClock(), log: SILENT });
      },
    ]);
  }
  const postgres = postgresPrograms();
  if (postgres !== undefined) {
    places.push([
      "PostgreSQL",
      async () => {
        const { url, stop } = await startPostgres(postgres);
        cleanUp.push(stop);
        return openStore(storeLocation(url), { clock: testClock(), log: SILENT });
      },
    ]);
  }
  test.each(places)("of a thousand that use it at once lets five in: %s", async (_, open) => {
    const stores = await open();
    if (stores !== undefined) cleanUp.push(() => stores.close());
    await start({ RUNEGATE_LOG: "info" }, stores === undefined ? {} : { stores });
    const { token } = await make({ uses: 5 });
    const statuses = await Promise.all(
      Array.from({ length: 1000 }, async () => (await redeem(gateway, { token })).status),
    );
    expect(statuses.filter((status) => status === 200)).toHaveLength(5);
    expect(statuses.filter((status) => status === 401)).toHaveLength(995);
    expect(await countOf()).toBe(5);
  });

  test("asks for confirmation whatever the option says, and is spent by no scanner", async () => {
    await start({ RUNEGATE_LINK_CONFIRM: "never" });
    const { token } = await make({ uses: 2 });
    const { cookie } = await askFor(gateway, ADA);
    for (const headers of [NAVIGATION, { ...NAVIGATION, Cookie: cookie }, { "Sec-Purpose": "prefetch" }]) {
      const opened = await openLink(gateway, token, headers);
      expect([opened.status, opened.headers.getSetCookie()]).toEqual([200, []]);
    }
    await openLink(gateway, token, NAVIGATION, "HEAD");
    expect(await countOf()).toBe(0);
    const { body } = await asOperator(gateway)("GET", "/links");
    expect(body).toMatchObject({ items: [{ used: 0, uses: 2 }] });
  });

  test("is not used by whoever is signed in as its address already", async () => {
    await start();
    const { token } = await make({ uses: 2 });
    const cookie = await gateway.signIn(ADA);
    const opened = await openLink(gateway, token, { ...NAVIGATION, Cookie: cookie });
    expect([opened.status, opened.headers.get("location")]).toEqual([302, "/"]);
    expect(eventsOf("link_used")).toEqual([]);
  });

  test("is listed for administrators, and ends when it is revoked: 401", async () => {
    await start({}, { routes: ROUTES });
    const { id, token } = await make({ uses: 5, ttl: "2d", route: "wiki" });
    expect((await redeemAt(token)).status).toBe(200);
    const admin = asUser(gateway, await gateway.signIn("root@example.org"));
    const host = { Host: "app.example.org" };
    expect((await admin("GET", "/links", { headers: host })).body).toEqual({
      items: [
        {
          ...{ id, email: ADA, route: "wiki", uses: 5, used: 1 },
          created_at: expect.stringMatching(/^20/),
          expires_at: expect.stringMatching(/^20/),
        },
      ],
      next: null,
    });
    const origin = { ...host, Origin: "https://app.example.org" };
    expect((await admin("DELETE", `/links/${id}`, { headers: origin })).status).toBe(204);
    expect((await admin("DELETE", `/links/${id}`, { headers: origin })).status).toBe(404);
    expect((await admin("GET", "/links", { headers: host })).body).toEqual({ items: [], next: null });
    expect(await said(await redeemAt(token))).toMatchObject({ status: 401, reason: "withdrawn" });
    expect((await openLink(gateway, token, { ...NAVIGATION, ...host })).status).toBe(401);
    expect(eventsOf("link_revoked")).toEqual([{ event: "link_revoked", email: ADA, by: "root@example.org" }]);
    // Whoever is no administrator neither sees nor ends any.
    const ada = asUser(gateway, await gateway.signIn(ADA));
    expect((await ada("GET", "/links", { headers: host })).status).toBe(403);
    expect((await ada("DELETE", `/links/${id}`, { headers: origin })).status).toBe(403);
    expect((await ada("POST", "/links", { headers: { ...JSON_BODY, ...origin }, body: "{}" })).status).toBe(
      403,
    );
  });

  test("ends by an administrator who signed in lately, and who can be recorded: else it goes on", async () => {
    let isFull = false;
    const stores = intercepted(createMemoryStore({ clock: testClock() }), ({ of, verb, go }) => {
      if (isFull && of === "audit" && verb === "add") throw new StoreUnavailable("The disk is full.");
      return go();
    });
    await start({}, { routes: ROUTES, stores });
    const { id, token } = await make({ uses: 5, route: "wiki" });
    const admin = asUser(gateway, await gateway.signIn("root@example.org"));
    const headers = { Host: "app.example.org", Origin: "https://app.example.org" };
    const end = async () => (await admin("DELETE", `/links/${id}`, { headers })).status;
    isFull = true;
    expect([await end(), (await redeemAt(token)).status]).toEqual([503, 200]);
    isFull = false;
    clock.advance(16 * MINUTE);
    expect(await end()).toBe(401);
    expect(eventsOf("link_revoked")).toEqual([]);
  });

  test("of which somebody has changed the number is none of ours", async () => {
    await start();
    const { token } = await make({ uses: 2 });
    const [head = "", claims = "", signature = ""] = token.split(".");
    const changed = { ...JSON.parse(Buffer.from(claims, "base64url").toString()), uses: 20 };
    const edited = [head, Buffer.from(JSON.stringify(changed)).toString("base64url"), signature].join(".");
    expect(await said(await redeem(gateway, { token: edited }))).toMatchObject({
      status: 401,
      reason: "not_ours",
    });
    expect((await redeem(gateway, { token })).status).toBe(200);
  });

  test("lets nobody in as an address that may not sign in any more", async () => {
    await start({ RUNEGATE_ALLOW_ANY_EMAIL: "false", RUNEGATE_ALLOWED_EMAILS: `${ADA},bob@example.org` });
    const { token } = await make({ uses: 5 });
    expect((await redeem(gateway, { token })).status).toBe(200);
    const { stores } = gateway;
    await gateway.stop();
    await start(
      { RUNEGATE_ALLOW_ANY_EMAIL: "false", RUNEGATE_ALLOWED_EMAILS: "bob@example.org", ...SAME(gateway) },
      { stores },
    );
    expect(await said(await redeem(gateway, { token }))).toMatchObject({ status: 401, reason: "withdrawn" });
  });

  test("has no code", async () => {
    await start();
    const { token } = await make({ uses: 5 });
    expect(gateway.mailbox.mails()).toEqual([]);
    const page = await (await openLink(gateway, token, NAVIGATION)).text();
    expect(page).not.toContain('name="code"');
    // Not even in a browser that takes the link for its login cookie.
    const guessed = await redeem(gateway, { code: "12345678" }, { Cookie: `runegate_login=${token}` });
    expect(await said(guessed)).toMatchObject({ status: 401, reason: "nothing" });
    expect((await redeem(gateway, { token })).status).toBe(200);
  });

  test("ends at its time, used or not", async () => {
    await start();
    const { token } = await make({ uses: 5, ttl: "7d" });
    expect((await redeem(gateway, { token })).status).toBe(200);
    clock.advance(7 * DAY);
    expect(await said(await redeem(gateway, { token }))).toMatchObject({ status: 401, reason: "expired" });
    expect((await asOperator(gateway)("GET", "/links")).body).toEqual({ items: [], next: null });
  });
});

describe("is refused", () => {
  test.each([
    ["no use", { uses: 0 }, 400],
    ["more than 20 uses", { uses: 21 }, 400],
    ["half a use", { uses: 1.5 }, 400],
    ["more than a week", { uses: 2, ttl: "8d" }, 400],
    ["no time", { uses: 2, ttl: "0s" }, 400],
    ["a time that is none", { uses: 2, ttl: "soon" }, 400],
    ["a time for a link of one use", { ttl: "8h" }, 400],
    ["an application that is none", { uses: 2, route: "attic" }, 400],
    ["an application that is not open to them", { uses: 2, route: "vault" }, 403],
  ])("%s", async (_, wanted, status) => {
    await start({}, { routes: ROUTES });
    expect((await ask(wanted)).status).toBe(status);
    expect((await asOperator(gateway)("GET", "/links")).body).toEqual({ items: [], next: null });
  });

  test("where they are off, also for those that were made before", async () => {
    await start();
    const { token } = await make({ uses: 5 });
    const { stores } = gateway;
    await gateway.stop();
    await start({ RUNEGATE_MULTI_USE_LINKS: "false", ...SAME(gateway) }, { stores });
    expect(await said(await redeem(gateway, { token }))).toMatchObject({ status: 401, reason: "withdrawn" });
    const asked = await ask({ uses: 2 });
    expect([asked.status, asked.body]).toEqual([
      403,
      expect.objectContaining({ message: expect.stringContaining("RUNEGATE_MULTI_USE_LINKS=true") }),
    ]);
    expect((await ask({})).status).toBe(201);
  });
});

test("a link leads to the application that it was made for, on its own host too", async () => {
  await start({}, { routes: ROUTES });
  const { token } = await make({ route: "wiki" });
  const used = await redeemAt(token);
  expect(await used.json()).toEqual({
    message: "Signed in.",
    next: "https://wiki.example.net/_runegate/login?next=%2F",
  });
});

test("a link in a mail stays good once", async () => {
  await start();
  const { token } = await askFor(gateway, ADA);
  expect((await redeem(gateway, { token })).status).toBe(200);
  expect((await redeem(gateway, { token })).status).toBe(401);
  expect(JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString())).not.toHaveProperty(
    "uses",
  );
});

const ROUTES = `[groups]
admins = ["root@example.org"]
[[routes]]
name = "lab"
target = "http://127.0.0.1:1"
allow = ["anyone"]
[[routes]]
name = "wiki"
host = "wiki.example.net"
target = "http://127.0.0.1:1"
allow = ["anyone"]
[[routes]]
name = "vault"
path = "/vault"
target = "http://127.0.0.1:1"
allow = ["bob@example.org"]`;

const redeemAt = (token: string) =>
  redeem(gateway, { token }, { Host: new URL(gateway.gateway.options.baseUrl).host });

/** Of a gateway that was there before: a ticket is for one base URL. */
const SAME = (before: TestGateway) => ({ RUNEGATE_BASE_URL: before.gateway.options.baseUrl });
