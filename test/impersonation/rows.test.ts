import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { decodeJwt } from "jose";
import { HAND_OFF } from "../../src/hand-off/ticket.ts";
import { parseAddress } from "../../src/identity/address.ts";
import { ACTING_REQUEST, ACTING_TICKET } from "../../src/impersonation/ticket.ts";
import { LOGIN_LINK } from "../../src/login/ticket.ts";
import { StoreUnavailable } from "../../src/store/records.ts";
import type { Store } from "../../src/store/store.ts";
import type { Person } from "../hand-off/person.ts";
import { B, BINDING, C, H, SESSION, ticketsOf } from "../hand-off/stage.ts";
import { startUpstream, type Upstream } from "../support/upstream.ts";
import {
  ACTING,
  type ActingStage,
  ADA,
  AT,
  JSON_HEADERS,
  REASON,
  ROOT,
  ROUTES,
  startActingStage,
} from "./stage.ts";

/** An administrator acts as somebody else: each row of the contract, by what a browser sends and gets. */

let upstream: Upstream;
let stage: ActingStage;
let root: Person;
/** A kind of record that cannot be written. */
let lost: string | undefined;

beforeAll(async () => {
  upstream = await startUpstream();
});
afterAll(() => upstream.stop());
beforeEach(async () => {
  lost = undefined;
  stage = await startActingStage(upstream.url, { wrapped: losing });
  root = stage.root;
});
afterEach(() => stage.stop());

function losing(store: Store): Store {
  return {
    ...store,
    records(kind) {
      const records = store.records(kind);
      return {
        ...records,
        add(...record) {
          if (kind.name === lost) throw new StoreUnavailable("away");
          return records.add(...record);
        },
        replace(...change) {
          if (`${kind.name} again` === lost) throw new StoreUnavailable("away");
          return records.replace(...change);
        },
      };
    },
  };
}

const MINUTE = 60_000;
const ADMIN = "/_runegate/admin/impersonate";

/** Who the application took the last request to be from. */
async function seenAt(url: string, more: Parameters<Person["get"]>[1] = {}, person = root) {
  const before = upstream.requests.length;
  const response = await person.get(url, more);
  const [request] = upstream.requests.slice(before);
  return { response, status: response.status, as: request?.one("x-runegate-user"), request };
}

const asHerself = { as: ADA, status: 200 };
const asThemselves = { as: ROOT, status: 200 };

/** As fields of a form on the admin pages. */
function post(
  path: string,
  fields: Record<string, string>,
  headers: Record<string, string> = {},
  who = root,
) {
  return who.get(H + path, {
    method: "POST",
    headers: { "Content-Type": "application/x-www-form-urlencoded", ...headers },
    body: new URLSearchParams(fields).toString(),
  });
}

test("an administrator sees what the person sees, and the application is told who it is", async () => {
  expect(await stage.act()).toBe(`${B}/`);
  const { request, ...seen } = await seenAt(`${B}/x?y=z`);
  expect(seen).toMatchObject(asHerself);
  expect(request?.one("x-runegate-actor")).toBe(ROOT);
  expect(request?.one("x-forwarded-email")).toBe(ADA);
  expect(decodeJwt(request?.one("x-runegate-jwt") ?? "")).toMatchObject({
    ...{ sub: ADA, email: ADA, act: { sub: ROOT }, amr: ["impersonation"] },
  });
  // Elsewhere they are themselves, with the session that they had.
  expect(await seenAt(`${H}/`)).toMatchObject(asThemselves);
  expect(await stage.events("impersonation_started")).toMatchObject([
    { email: ADA, by: ROOT, route: "grafana", reason: REASON },
  ]);
  expect(await stage.events("impersonated_request")).toMatchObject([
    { email: ADA, by: ROOT, route: "grafana", method: "GET", path: "/", status: "200" },
    { email: ADA, by: ROOT, route: "grafana", method: "GET", path: "/x", status: "200" },
  ]);
  expect(stage.lines().filter((line) => line.includes("y=z"))).toEqual([]);
});

test("on a path of the host where people sign in, it is for what lies below that path", async () => {
  expect(await stage.act(H)).toBe(`${H}/lab`);
  expect(await seenAt(`${H}/lab/x`)).toMatchObject(asHerself);
  expect(await seenAt(`${H}/`)).toMatchObject(asThemselves);
  expect(await seenAt(`${H}/labs`)).toMatchObject(asThemselves);
});

describe("F1: who may not begin it", () => {
  const none = async () => expect(await stage.events("impersonation_started")).toEqual([]);

  test("somebody who is no administrator: 403, and the page is not there", async () => {
    const ada = stage.person();
    await ada.signIn(`${H}/`, ADA);
    expect((await stage.begin({ email: "bob@example.org" }, ada)).status).toBe(403);
    expect(
      (await post(ADMIN, { email: "bob@example.org", route: "grafana", reason: REASON }, {}, ada)).status,
    ).toBe(404);
    await none();
  });

  test("somebody who is not signed in: 401", async () => {
    expect((await stage.begin({}, stage.person())).status).toBe(401);
    await none();
  });

  test("an administrator who signed in 16 minutes ago: 401, or the login page", async () => {
    stage.clock.advance(16 * MINUTE);
    const answer = await stage.begin();
    expect([answer.status, await answer.json()]).toEqual([
      401,
      expect.objectContaining({ error: "sign_in_again" }),
    ]);
    const form = await post(ADMIN, { email: ADA, route: "grafana", reason: REASON });
    expect([form.status, form.headers.get("location")]).toEqual([
      303,
      `/_runegate/login?next=${encodeURIComponent(ADMIN)}&again=1`,
    ]);
    await none();
  });

  test("a page of another site: 403", async () => {
    for (const Origin of ["https://evil.example", "null", B]) {
      const form = await post(ADMIN, { email: ADA, route: "grafana", reason: REASON }, { Origin });
      expect([Origin, form.status]).toEqual([Origin, 403]);
    }
    const json = await root.get(`${H}/_runegate/api/admin/impersonate`, {
      method: "POST",
      headers: { ...JSON_HEADERS, Origin: B },
      body: JSON.stringify({ email: ADA, route: "grafana", reason: REASON }),
    });
    expect(json.status).toBe(403);
    await none();
  });

  test("a GET: 405, and the page only shows itself", async () => {
    const query = new URLSearchParams({ email: ADA, route: "grafana", reason: REASON });
    const headers = { ...JSON_HEADERS };
    expect((await root.get(`${H}/_runegate/api/admin/impersonate?${query}`, { headers })).status).toBe(405);
    expect((await root.get(`${H}${ADMIN}?${query}&do=start`)).status).toBe(200);
    await none();
  });

  test("on another host than home: 421", async () => {
    await root.follow(`${C}/`);
    const answer = await root.get(`${C}/_runegate/api/admin/impersonate`, {
      method: "POST",
      headers: JSON_HEADERS,
      body: JSON.stringify({ email: ADA, route: "grafana", reason: REASON }),
    });
    expect(answer.status).toBe(421);
    await none();
  });
});

test("F2: a route that does not take it, or that there is none: 403, audited, and no ticket", async () => {
  for (const [route, reason] of [
    ["home", "not for this application"],
    ["nowhere", "no such application"],
  ]) {
    expect((await stage.begin({ route })).status).toBe(403);
    expect((await stage.events("impersonation_refused")).at(-1)).toMatchObject({
      email: ADA,
      by: ROOT,
      route,
      reason,
    });
  }
  expect(await stage.events("impersonation_started")).toEqual([]);
  expect((await root.follow(`${B}/_runegate/as/open`)).response.status).toBe(401);
  expect((await root.follow(`${B}/_runegate/as/open`)).response.headers.getSetCookie()).toEqual([]);
});

test("F3: as somebody who may not use it, another administrator, oneself, a service, or nobody: 403 and 400", async () => {
  const cases = [
    ["eve@example.org", 403, "they may not use it"],
    ["boss@example.org", 403, "an administrator"],
    [ROOT, 403, "themselves"],
    ["service:backup", 400, undefined],
    ["", 400, undefined],
  ] as const;
  for (const [email, status, reason] of cases) {
    expect([email, (await stage.begin({ email })).status]).toEqual([email, status]);
    if (reason === undefined) continue;
    expect((await stage.events("impersonation_refused")).at(-1)).toMatchObject({ email, reason });
  }
  expect(await stage.events("impersonation_started")).toEqual([]);
});

test("F3: somebody whom an OpenID provider has made an administrator is one: 403", async () => {
  const { sessions } = stage.gateway().gateway;
  await sessions.start({ email: ADA as never, ip: "192.0.2.1", userAgent: "x", groups: new Set(["admins"]) });
  expect((await stage.begin()).status).toBe(403);
  expect(await stage.events("impersonation_refused")).toMatchObject([{ reason: "an administrator" }]);
});

test("F3: it ends when an OpenID provider says that the person is an administrator", async () => {
  await stage.act(C);
  const { sessions, impersonations } = stage.gateway().gateway;
  await impersonations.sweep();
  expect((await seenAt(`${C}/`)).as).toBe(ADA);
  const facts = { email: parseAddress(ADA), ip: "192.0.2.1", userAgent: "", method: "oidc" } as const;
  await sessions.start({ ...facts, groups: new Set(["admins"]) });
  await impersonations.sweep();
  await isOver();
  expect(await stage.events("impersonation_ended")).toMatchObject([{ reason: "an administrator" }]);
});

test("F4: what cannot be written does not begin: 503, and no ticket", async () => {
  for (const kind of ["audit", "impersonation", "impersonation_view"]) {
    lost = kind;
    expect((await stage.begin()).status).toBe(503);
    const end = await root.follow(`${B}/_runegate/as/open`);
    expect([end.response.status, root.cookie(AT[B], ACTING)]).toEqual([401, undefined]);
  }
  lost = "ticket";
  const opened = await stage.act();
  expect([opened.includes("/as/finish"), root.cookie(AT[B], ACTING)]).toEqual([true, undefined]);
});

const isFinish = (url: URL) => url.pathname.endsWith("/as/finish");
const isTicket = (url: URL) => url.pathname.endsWith("/as/ticket");

async function finishUrl(): Promise<string> {
  expect((await stage.begin()).status).toBe(201);
  return root.until(`${B}/_runegate/as/open`, isFinish);
}

/** @returns the status of an answer that opens nothing. */
async function refused(asked: Promise<Response>): Promise<number> {
  const response = await asked;
  expect(response.headers.getSetCookie().filter((line) => line.startsWith(`${ACTING}=`))).toEqual([]);
  expect(response.headers.get("location")).toBeNull();
  return response.status;
}

test("F5: a ticket opens nothing in another browser, and is not spent by it", async () => {
  const url = await finishUrl();
  const other = stage.person();
  expect(await refused(other.get(url))).toBe(401);
  await other.get(`${B}/_runegate/as/open`);
  expect(other.cookie(AT[B], BINDING)).toBeString();
  expect(await refused(other.get(url))).toBe(401);
  const reasons = (await stage.events("impersonation_refused")).map(({ reason }) => reason);
  expect(reasons).toEqual(["no_binding", "wrong_binding"]);
  expect((await root.get(url)).headers.get("location")).toBe("/");
  // Once.
  expect(await refused(root.get(url))).toBe(401);
  expect(await seenAt(`${B}/`)).toMatchObject(asHerself);
});

test("F5: a ticket is good for 60 seconds, on the host that it is for, and for a navigation alone", async () => {
  const url = await finishUrl();
  expect(await refused(root.get(url.replace(B, C)))).toBe(401);
  expect(await refused(root.get(url, { headers: { "Sec-Purpose": "prefetch" } }))).toBe(400);
  expect(await refused(root.get(url, { method: "HEAD" }))).toBe(400);
  stage.clock.advance(60_000);
  expect(await refused(root.get(url))).toBe(401);
});

test("F6: no ticket or request of another kind is taken for one, nor the reverse", async () => {
  const url = await finishUrl();
  const good = new URL(url).searchParams.get("ticket") ?? "";
  const { bind = "", sub: id = "" } = decodeJwt<{ bind: string }>(good);
  const grant = { jti: "j", issuedAt: stage.clock.now(), expiresAt: stage.clock.now() + MINUTE };
  const session = (await stage.gateway().gateway.sessions.list())[0]?.id ?? "";
  const email = ROOT as never;
  const handOff = { email, session, bind, next: "/" };
  const link = { ...LOGIN_LINK, write: () => ({ sub: id, bind }), read: () => ({}) };
  const finish = (ticket: string) => root.get(`${B}/_runegate/as/finish?ticket=${ticket}`);
  for (const other of [
    ticketsOf(B).sign(HAND_OFF, { ...handOff, ...grant }),
    ticketsOf(B).sign(ACTING_REQUEST, { app: B, bind, ...grant }),
    ticketsOf(B).sign(link, grant),
    ticketsOf(B, stage.clock, "2".repeat(64)).sign(ACTING_TICKET, { id, bind, ...grant }),
    good.replace(/\.[^.]*$/, "."),
  ]) {
    expect(await refused(finish(other))).toBe(401);
  }
  const reverse = [
    `${B}/_runegate/handoff/finish?ticket=${good}`,
    `${H}/_runegate/handoff?request=${good}`,
    `${H}/_runegate/as/ticket?request=${good}`,
  ];
  for (const other of reverse) expect([other, await refused(root.get(other))]).toEqual([other, 401]);
  // A link that is none gives the page for those, and signs nobody in.
  const before = (await stage.gateway().gateway.sessions.list()).length;
  await root.get(`${H}/_runegate/auth?token=${good}`);
  expect((await stage.gateway().gateway.sessions.list()).length).toBe(before);
  // The one that all these were made from is good.
  expect((await root.get(url)).status).toBe(302);
});

test("F6: whoever is sent the request of somebody else's browser lets that browser in nowhere", async () => {
  const attacker = stage.person();
  const request = await attacker.until(`${B}/_runegate/as/open`, isTicket);
  expect((await stage.begin()).status).toBe(201);
  const url = await root.until(request, isFinish);
  expect(await refused(root.get(url))).toBe(401);
  // And who has seen all of it has no session of the administrator's to show.
  const opened = await attacker.get(url);
  const acting = opened.headers.getSetCookie().find((line) => line.startsWith(`${ACTING}=`)) ?? "";
  const Cookie = acting.split(";", 1)[0] ?? "";
  const { as } = await seenAt(`${B}/`, { headers: { Cookie } }, stage.person());
  expect(as).toBeUndefined();
});

/** What the operator gets once it is over: a page that says so, once, and then what is theirs. */
async function isOver(): Promise<void> {
  const first = await seenAt(`${C}/`);
  expect([first.status, first.request]).toEqual([403, undefined]);
  expect(await first.response.text()).toContain("You are yourself again");
  expect(root.cookie(AT[C], ACTING)).toBeUndefined();
}

describe("F7: without the operator's session it is dead", () => {
  test("the cookie alone", async () => {
    await stage.act(C);
    const thief = stage.person();
    const cookie = `${ACTING}=${root.cookie(AT[C], ACTING)}`;
    expect((await seenAt(`${C}/`, { headers: { Cookie: cookie } }, thief)).request).toBeUndefined();
    // Nor beside another's session.
    await thief.signIn(`${C}/`, "eve@example.org");
    const own = `${SESSION}=${thief.cookie(AT[C], SESSION)}`;
    expect(
      (await seenAt(`${C}/`, { headers: { Cookie: `${own}; ${cookie}` } }, thief)).request,
    ).toBeUndefined();
    // That was nothing to the operator.
    expect(await seenAt(`${C}/`)).toMatchObject(asHerself);
  });

  test("the operator's sessions ended by an administrator or a command", async () => {
    await stage.act(C);
    const { sessions } = stage.gateway().gateway;
    for (const { id } of await sessions.list(ROOT as never)) await sessions.end(id);
    await isOver();
    expect((await seenAt(`${C}/`)).status).toBe(302);
    expect(await stage.events("impersonation_ended")).toMatchObject([{ reason: "signed out", by: ROOT }]);
  });
});

test("F8: an operator who is no administrator any more is themselves from the next request on", async () => {
  await stage.act(C);
  expect(await seenAt(`${C}/`)).toMatchObject(asHerself);
  await stage.restart(ROUTES.replace(`"${ROOT}", `, ""));
  await isOver();
  expect(await seenAt(`${C}/`)).toMatchObject(asThemselves);
  expect(await stage.events("impersonation_ended")).toMatchObject([{ reason: "no administrator any more" }]);
});

describe("F9: what may not be begun any more has ended", () => {
  test.each([
    ["the person may not use it", `name = "other"\n  deny = ["${ADA}"]`, "they may not use it"],
    ["the application does not take it", 'name = "other"\n  title = "x"', "not for this application"],
  ])("%s", async (_, keys, reason) => {
    await stage.act(C);
    const changed = ROUTES.replace('name = "other"', keys);
    await stage.restart(keys.includes("title") ? changed.replace('"read_only"', '"deny"') : changed);
    await isOver();
    expect(await seenAt(`${C}/`)).toMatchObject(asThemselves);
    expect(await stage.events("impersonation_ended")).toMatchObject([{ reason }]);
  });

  test("it takes no changes any more, or takes some", async () => {
    const taking = ROUTES.replace('"read_only"', '"allow"');
    for (const [before, after] of [
      [taking, ROUTES],
      [ROUTES, taking],
    ] as const) {
      await stage.restart(before);
      await stage.act(C);
      await stage.restart(after);
      await isOver();
    }
    const reason = "other rules for it";
    expect(await stage.events("impersonation_ended")).toMatchObject([{ reason }, { reason }]);
  });

  test("no application takes it at all", async () => {
    await stage.act(C);
    await stage.restart(ROUTES.replaceAll(/impersonation = .*/g, ""));
    expect(await stage.events("impersonation_ended")).toMatchObject([{ reason: "not for this application" }]);
    const { request, ...seen } = await seenAt(`${C}/`);
    expect(seen).toMatchObject(asThemselves);
    expect(request?.one("cookie")).toBeUndefined();
  });

  test("the time is over, and a POST is not done in the operator's own name", async () => {
    await stage.act(C, { minutes: 2 });
    stage.clock.advance(2 * MINUTE - 1);
    expect(await seenAt(`${C}/`)).toMatchObject(asHerself);
    stage.clock.advance(1);
    const { response, request } = await seenAt(`${C}/`, { method: "POST", body: "a=b" });
    expect([response.status, request, root.cookie(AT[C], ACTING)]).toEqual([409, undefined, undefined]);
    expect(await seenAt(`${C}/`, { method: "POST", body: "a=b" })).toMatchObject(asThemselves);
    expect(await stage.events("impersonation_ended")).toMatchObject([
      { email: ADA, by: ROOT, route: "other", reason: "time", seconds: "120", requests: "2", refused: "0" },
    ]);
  });
});

test("F10: who may only look sends nothing else: 403, and the application gets none of it", async () => {
  await stage.act(C);
  const before = upstream.requests.length;
  for (const method of ["POST", "PUT", "PATCH", "DELETE"]) {
    const { response, request } = await seenAt(`${C}/x`, { method, body: "a" });
    expect([method, response.status, request]).toEqual([method, 403, undefined]);
    expect(await response.text()).toContain(`You are viewing as ${ADA}; changes are off`);
  }
  const handshake = {
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Version": "13",
    "Sec-Fetch-Mode": "websocket",
    Origin: C,
  };
  const socket = await seenAt(`${C}/ws`, { headers: handshake });
  expect([socket.status, await socket.response.json()]).toEqual([
    403,
    expect.objectContaining({ error: "read_only" }),
  ]);
  expect(upstream.requests.length).toBe(before);
  for (const method of ["GET", "HEAD", "OPTIONS"])
    expect(await seenAt(`${C}/x`, { method })).toMatchObject(asHerself);
  expect((await stage.events("access_refused")).at(-1)).toMatchObject({ reason: "read_only", by: ROOT });
  await root.get(`${C}/_runegate/as/end`, { method: "POST" });
  expect(await stage.events("impersonation_ended")).toMatchObject([{ requests: "9", refused: "5" }]);
});

test("F10: nor does who may only look send a GET that is to be taken for another method, or an edge pass it", async () => {
  await stage.act(C);
  const before = upstream.requests.length;
  for (const name of ["X-HTTP-Method-Override", "X-Http_Method", "X-Method-Override"]) {
    const { response } = await seenAt(`${C}/x`, { headers: { [name]: "DELETE" } });
    expect([name, response.status, await response.text()]).toEqual([
      ...[name, 403, expect.stringContaining("changes are off")],
    ]);
    for (const edge of ["nginx", "traefik"]) {
      const headers = {
        ...{ [name]: "DELETE", "X-Original-URL": `${C}/x`, "X-Original-Method": "GET" },
        ...{ "X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/x", "X-Forwarded-Host": AT[C] },
        ...{ "X-Forwarded-Proto": "https" },
      };
      const { status } = await seenAt(`${C}/_runegate/check/${edge}`, { headers });
      expect([edge, name, status]).toEqual([edge, name, 403]);
    }
  }
  expect(upstream.requests.length).toBe(before);
});

test("F11: what a client says of an actor is removed, and an edge hears of none", async () => {
  await root.follow(`${C}/`);
  const headers = { "X-Runegate-Actor": "evil@example.org", X_Runegate_Actor: "evil@example.org" };
  const { request } = await seenAt(`${C}/`, { headers });
  expect([request?.one("x-runegate-actor"), request?.one("x_runegate_actor")]).toEqual([
    undefined,
    undefined,
  ]);
  await stage.act();
  expect((await seenAt(`${B}/`, { headers })).request?.one("x-runegate-actor")).toBe(ROOT);
});

describe("an edge that asks", () => {
  async function check(origin: string, method = "GET", more: Record<string, string> = {}) {
    const host = AT[origin as keyof typeof AT];
    const cookies = [...(root.jar.get(host) ?? [])].map((pair) => pair.join("=")).join("; ");
    return fetch(`${stage.gateway().url}/_runegate/check/traefik`, {
      headers: {
        ...{ Host: host, Cookie: cookies, "X-Forwarded-Method": method, "X-Forwarded-Uri": "/x" },
        ...{ "X-Forwarded-Host": host, "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9" },
        ...more,
      },
    });
  }
  const asAndBy = ({ headers }: Response) => [
    headers.get("x-runegate-user"),
    headers.get("x-runegate-actor"),
  ];

  test("F11: it hears of the actor while there is one, and of an empty one else", async () => {
    await root.follow(`${C}/`);
    expect(asAndBy(await check(C))).toEqual([ROOT, ""]);
    expect((await check(C, "GET", { "X-Runegate-Actor": "evil@example.org" })).status).toBe(400);
    await stage.act(C);
    const answer = await check(C);
    expect([answer.status, ...asAndBy(answer)]).toEqual([200, ADA, ROOT]);
    // F17
    expect(answer.headers.get("cookie")).toBe("");
    expect((await check(C, "POST")).status).toBe(403);
    expect(await stage.events("impersonated_request")).toMatchObject([
      { path: "/", status: "200" },
      { method: "GET", path: "/x", status: "200" },
      { method: "POST", path: "/x", status: "403" },
    ]);
    await root.get(`${C}/_runegate/as/end`, { method: "POST", keepsCookies: false });
    const ended = await check(C);
    expect([ended.status, ended.headers.get("set-cookie")]).toEqual([
      403,
      expect.stringContaining(`${ACTING}=;`),
    ]);
  });

  test("may not keep an answer for the session where somebody may act beside it", async () => {
    await root.follow(`${C}/`);
    const kept = async (routes: string) => {
      await stage.restart(routes.replace('name = "other"', 'name = "other"\n  websocket = false'));
      const cookies = [...(root.jar.get(AT[C]) ?? [])].map((pair) => pair.join("=")).join("; ");
      const answer = await fetch(`${stage.gateway().url}/_runegate/check/nginx`, {
        headers: {
          ...{ Host: AT[C], Cookie: cookies, "X-Original-URL": `${C}/x`, "X-Original-Method": "GET" },
          ...{ "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9", "X-Runegate-Cache": "host" },
        },
      });
      return [answer.status, answer.headers.get("cache-control")];
    };
    expect(await kept(ROUTES)).toEqual([200, "no-store"]);
    expect(await kept(ROUTES.replaceAll(/impersonation = .*/g, ""))).toEqual([200, "max-age=2"]);
  });
});

test("F12: the cookie of one host is unknown on another", async () => {
  await stage.act();
  await root.follow(`${C}/`);
  const cookie = root.cookie(AT[B], ACTING) ?? "";
  root.jar.get(AT[C])?.set(ACTING, cookie);
  expect(await seenAt(`${C}/`)).toMatchObject(asThemselves);
  for (const other of [cookie.slice(0, 43), `${cookie.slice(0, 43)}.${"A".repeat(43)}`, "x", ""]) {
    root.jar.get(AT[C])?.set(ACTING, other);
    expect([other, (await seenAt(`${C}/`)).as]).toEqual([other, ROOT]);
  }
});

test("F13: Runegate's own pages are the operator's, never the person's, and say so", async () => {
  await stage.restart(ROUTES, { RUNEGATE_API_KEYS: "true" });
  await stage.act(H);
  for (const path of ["/_runegate/account", "/_runegate/keys", "/_runegate/admin", "/_runegate/"]) {
    const page = await root.follow(H + path);
    const html = await page.response.text();
    expect([path, page.response.status, html.includes('class="acting"')]).toEqual([path, 200, true]);
    expect([path, html.includes(ADA)]).toEqual([path, false]);
  }
  const who = await root.get(`${H}/_runegate/api/session`, { headers: JSON_HEADERS });
  expect((await who.json()) as unknown).toMatchObject({ email: ROOT, proof: { kind: "session" } });
  // Without it, no page has the bar.
  expect(await (await stage.person().follow(`${H}/`)).response.text()).not.toContain('class="acting"');
});

test("a form that was sent as somebody else is not kept until the operator has signed in again", async () => {
  await stage.restart(ROUTES.replace('identity = "both"', 'identity = "both"\n  max_age = "10m"'));
  await stage.act(B);
  stage.clock.advance(11 * MINUTE);
  const headers = { "Content-Type": "application/x-www-form-urlencoded" };
  const { status, request } = await seenAt(`${B}/x`, { method: "POST", headers, body: "a=b" });
  expect([status, request, root.cookie(AT[B], "__Host-runegate_kept")]).toEqual([303, undefined, undefined]);
});

test("F14: after the end, the pages that were open are asked for as themselves", async () => {
  await stage.act(C);
  expect(await seenAt(`${C}/x`)).toMatchObject(asHerself);
  const page = await (await root.get(`${C}/_runegate/as`)).text();
  for (const words of [ADA, "other", REASON, "15:00</strong> left"]) expect(page).toContain(words);
  expect((await root.get(`${C}/_runegate/as/end`, { method: "POST", headers: { Origin: B } })).status).toBe(
    403,
  );
  expect((await root.get(`${C}/_runegate/as/end`)).status).toBe(405);
  const end = await root.get(`${C}/_runegate/as/end`, { method: "POST" });
  expect([end.status, root.cookie(AT[C], ACTING)]).toEqual([200, undefined]);
  expect(await seenAt(`${C}/x`)).toMatchObject(asThemselves);
  expect((await root.get(`${C}/_runegate/as`)).status).toBe(404);
  // The cookie is worth nothing any more, and neither is the ticket's way without beginning anew.
  expect((await root.follow(`${C}/_runegate/as/open`)).response.status).toBe(401);
});

test("what cannot be counted is told of, and ended, all the same", async () => {
  await stage.act(C);
  lost = "impersonation_view again";
  await root.get(`${C}/x`);
  expect((await root.get(`${C}/_runegate/as/end`, { method: "POST" })).status).toBe(200);
  expect(await seenAt(`${C}/`)).toMatchObject(asThemselves);
  expect((await stage.events("impersonated_request")).at(-1)).toMatchObject({ path: "/x", by: ROOT });
  expect((await stage.events("impersonation_ended"))[0]).toMatchObject({ email: ADA, by: ROOT });
});

test("F15: 61 minutes are too many, and so are none; a reason has 10 to 500 characters", async () => {
  for (const minutes of [61, 0, 1.5, -1, 1e9]) {
    expect([minutes, (await stage.begin({ minutes })).status]).toEqual([minutes, 400]);
  }
  for (const reason of ["", "too short", `${" ".repeat(20)}short`, "x".repeat(501), "two\nlines of it"]) {
    expect([reason, (await stage.begin({ reason })).status]).toEqual([reason, 400]);
  }
  expect((await post(ADMIN, { email: ADA, route: "grafana", reason: REASON, minutes: "61" })).status).toBe(
    400,
  );
  expect(await stage.events("impersonation_started")).toEqual([]);
  expect((await stage.begin({ minutes: 60 })).status).toBe(201);
});

test("F16: signing out ends both, and says so", async () => {
  await stage.act(C);
  const page = await root.get(`${H}/_runegate/logout`, { method: "POST" });
  expect(await page.text()).toContain(`You are no longer viewing as ${ADA} either.`);
  await isOver();
  expect((await seenAt(`${C}/`)).status).toBe(302);
  expect(await stage.events("impersonation_ended")).toMatchObject([{ reason: "signed out" }]);
});

test("F17: the application gets neither cookie, and sets neither", async () => {
  await stage.act();
  root.jar.get(AT[B])?.set("theirs", "1");
  const { request } = await seenAt(`${B}/`);
  expect(request?.one("cookie")).toBe("theirs=1");
  upstream.on("/set", ({ reply }) => reply(200, [`Set-Cookie: ${ACTING}=x`, "Set-Cookie: a=b"]));
  const { response } = await seenAt(`${B}/set`);
  expect(response.headers.getSetCookie()).toEqual(["a=b"]);
});

test("one at once: another ends the first, also where two are begun together", async () => {
  await stage.act(B);
  await stage.act(C);
  expect((await seenAt(`${B}/`)).status).toBe(403);
  expect(await seenAt(`${C}/`)).toMatchObject(asHerself);
  expect(await stage.events("impersonation_ended")).toMatchObject([
    { route: "grafana", reason: "another was begun" },
  ]);
  await Promise.all([stage.begin(), stage.begin({ route: "other" }), stage.begin({ route: "lab" })]);
  expect(await stage.gateway().gateway.impersonations.running()).toHaveLength(1);
});

test("a thousand requests are told of each, and those beyond are counted", async () => {
  await stage.act(C, { minutes: 60 });
  for (let at = 0; at < 1_004; at += 4) await Promise.all([1, 2, 3, 4].map(() => root.get(`${C}/x`)));
  await root.get(`${C}/_runegate/as/end`, { method: "POST" });
  expect(await stage.events("impersonation_ended")).toMatchObject([{ requests: "1005", refused: "0" }]);
  expect((await stage.events("impersonated_request")).length).toBe(1_000);
}, 60_000);
