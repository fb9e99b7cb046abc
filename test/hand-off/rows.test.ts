import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { decodeJwt } from "jose";
import { HAND_OFF, HAND_OFF_REQUEST, type HandOffRequest } from "../../src/hand-off/ticket.ts";
import { LOGIN_LINK } from "../../src/login/ticket.ts";
import { StoreUnavailable } from "../../src/store/records.ts";
import type { Store } from "../../src/store/store.ts";
import { cookieHeader } from "../support/gateway.ts";
import { startUpstream, type Upstream } from "../support/upstream.ts";
import type { Person } from "./person.ts";
import { B, BINDING, C, H, JWT_SECRET, ROUTES, SESSION, type Stage, startStage, ticketsOf } from "./stage.ts";

/** One sign-in for several hosts: each row of the flow, by what a browser sends and gets. */

let upstream: Upstream;
let stage: Stage;
let ada: Person;
let storeIsAway = false;

beforeAll(async () => {
  upstream = await startUpstream();
});
afterAll(() => upstream.stop());
beforeEach(async () => {
  storeIsAway = false;
  stage = await startStage(upstream.url, ROUTES, {}, spendingMayFail);
  ada = stage.person();
});
afterEach(() => stage.stop());

/** Everything works but marking a ticket as used. */
function spendingMayFail(store: Store): Store {
  return {
    ...store,
    records(kind) {
      const records = store.records(kind);
      if (kind.name !== "ticket") return records;
      return {
        ...records,
        add(...mark) {
          if (storeIsAway) throw new StoreUnavailable("away");
          return records.add(...mark);
        },
      };
    },
  };
}

const isRequest = (url: URL) => url.pathname === "/_runegate/handoff";
const isFinish = (url: URL) => url.pathname === "/_runegate/handoff/finish";

/** The URL that would finish `url`'s hand-off, for somebody who is signed in at home. */
async function ticketFor(url: string, person = ada): Promise<string> {
  if (person.cookie("app.test", SESSION) === undefined) await person.signIn(`${H}/`);
  return person.until(url, isFinish);
}

/** @returns the status of an answer that signs nobody in. */
async function refused(asked: Promise<Response>): Promise<number> {
  const response = await asked;
  expect(cookieHeader(response)).not.toContain(`${SESSION}=`);
  expect(response.headers.get("location")).toBeNull();
  return response.status;
}

async function isLetIn(person: Person, url: string): Promise<boolean> {
  return (await person.get(url)).status === 200;
}

/** Why hand-offs were refused, the last first. */
function reasons(): string[] {
  return stage
    .lines()
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter(({ event }) => event === "hand_off_refused")
    .map(({ reason }) => String(reason))
    .reverse();
}

test("an application on a further host does nothing by the management API with its visitor's session", async () => {
  const routes = `[groups]
admins = ["ada@example.org"]
${ROUTES.replace('name = "home"', 'name = "home"\n  api_keys = true')}`;
  await stage.restart(routes, { RUNEGATE_API_KEYS: "true" });
  await ada.signIn(`${B}/x`);
  const at = async (origin: string, path: string, body?: string) => {
    const headers = {
      Accept: "application/json",
      "Sec-Fetch-Mode": "cors",
      "Content-Type": "application/json",
    };
    const how = body === undefined ? {} : { method: "POST", body };
    return (await ada.get(`${origin}/_runegate/api${path}`, { headers, ...how })).status;
  };
  expect([await at(H, "/users"), await at(B, "/users")]).toEqual([200, 421]);
  // What is about their own sessions is for every application.
  expect([await at(H, "/sessions"), await at(B, "/sessions")]).toEqual([200, 200]);
  const everyone = "/sessions?everyone=true";
  expect([await at(H, everyone), await at(B, everyone)]).toEqual([200, 403]);
  expect([await at(H, "/me/tokens", "{}"), await at(B, "/me/tokens", "{}")]).toEqual([201, 421]);
  expect([await at(H, "/session"), await at(B, "/session")]).toEqual([200, 200]);
});

test("one sign-in opens every host, by three redirects each", async () => {
  expect((await ada.signIn(`${B}/x?y=z`)).url).toBe(`${B}/x?y=z`);
  expect(upstream.requests.at(-1)?.target).toBe("/x?y=z");
  const there = await ada.follow(`${C}/`);
  expect([there.response.status, there.url, there.hops.length]).toEqual([200, `${C}/`, 4]);
  expect(await isLetIn(ada, `${H}/`)).toBe(true);
  // One session, and nothing kept of the rest.
  expect((await stage.gateway().gateway.sessions.list()).length).toBe(1);
});

test("every host has a cookie of its own, which no other takes", async () => {
  await ada.signIn(`${B}/`);
  await ada.follow(`${C}/`);
  const cookieOf = (host: string) => ada.cookie(host, SESSION) ?? "";
  const [atB, atC] = [cookieOf("grafana.app.test"), cookieOf("other.example")];
  const [id] = atB.split(".");
  expect(atB).not.toBe(atC);
  const shown: [string, string, number][] = [
    [B, atB, 200],
    [C, atB, 302],
    [H, atB, 302],
    [B, atC, 302],
    [B, `${id}.${"A".repeat(43)}`, 302],
    [B, id ?? "", 302],
    [B, `${id}.`, 302],
  ];
  for (const [origin, cookie, status] of shown) {
    const response = await stage.person().get(`${origin}/`, { headers: { Cookie: `${SESSION}=${cookie}` } });
    expect([origin, cookie, response.status]).toEqual([origin, cookie, status]);
  }
});

test("what a program is told names the login page of the host that it asked", async () => {
  const response = await ada.get(`${B}/x`, { headers: { "Sec-Fetch-Mode": "cors" } });
  expect([response.status, (await response.json()) as unknown]).toEqual([
    401,
    expect.objectContaining({ error: "unauthenticated", login_url: `${B}/_runegate/login` }),
  ]);
  expect(response.headers.getSetCookie()).toEqual([]);
  expect(response.headers.get("www-authenticate")).toBe(`Runegate realm="${B}"`);
});

test("a form that is sent without a session leads to the landing path after signing in", async () => {
  const response = await ada.get(`${B}/x`, { method: "POST", body: "a=b" });
  expect(response.status).toBe(303);
  expect((await ada.signIn(response.headers.get("location") ?? "")).url).toBe(`${B}/`);
});

test("where the page first asked for is too long to be named, its host still is", async () => {
  const ends = [];
  for (const length of [1900, 1990, 2500]) {
    ends.push((await stage.person().signIn(`${B}/${"a".repeat(length)}`)).url.slice(0, B.length + 2));
  }
  expect(ends).toEqual([`${B}/a`, `${B}/`, `${B}/`]);
});

test("E1: a ticket for one host is refused by another, and not spent", async () => {
  const finish = await ticketFor(`${B}/x`);
  await ada.get(`${C}/`);
  expect(await refused(ada.get(finish.replace(B, C)))).toBe(401);
  expect(await refused(ada.get(finish.replace(B, H)))).toBe(401);
  expect(reasons()).toEqual(["token_wrong_audience"]);
  expect((await ada.follow(finish)).url).toBe(`${B}/x`);
});

test("E2: a ticket is good once, however many come at once", async () => {
  const [first, second] = [await ticketFor(`${B}/x`), await ticketFor(`${B}/x`)];
  const Cookie = `${BINDING}=${ada.cookie("grafana.app.test", BINDING)}`;
  const finish = (url: string) => ada.get(url, { headers: { Cookie }, keepsCookies: false });
  expect((await finish(first)).headers.get("location")).toBe("/x");
  expect(await refused(finish(first))).toBe(401);
  expect(reasons()).toEqual(["spent"]);
  const all = await Promise.all(Array.from({ length: 1000 }, () => finish(second)));
  expect(all.filter((response) => cookieHeader(response).includes(`${SESSION}=`)).length).toBe(1);
}, 60_000);

test("E3: another browser gets a page and does not spend the ticket", async () => {
  const finish = await ticketFor(`${B}/x`);
  const other = stage.person();
  expect(await refused(other.get(finish))).toBe(401);
  await other.get(`${B}/`);
  const page = await other.get(finish);
  expect([page.status, page.headers.get("location")]).toEqual([401, null]);
  expect(await page.text()).toContain('<a class="button" href="/">Try again</a>');
  expect(reasons()).toEqual(["wrong_binding", "no_binding"]);
  expect((await ada.follow(finish)).url).toBe(`${B}/x`);
});

test("E4: whoever is sent somebody else's request is not signed in, and signs nobody in", async () => {
  const attacker = stage.person();
  const request = await attacker.until(`${B}/x`, isRequest);
  const finish = await ticketFor(request);
  expect(await refused(ada.get(finish))).toBe(401);
  expect(await isLetIn(ada, `${B}/x`)).toBe(false);
  expect(await isLetIn(attacker, `${B}/x`)).toBe(false);
});

test("E5: whoever is sent somebody else's ticket does not become them", async () => {
  const attacker = stage.person();
  await attacker.signIn(`${H}/`, "eve@example.org");
  const finish = await attacker.until(`${B}/x`, isFinish);
  expect(await refused(ada.get(finish))).toBe(401);
  expect(await isLetIn(ada, `${B}/x`)).toBe(false);
  const line = (await ada.get(`${B}/x`)).headers.getSetCookie().find((one) => one.startsWith(BINDING));
  expect(line).toMatch(
    /^__Host-runegate_bind=[\w-]{22}; Path=\/; HttpOnly; SameSite=Lax; Max-Age=600; Secure$/,
  );
});

describe("E6: nothing else passes for a request or a ticket", () => {
  const grant = () => ({
    jti: "j",
    issuedAt: stage.clock.now(),
    expiresAt: stage.clock.now() + 60_000,
  });
  const asked: HandOffRequest = { app: B, bind: "b", next: "/", again: false };
  const encode = (json: object) => Buffer.from(JSON.stringify(json)).toString("base64url");
  const requests: [what: string, token: () => string, reason: string][] = [
    [
      "with another app",
      () => {
        const [head, claims = "", mac] = ticketsOf(H, stage.clock)
          .sign(HAND_OFF_REQUEST, { ...asked, ...grant() })
          .split(".");
        const edited = { ...JSON.parse(Buffer.from(claims, "base64url").toString()), sub: C };
        return `${head}.${encode(edited)}.${mac}`;
      },
      "token_wrong_signature",
    ],
    [
      "without a signature",
      () => {
        const claims = ticketsOf(H, stage.clock)
          .sign(HAND_OFF_REQUEST, { ...asked, ...grant() })
          .split(".")[1];
        return `${encode({ alg: "none", typ: HAND_OFF_REQUEST.typ })}.${claims}.`;
      },
      "token_wrong_algorithm",
    ],
    [
      "of another secret",
      () => ticketsOf(H, stage.clock, "2".repeat(64)).sign(HAND_OFF_REQUEST, { ...asked, ...grant() }),
      "token_wrong_signature",
    ],
    [
      "a login link",
      () =>
        ticketsOf(H, stage.clock).sign(LOGIN_LINK, {
          ...{ email: "ada@example.org" as never, next: "/", from: "", binding: "b" },
          ...grant(),
        }),
      // Its key is another, so that what it says of its kind does not even count.
      "token_wrong_signature",
    ],
    [
      "a hand-off ticket",
      () =>
        ticketsOf(H, stage.clock).sign(HAND_OFF, {
          ...{ email: "ada@example.org" as never, session: "s", bind: "b", next: "/" },
          ...grant(),
        }),
      "token_wrong_signature",
    ],
    ["nothing", () => "", "token_malformed"],
    ["much too much", () => "a.".repeat(5000), "token_malformed"],
  ];
  test.each(requests)("as a request: %s", async (_, token, reason) => {
    await ada.signIn(`${H}/`);
    expect(await refused(ada.get(`${H}/_runegate/handoff?request=${token()}`))).toBe(401);
    expect(reasons()).toEqual([reason]);
  });

  test("as a ticket: a request", async () => {
    await ada.get(`${B}/`);
    const token = ticketsOf(B, stage.clock).sign(HAND_OFF_REQUEST, { ...asked, ...grant() });
    expect(await refused(ada.get(`${B}/_runegate/handoff/finish?ticket=${token}`))).toBe(401);
    expect(reasons()).toEqual(["token_wrong_signature"]);
  });

  test("as a login link: a ticket and a request", async () => {
    const finish = new URL(await ticketFor(`${B}/`)).searchParams.get("ticket");
    const request = new URL(await stage.person().until(`${B}/`, isRequest)).searchParams.get("request");
    for (const token of [finish, request]) {
      expect(await refused(stage.person().get(`${H}/_runegate/auth?token=${token}`))).toBe(401);
    }
  });

  test("a request is no answer to a host, nor a ticket to the host where people sign in", async () => {
    const request = await ada.until(`${B}/`, isRequest);
    expect(await refused(ada.get(request.replace(H, B)))).toBe(401);
  });
});

test("E7: after 60 seconds a ticket is refused", async () => {
  const [first, second] = [await ticketFor(`${B}/a`), await ticketFor(`${B}/b`)];
  stage.clock.advance(59_999);
  expect((await ada.follow(first)).url).toBe(`${B}/a`);
  ada.jar.get("grafana.app.test")?.delete(SESSION);
  stage.clock.advance(1);
  expect(await refused(ada.get(second))).toBe(401);
  expect(reasons()).toEqual(["token_expired"]);
});

test("E8: a host of no application gets no request", async () => {
  const response = await ada.get("https://evil.example/x");
  expect([response.status, response.headers.get("location"), response.headers.getSetCookie()]).toEqual([
    421,
    null,
    [],
  ]);
});

describe("E9: a request never leads elsewhere, whoever signed it", () => {
  test.each(["//evil.example", "https://evil.example", "/\\evil.example", "/_runegate/logout", "", `${C}/`])(
    "%j",
    async (next) => {
      await stage.restart(ROUTES, {
        RUNEGATE_JWT_SECRET: "3".repeat(64),
        RUNEGATE_JWT_SECRET_PREVIOUS: JWT_SECRET,
      });
      await ada.signIn(`${H}/`);
      const claims = decodeJwt(
        new URL(await ada.until(`${B}/`, isRequest)).searchParams.get("request") ?? "",
      );
      const now = stage.clock.now();
      const request = ticketsOf(H, stage.clock).sign(HAND_OFF_REQUEST, {
        ...{ app: B, bind: String(claims.bind), next, again: false },
        ...{ jti: "j", issuedAt: now, expiresAt: now + 60_000 },
      });
      const end = await ada.follow(`${H}/_runegate/handoff?request=${request}`);
      expect([end.url, end.response.status]).toEqual([`${B}/`, 200]);
    },
  );
});

test("E10: a session that has ended since opens nothing", async () => {
  const finish = await ticketFor(`${B}/`);
  await stage.gateway().gateway.sessions.endAll("ada@example.org" as never);
  expect(await refused(ada.get(finish))).toBe(401);
  expect(reasons()).toEqual(["ended"]);
});

test("E11: an address that may not any more is refused", async () => {
  const finish = await ticketFor(`${B}/`);
  await stage.restart(ROUTES.replace('public_paths = ["/public"]', 'allow = ["bob@example.org"]'));
  expect(await refused(ada.get(finish))).toBe(403);
  await stage.restart(ROUTES, {
    RUNEGATE_ALLOW_ANY_EMAIL: "false",
    RUNEGATE_ALLOWED_EMAILS: "bob@example.org",
  });
  expect(await refused(ada.get(finish))).toBe(401);
  expect(reasons()).toEqual(["ended", "not_allowed"]);
});

test("who may not use the application gets a page where they are signed in, and no ticket", async () => {
  await stage.restart(ROUTES.replace('public_paths = ["/public"]', 'allow = ["bob@example.org"]'));
  await ada.signIn(`${H}/`);
  const end = await ada.follow(`${B}/x`);
  expect([new URL(end.url).origin, end.response.status]).toEqual([H, 403]);
});

test("E12: a store that is away when the ticket is spent lets nobody in", async () => {
  const finish = await ticketFor(`${B}/`);
  storeIsAway = true;
  expect(await refused(ada.get(finish))).toBe(503);
  storeIsAway = false;
  expect((await ada.follow(finish)).url).toBe(`${B}/`);
});

test("E13: signing out on one host ends all, and what is under way on them", async () => {
  upstream.on("/endless", async ({ wire }) => {
    await wire.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
    await wire.ended;
  });
  await ada.signIn(`${H}/`);
  await ada.follow(`${B}/`);
  await ada.follow(`${C}/`);
  const streams = await Promise.all([H, C].map((origin) => ada.get(`${origin}/endless`)));
  const ends = streams.map((stream) => stream.text().catch(() => "broken off"));
  const out = await ada.get(`${B}/_runegate/logout`, { method: "POST", body: "" });
  expect(out.status).toBe(200);
  const began = performance.now();
  await Promise.all(ends);
  expect(performance.now() - began).toBeLessThan(5000);
  expect(ada.cookie("other.example", SESSION)).toBeDefined();
  for (const origin of [H, B, C]) expect(await isLetIn(ada, `${origin}/`)).toBe(false);
  // Dead, and gone from the browser when it next arrives.
  expect(ada.cookie("other.example", SESSION)).toBeUndefined();
});

describe("E14: what nobody decided on finishes nothing", () => {
  test.each<[what: string, visit: { method?: string; headers?: Record<string, string> }]>([
    ["a prefetch", { headers: { "Sec-Purpose": "prefetch" } }],
    ["a HEAD", { method: "HEAD" }],
    ["a frame", { headers: { "Sec-Fetch-Dest": "iframe" } }],
    ["a script", { headers: { "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty" } }],
  ])("%s", async (_, visit) => {
    const finish = await ticketFor(`${B}/x`);
    expect(await refused(ada.get(finish, visit))).toBe(400);
    const request = await ada.until(`${C}/`, isRequest);
    expect(await refused(ada.get(request, visit))).toBe(400);
    expect((await ada.follow(finish)).url).toBe(`${B}/x`);
  });
});

test("E15: no answer on the way lets its URL be told, and none is kept or shared with an opener", async () => {
  await ada.signIn(`${H}/`);
  let [url, hops] = [`${B}/x`, 0];
  while (!url.startsWith(`${B}/x`) || hops === 0) {
    const response = await ada.get(url);
    expect(response.headers.get("referrer-policy")).toBe("no-referrer");
    expect(response.headers.get("cache-control")).toBe("no-store");
    expect(response.headers.get("cross-origin-opener-policy")).toBe("same-origin");
    url = new URL(response.headers.get("location") ?? "", url).href;
    hops++;
  }
  expect(hops).toBe(3);
  const failed = await ada.get(`${B}/_runegate/handoff/finish?ticket=x`);
  expect(failed.headers.get("referrer-policy")).toBe("no-referrer");
});

test("E16: no line of the log, at any level, has a ticket, a request or a cookie in it", async () => {
  const finish = await ticketFor(`${B}/x`);
  await stage.person().get(finish);
  await ada.follow(finish);
  await ada.get(finish.replace(B, C));
  await ada.get(`${H}/_runegate/handoff?request=${"eyJ"}`);
  const secrets = [...ada.jar.values()].flatMap((own) => [...own.values()]);
  expect(secrets.length).toBeGreaterThan(3);
  const log = stage.lines().join("\n");
  expect(log).toContain("/_runegate/handoff/finish");
  for (const secret of [...secrets, "eyJ"]) expect(log).not.toContain(secret);
});

test("E17: a browser that keeps no cookies ends at a page, and goes round in no circles", async () => {
  await ada.signIn(`${H}/`);
  const asked = await ada.get(`${B}/x`, { keepsCookies: false });
  const finish = await ada.until(asked.headers.get("location") ?? "", isFinish);
  const page = await ada.get(finish);
  expect([page.status, page.headers.get("location"), page.headers.get("refresh")]).toEqual([401, null, null]);
  expect(await page.text()).toContain("keeps no cookies");
});

test("E18: ten tabs at once have one binding cookie, and all get in", async () => {
  await ada.signIn(`${H}/`);
  const urls = Array.from({ length: 10 }, (_, tab) => `${B}/tab-${tab}`);
  const finishes = await Promise.all(urls.map((url) => ada.until(url, isFinish)));
  expect([...(ada.jar.get("grafana.app.test")?.keys() ?? [])]).toEqual([BINDING]);
  const answers = [];
  for (const finish of finishes) answers.push(await ada.get(finish));
  // Each tab has asked before any had a cookie; the last one's is there, and the others look again by themselves.
  for (const [tab, answer] of answers.entries()) {
    if (answer.status !== 302) expect(answer.headers.get("refresh")).toBe("2");
    const looked = answer.status === 302 ? answer : await ada.get(finishes[tab] ?? "");
    expect([looked.status, looked.headers.get("location")]).toEqual([302, `/tab-${tab}`]);
    expect((await ada.follow(urls[tab] ?? "")).response.status).toBe(200);
  }
});

test("E18: tabs one after another share their binding cookie", async () => {
  await ada.signIn(`${H}/`);
  const finishes = [];
  for (const tab of [1, 2, 3]) finishes.push(await ada.until(`${B}/tab-${tab}`, isFinish));
  for (const finish of finishes.reverse()) {
    const answer = await ada.get(finish);
    expect([answer.status, answer.headers.get("location")]).toEqual([302, expect.stringContaining("/tab-")]);
  }
});

test("E19: a host that is gone from the configuration is handed nothing", async () => {
  await ada.signIn(`${H}/`);
  const request = await ada.until(`${C}/x`, isRequest);
  const finish = await ada.until(`${C}/x`, isFinish);
  await stage.restart(ROUTES.replace('host = "other.example"', 'host = "another.example"'));
  expect(await refused(ada.get(request))).toBe(401);
  expect(reasons()).toEqual(["unknown_host"]);
  expect(await refused(ada.get(finish))).toBe(421);
});

test("E20: keys may change at every step", async () => {
  const keys = (now: string, before: string) => ({
    RUNEGATE_JWT_SECRET: now.repeat(64),
    RUNEGATE_JWT_SECRET_PREVIOUS: before.repeat(64),
    RUNEGATE_SESSION_KEY: now.repeat(128),
    RUNEGATE_SESSION_KEY_PREVIOUS: before.repeat(128),
  });
  await ada.signIn(`${H}/`);
  const request = await ada.until(`${B}/x`, isRequest);
  await stage.restart(ROUTES, { ...keys("2", "9"), RUNEGATE_JWT_SECRET_PREVIOUS: JWT_SECRET });
  const finish = await ada.until(request, isFinish);
  await stage.restart(ROUTES, { ...keys("2", "9") });
  expect((await ada.follow(finish)).url).toBe(`${B}/x`);
  // The session's id is still that of the first key, and the cookie's keyed hash that of the second.
  expect(await isLetIn(ada, `${B}/x`)).toBe(true);
  await stage.restart(ROUTES, keys("9", "2"));
  expect(await isLetIn(ada, `${B}/x`)).toBe(true);
  // Without the first key, nothing is left of the session itself.
  await stage.restart(ROUTES, keys("3", "2"));
  expect(await isLetIn(ada, `${B}/x`)).toBe(false);
});

test("whoever is signed in cannot fill the store with tickets that were used", async () => {
  await ada.signIn(`${H}/`);
  for (let at = 0; at <= 100; at++) {
    ada.jar.get("grafana.app.test")?.delete(SESSION);
    const finish = await ada.until(`${B}/x`, isFinish);
    if (at < 100) expect((await ada.get(finish)).status).toBe(302);
    else expect(await refused(ada.get(finish))).toBe(429);
  }
});

test("a cookie that somebody has planted beside one's own ends at a page, not in circles", async () => {
  const eve = stage.person();
  await eve.signIn(`${B}/`, "eve@example.org");
  const planted = eve.cookie("grafana.app.test", SESSION);
  await ada.signIn(`${B}/`);
  // A neighboring host has set it for the whole domain; the jar here has one cookie of a name.
  const own = ada.jar.get("grafana.app.test");
  own?.set(` ${SESSION}`, planted ?? "");
  expect((await ada.get(`${B}/`)).status).toBe(302);
  const end = await ada.follow(`${B}/`);
  expect([end.response.status, reasons()]).toEqual([401, ["ambiguous"]]);
  expect(await end.response.text()).toContain("/_runegate/logout");
});
