import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { createAdmit } from "../../src/access/admit.ts";
import { binding } from "../../src/access/binding.ts";
import type { Principal } from "../../src/identity/principal.ts";
import { sessionAuthenticator } from "../../src/session/authenticator.ts";
import { SESSIONS } from "../../src/session/record.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { askFor, auditOf, NAVIGATION, openLink, sessionOf } from "../login/support.ts";
import { acceptWebSocket, openWebSocket } from "../proxy/websocket.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { startUpstream, type Upstream } from "../support/upstream.ts";

/** Sessions that count only in the browser, or from the network, with which they were begun. */

const MINUTE = 60_000;
const ADA = "ada@example.org";
const chrome = (version: number, system = "Windows NT 10.0; Win64; x64") =>
  `Mozilla/5.0 (${system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/${version}.0.0.0 Safari/537.36`;
const FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:131.0) Gecko/20100101 Firefox/131.0";
const HOME = "198.51.100.7";

let upstream: Upstream;
let gateway: TestGateway;
let clock: TestClock;

beforeAll(async () => {
  upstream = await startUpstream();
});
afterAll(() => upstream.stop());
afterEach(() => gateway?.stop());

async function start(bind: string, env: Record<string, string> = {}): Promise<void> {
  clock = testClock();
  gateway = await startGateway({
    clock,
    target: upstream.url,
    env: { RUNEGATE_LOG_FORMAT: "json", RUNEGATE_SESSION_BIND: bind, ...env },
  });
}

type Place = { readonly ip?: string; readonly agent?: string };
const from = ({ ip = HOME, agent = chrome(131) }: Place) => ({ "X-Forwarded-For": ip, "User-Agent": agent });

async function signIn(place: Place = {}, email = ADA): Promise<string> {
  const { cookie, token } = await askFor(gateway, email, { headers: from(place) });
  return sessionOf(await openLink(gateway, token, { ...from(place), Cookie: cookie })) ?? "";
}

const ask = (cookie: string, place: Place = {}, path = "/x", more: Record<string, string> = {}) =>
  fetch(gateway.url + path, { redirect: "manual", headers: { ...from(place), Cookie: cookie, ...more } });
const status = async (cookie: string, place: Place = {}) => (await ask(cookie, place)).status;
const events = (name: string) => auditOf(gateway).filter(({ event }) => event === name);

describe("the option", () => {
  test.each([
    ["none", false, false],
    ["agent", true, false],
    ["network", false, true],
    ["agent,network", true, true],
    [" Network , agent ", true, true],
    ["agent network", true, true],
  ])("%j", (text, agent, network) => {
    expect(binding(text)).toEqual({ agent, network });
  });

  test.each(["", "ip", "agent,ip", "none,agent", "true"])("%j is an error", (text) => {
    expect(() => binding(text)).toThrow("is not what a session is bound to");
  });
});

describe("network", () => {
  test.each([
    ["the same address", "198.51.100.7", "198.51.100.7", 200],
    ["the same /24", "198.51.100.7", "198.51.100.250", 200],
    ["the next /24", "198.51.100.7", "198.51.101.7", 401],
    ["the same /48", "2001:db8:1:2::3", "2001:db8:1:ffff::9", 200],
    ["another /48", "2001:db8:1:2::3", "2001:db8:2:2::3", 401],
    ["an IPv4 address mapped into IPv6", "198.51.100.7", "::ffff:198.51.100.8", 200],
    ["IPv6 in place of IPv4", "198.51.100.7", "2001:db8::1", 401],
  ])("%s: %s, then %s", async (_, begun, now, expected) => {
    await start("network");
    const cookie = await signIn({ ip: begun });
    expect(await status(cookie, { ip: now })).toBe(expected);
    expect(await status(cookie, { ip: begun })).toBe(200);
  });

  test("any browser will do", async () => {
    await start("network");
    const cookie = await signIn();
    expect(await status(cookie, { agent: FIREFOX })).toBe(200);
  });

  test("what an untrusted peer says of others does not count: the peer does", async () => {
    await start("network", { RUNEGATE_TRUSTED_PROXIES: "" });
    const cookie = await signIn({ ip: "198.51.100.7" });
    expect(await status(cookie, { ip: "203.0.113.9" })).toBe(200);
    expect((await gateway.gateway.sessions.list())[0]?.ip).toBe("127.0.0.1");
  });
});

describe("agent", () => {
  test.each([
    ["the next version", chrome(132), 200],
    ["another system", chrome(131, "X11; Linux x86_64"), 401],
    ["another browser", FIREFOX, 401],
    ["a program", "curl/8.5.0", 401],
  ])("%s", async (_, agent, expected) => {
    await start("agent");
    const cookie = await signIn();
    expect(await status(cookie, { agent })).toBe(expected);
  });

  test("any network will do", async () => {
    await start("agent");
    expect(await status(await signIn(), { ip: "203.0.113.9" })).toBe(200);
  });

  test("neither the same browser elsewhere nor another one here, with both", async () => {
    await start("agent,network");
    const cookie = await signIn();
    expect(await status(cookie, { ip: "203.0.113.9" })).toBe(401);
    expect(await status(cookie, { agent: FIREFOX })).toBe(401);
    expect(await status(cookie, { agent: chrome(140), ip: "198.51.100.99" })).toBe(200);
  });
});

describe("somewhere else", () => {
  const AWAY = { ip: "203.0.113.66" };

  test("a page is sent to the login page, which shows its form and goes round in no circle", async () => {
    await start("network");
    const cookie = await signIn();
    const challenged = await ask(cookie, AWAY, "/x", NAVIGATION);
    expect([challenged.status, challenged.headers.get("location")]).toEqual([
      302,
      "/_runegate/login?next=%2Fx",
    ]);
    const login = await ask(cookie, AWAY, "/_runegate/login?next=%2Fx", NAVIGATION);
    expect([login.status, await login.text()]).toEqual([200, expect.stringContaining('name="email"')]);
  });

  test("there is no session for anything of ours either, but signing out ends it", async () => {
    await start("network");
    const cookie = await signIn();
    const who = await (await ask(cookie, AWAY, "/_runegate/session")).json();
    expect(who).toMatchObject({ authenticated: false, email: null });
    for (const path of ["/_runegate/api/sessions", "/_runegate/debug/protected"]) {
      expect((await ask(cookie, AWAY, path)).status).toBe(401);
    }
    expect((await ask(cookie, AWAY, "/_runegate/account", NAVIGATION)).status).toBe(302);
    const out = await fetch(`${gateway.url}/_runegate/logout`, {
      method: "POST",
      headers: { ...from(AWAY), Cookie: cookie },
    });
    expect(out.status).toBe(200);
    expect(await status(cookie)).toBe(401);
  });

  test("is no use of the session, which runs out as if nobody had come", async () => {
    await start("network", { RUNEGATE_SESSION_IDLE: "1h" });
    const cookie = await signIn();
    clock.advance(59 * MINUTE);
    expect(await status(cookie, AWAY)).toBe(401);
    clock.advance(MINUTE);
    expect(await status(cookie)).toBe(401);
    expect(await gateway.gateway.sessions.list()).toEqual([]);
  });

  test("signing in there begins a session of that place, and ends the one before", async () => {
    await start("network");
    const cookie = await signIn();
    const { cookie: asked, token } = await askFor(gateway, ADA, { headers: from(AWAY) });
    const opened = await openLink(gateway, token, { ...from(AWAY), Cookie: `${asked}; ${cookie}` });
    expect(await status(sessionOf(opened) ?? "", AWAY)).toBe(200);
    expect(await status(cookie)).toBe(401);
  });

  test("a WebSocket is refused at the handshake; one that is open stays", async () => {
    await start("network");
    const cookie = await signIn();
    upstream.on("/ws", async (exchange) => void (await acceptWebSocket(exchange)));
    const open = (place: Place) => {
      const fields = Object.entries({ ...from(place), Host: `127.0.0.1:${gateway.port}`, Cookie: cookie });
      return openWebSocket(
        gateway.port,
        "/ws",
        fields.map(([name, value]) => `${name}: ${value}`),
      );
    };
    const here = await open({});
    expect([here.head.status, (await open(AWAY)).head.status]).toEqual([101, 401]);
    const { live } = gateway.gateway;
    await live.sweep();
    expect(live.size).toBe(1);
    here.peer.wire.destroy();
  });

  test("an edge that asks gets the same, by the address that it names", async () => {
    await start("network", { RUNEGATE_BASE_URL: "https://app.example.org" });
    const cookie = await signIn();
    const check = async (ip: string) => {
      const about = { "X-Original-URL": "https://app.example.org/x", "X-Original-Method": "GET" };
      const headers = {
        Host: "app.example.org",
        Cookie: cookie,
        "X-Forwarded-For": ip,
        "User-Agent": chrome(131),
      };
      return (await fetch(`${gateway.url}/_runegate/check/nginx`, { headers: { ...headers, ...about } }))
        .status;
    };
    expect([await check(HOME), await check("203.0.113.66"), await check("198.51.100.8")]).toEqual([
      200, 401, 200,
    ]);
  });

  test("an edge may keep no answer", async () => {
    await start("network", { RUNEGATE_BASE_URL: "https://app.example.org", RUNEGATE_ALLOWED_ORIGINS: "*" });
    const cookie = await signIn();
    const answer = await fetch(`${gateway.url}/_runegate/check/nginx`, {
      headers: {
        ...from({}),
        ...{ Host: "app.example.org", Cookie: cookie, "X-Runegate-Cache": "host" },
        ...{ "X-Original-URL": "https://app.example.org/x", "X-Original-Method": "GET" },
      },
    });
    expect([answer.status, answer.headers.get("cache-control")]).toEqual([200, "no-store"]);
  });
});

describe("how often", () => {
  const AWAY = { ip: "203.0.113.66", agent: FIREFOX };
  const ended = () => gateway.mailbox.mails().filter(({ subject }) => subject.includes("was ended"));

  test("many requests in one minute are one; twice in an hour is forgiven, and back again is on", async () => {
    await start("network");
    const cookie = await signIn();
    for (let time = 0; time < 2; time++) {
      for (let at = 0; at < 10; at++) expect(await status(cookie, AWAY)).toBe(401);
      clock.advance(MINUTE);
    }
    expect(events("session_bind_mismatch")).toEqual(
      [1, 2].map(() => ({
        ...{ event: "session_bind_mismatch", email: ADA, client: AWAY.ip },
        ...{ session: expect.any(String), reason: "network" },
      })),
    );
    expect(await status(cookie)).toBe(200);
    expect(events("session_revoked")).toEqual([]);
  });

  test("the third minute in an hour ends the session, and its owner is told by mail", async () => {
    await start("agent,network");
    const cookie = await signIn();
    for (let time = 0; time < 3; time++) {
      await status(cookie, AWAY);
      clock.advance(MINUTE);
    }
    expect(await status(cookie)).toBe(401);
    expect(events("session_bind_mismatch").map(({ reason }) => reason)).toEqual(
      Array.from({ length: 3 }, () => "agent,network"),
    );
    expect(events("session_revoked")).toMatchObject([{ email: ADA, by: "bind_mismatch" }]);
    await gateway.gateway.outbox.runDue();
    expect(ended()).toHaveLength(1);
    expect(ended()[0]?.to).toBe(ADA);
    expect(ended()[0]?.text).toContain("Where: 203.0.113.0/24, Firefox on Windows");
    expect(ended()[0]?.text).not.toContain(AWAY.ip);
  });

  test("three in more than an hour do not", async () => {
    await start("network");
    const cookie = await signIn();
    for (let time = 0; time < 5; time++) {
      expect(await status(cookie, AWAY)).toBe(401);
      clock.advance(31 * MINUTE);
      expect(await status(cookie)).toBe(200);
    }
    expect(events("session_bind_mismatch")).toHaveLength(5);
  });

  test("of one session says nothing of another", async () => {
    await start("network");
    const [first, second] = [await signIn(), await signIn()];
    for (let time = 0; time < 4; time++) {
      await status(first, AWAY);
      clock.advance(MINUTE);
    }
    expect([await status(first), await status(second)]).toEqual([401, 200]);
  });
});

describe("what is bound", () => {
  test("is sealed: whoever can write to the store cannot move a session", async () => {
    clock = testClock();
    const stores = createMemoryStore({ clock });
    gateway = await startGateway({
      clock,
      stores,
      target: upstream.url,
      env: { RUNEGATE_SESSION_BIND: "network" },
    });
    const cookie = await signIn();
    const records = stores.records(SESSIONS);
    const [kept] = await records.find({ most: 1 });
    if (kept === undefined) throw new Error("no session");
    expect(kept.record.bound).toBe("198.51.100.0/24@Chrome/Windows");
    const moved = { ...kept.record, bound: "203.0.113.0/24@Chrome/Windows", ip: "203.0.113.1" };
    await records.replace(kept, moved);
    expect(await status(cookie, { ip: "203.0.113.1" })).toBe(401);
    expect(await status(cookie)).toBe(401);
  });

  test("is nothing where it is not configured: the record is the one of before, and all places will do", async () => {
    await start("none");
    const cookie = await signIn();
    const [kept] = await gateway.stores.records(SESSIONS).find({ most: 1 });
    expect(kept?.record.bound).toBe("");
    expect(await status(cookie, { ip: "203.0.113.9", agent: FIREFOX })).toBe(200);
  });

  test("of a session from before it was configured is where that was begun", async () => {
    clock = testClock();
    const stores = createMemoryStore({ clock });
    const env = { RUNEGATE_SESSION_KEY: "9".repeat(128), RUNEGATE_JWT_SECRET: "1".repeat(64) };
    gateway = await startGateway({ clock, stores, target: upstream.url, env });
    const cookie = await signIn();
    await gateway.stop();
    const bound = { ...env, RUNEGATE_SESSION_BIND: "agent,network" };
    gateway = await startGateway({ clock, stores, target: upstream.url, env: bound });
    expect(await status(cookie)).toBe(200);
    expect(await status(cookie, { ip: "203.0.113.9" })).toBe(401);
    expect(await status(cookie, { agent: FIREFOX })).toBe(401);
  });
});

test("other proofs than sessions are bound to nothing", async () => {
  await start("agent,network");
  const { sessions, sessionCookie } = gateway.gateway;
  const holder: Principal = {
    ...{ subject: { service: "backup" }, groups: new Set<string>(), provenAt: 0 },
    proof: { kind: "key", id: "k" },
  };
  const keys = {
    ...{ kind: "key", alive: () => holder, onEnded() {} },
    authenticate: ({ headers }: { headers: Readonly<Record<string, string>> }) =>
      headers.authorization === "Bearer k" ? holder : undefined,
  };
  const admit = createAdmit([sessionAuthenticator(sessions, sessionCookie), keys]);
  const cookie = (await signIn()).replace("runegate_id=", "");
  const shown = (ip: string) => ({
    cookies: { valuesOf: () => [cookie] },
    headers: { authorization: "Bearer k", "user-agent": chrome(131) },
    origin: gateway.url,
    client: { ip },
  });
  const route = gateway.gateway.routes.all[0];
  expect(await admit.identify(route, shown(HOME))).toMatchObject({ proof: { kind: "session" } });
  expect(await admit.identify(route, shown("203.0.113.9"))).toBe(holder);
});

describe("of one application", () => {
  const ROUTES = `
    [[routes]]
    name = "home"
    target = "TARGET"

    [[routes]]
    name = "safe"
    path = "/safe"
    target = "TARGET"
    bind = "network"

    [[routes]]
    name = "grafana"
    host = "grafana.example.org"
    target = "TARGET"
    bind = "network"
  `;
  const AWAY = { ip: "203.0.113.66" };
  const at = (host: string, path: string, cookie: string, place: Place) =>
    fetch(gateway.url + path, {
      redirect: "manual",
      headers: { ...NAVIGATION, ...from(place), Host: host, Cookie: cookie },
    });

  async function startRoutes(): Promise<string> {
    clock = testClock();
    gateway = await startGateway({
      clock,
      routes: ROUTES.replaceAll("TARGET", upstream.url),
      env: { RUNEGATE_BASE_URL: "https://app.example.org" },
    });
    const host = { Host: "app.example.org" };
    const asked = await fetch(`${gateway.url}/_runegate/login`, {
      method: "POST",
      headers: { ...from({}), ...host, "Content-Type": "application/json" },
      body: JSON.stringify({ email: ADA }),
    });
    await gateway.gateway.outbox.runDue();
    const [mail] = gateway.mailbox.mails();
    const opened = await fetch((mail?.link ?? "").replace("https://app.example.org", gateway.url), {
      redirect: "manual",
      headers: { ...from({}), ...host, Cookie: asked.headers.getSetCookie()[0]?.split(";", 1)[0] ?? "" },
    });
    return sessionOf(opened) ?? "";
  }

  test("elsewhere, the others go on, and this one asks for a sign-in, with a page that says why", async () => {
    const cookie = await startRoutes();
    expect((await at("app.example.org", "/x", cookie, AWAY)).status).toBe(200);
    expect((await at("app.example.org", "/safe/x", cookie, {})).status).toBe(200);
    const challenged = await at("app.example.org", "/safe/x", cookie, AWAY);
    const login = challenged.headers.get("location") ?? "";
    expect([challenged.status, login]).toEqual([302, "/_runegate/login?next=%2Fsafe%2Fx"]);
    const page = await at("app.example.org", login, cookie, AWAY);
    expect([page.status, await page.text()]).toEqual([200, expect.stringContaining("from another network")]);
    // Somewhere else than that, whoever is signed in goes straight on.
    const other = await at("app.example.org", "/_runegate/login?next=%2Fx", cookie, AWAY);
    expect([other.status, other.headers.get("location")]).toEqual([302, "/x"]);
  });

  test("on another host, nobody is handed over from elsewhere, and nothing goes round in circles", async () => {
    const cookie = await startRoutes();
    const begun = await at("grafana.example.org", "/d", "", AWAY);
    const request = new URL(begun.headers.get("location") ?? "");
    const bind = begun.headers.getSetCookie()[0]?.split(";", 1)[0] ?? "";
    const away = await at("app.example.org", request.pathname + request.search, cookie, AWAY);
    const back = encodeURIComponent("https://grafana.example.org/d");
    expect(away.headers.get("location")).toBe(`/_runegate/login?next=${back}`);
    const page = await at("app.example.org", `/_runegate/login?next=${back}`, cookie, AWAY);
    expect(page.status).toBe(200);
    // From home, there is a ticket; finished by another network it is a page, not another round.
    const ticket = await at("app.example.org", request.pathname + request.search, cookie, {});
    const finish = new URL(ticket.headers.get("location") ?? "");
    const stray = await at("grafana.example.org", finish.pathname + finish.search, bind, AWAY);
    expect([stray.status, stray.headers.get("location")]).toEqual([401, null]);
    const finished = await at("grafana.example.org", finish.pathname + finish.search, bind, {});
    const there = sessionOf(finished) ?? "";
    expect((await at("grafana.example.org", "/d", there, {})).status).toBe(200);
    expect((await at("grafana.example.org", "/d", there, AWAY)).status).toBe(302);
  });
});
