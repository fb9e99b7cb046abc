import { afterEach, beforeEach, describe, expect, spyOn, test } from "bun:test";
import { SignJWT, UnsecuredJWT } from "jose";
import { createMemoryStore } from "../../src/store/memory.ts";
import { auditOf, NAVIGATION, sessionOf, whoAmI } from "../login/support.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { cookieHeader, startGateway, type TestGateway } from "../support/gateway.ts";
import { type Stoppable, stoppable } from "../support/store.ts";
import { startUpstream, type Upstream } from "../support/upstream.ts";
import { CLIENT_SECRET, comeBack, type StandIn, sendLogout, setOut, startStandIn } from "./stand-in.ts";

/** Signing in by OpenID Connect, against a provider that misbehaves. */

let upstream: Upstream;
let idp: StandIn;
let other: StandIn;
let clock: TestClock;
let gateway: TestGateway;

const NOBODY = { RUNEGATE_ALLOW_ANY_EMAIL: "false" };
const ADA = { ...NOBODY, RUNEGATE_ALLOWED_EMAILS: "ada@example.org" };

async function start(env: Readonly<Record<string, string>> = {}, routes = "", more = ""): Promise<void> {
  gateway = await startGateway({
    target: upstream.url,
    routes: `${routes}\n${idp.block("main", more)}${other.block("second")}`,
    clock,
    env: { RUNEGATE_LOG_FORMAT: "json", ...env },
  });
}

beforeEach(async () => {
  [upstream, idp, other] = await Promise.all([startUpstream(), startStandIn(), startStandIn()]);
  clock = testClock(Date.now());
});
afterEach(async () => {
  await gateway.stop();
  for (const one of [idp, other]) one.stop();
  upstream.stop();
});

/** All the way, with what the provider's answer is to differ in. */
async function signIn(more: Readonly<Record<string, string | undefined>> = {}, next = "") {
  const { location, cookie } = await setOut(gateway, "main", next);
  return comeBack(gateway, idp.authorize(location, more), cookie);
}

const refusals = () =>
  auditOf(gateway)
    .filter(({ event }) => event === "oidc_refused")
    .map(({ reason }) => reason);

async function isRefused(response: Response, status: number, reason: string): Promise<string> {
  expect(refusals()).toEqual([reason]);
  expect(response.status).toBe(status);
  expect(sessionOf(response)).toBeUndefined();
  expect(await gateway.gateway.sessions.list()).toEqual([]);
  const html = await response.text();
  expect(html).toContain('href="/_runegate/login');
  return html;
}

describe("whoever signs in with a provider", () => {
  test("is sent there with all that binds the answer, and is who it says", async () => {
    await start();
    const { response, location, cookie } = await setOut(gateway, "main", "/lab?a=1");
    expect(response.status).toBe(303);
    const { origin, pathname, searchParams } = new URL(location);
    expect(origin + pathname).toBe(`${idp.issuer}/authorize`);
    expect(Object.fromEntries(searchParams)).toEqual({
      response_type: "code",
      client_id: "runegate",
      redirect_uri: `${gateway.url}/_runegate/oidc/main/callback`,
      scope: "openid email",
      state: expect.stringMatching(/^[\w-]{43}$/),
      nonce: expect.stringMatching(/^[\w-]{43}$/),
      code_challenge: expect.stringMatching(/^[\w-]{43}$/),
      code_challenge_method: "S256",
    });
    const [line] = response.headers.getSetCookie();
    expect(line).toMatch(/^runegate_oidc=.*; Path=\/; HttpOnly; SameSite=Lax; Max-Age=600$/);
    const back = await comeBack(gateway, idp.authorize(location), cookie);
    expect(back.status).toBe(302);
    expect(back.headers.get("location")).toBe("/lab?a=1");
    expect(back.headers.get("referrer-policy")).toBe("no-referrer");
    expect(back.headers.getSetCookie()).toContainEqual(expect.stringMatching(/^runegate_oidc=;.*Max-Age=0/));
    expect(await whoAmI(gateway, sessionOf(back) ?? "")).toMatchObject({ email: "ada@example.org" });
    expect(auditOf(gateway)).toContainEqual(
      expect.objectContaining({ event: "redeemed", email: "ada@example.org", by: "oidc:main" }),
    );
  });

  test("finds the way beside the mail field, and nothing is loaded from elsewhere", async () => {
    await start({}, "", 'title = "Our & <Keycloak>"');
    const page = await fetch(`${gateway.url}/_runegate/login?next=%2Flab`, { headers: NAVIGATION });
    expect(await page.text()).toContain(
      'href="/_runegate/oidc/main?next=%2Flab">Continue with Our &#38; &#60;Keycloak&#62;</a>',
    );
    expect(page.headers.get("content-security-policy")).toContain("form-action 'self'");
    expect(idp.asked).toEqual([]);
  });

  test("is refused by a key that is on no curve, whose error would meet the next visitor", async () => {
    idp.metadata = { ...idp.metadata, id_token_signing_alg_values_supported: ["ES256"] };
    await start();
    const bad = { kty: "EC", crv: "P-256", kid: "bad", alg: "ES256", use: "sig", x: "AA", y: "AA" };
    idp.answers.set("/keys", () => Response.json({ keys: [bad] }));
    const good = idp.token;
    idp.token = async (claims) => {
      const parts = (await good(claims)).split(".");
      parts[0] = Buffer.from(JSON.stringify({ alg: "ES256", kid: "bad" })).toString("base64url");
      return parts.join(".");
    };
    await isRefused(await signIn(), 401, "bad_answer");
    expect(idp.asked).toContain("/keys");
    // What an import leaves behind is thrown by the next keyed hash.
    expect(() => new Bun.CryptoHasher("sha256", "key").update("text").digest()).not.toThrow();
  });

  test("has the canonical form of the address", async () => {
    await start(ADA);
    idp.claims = { email: "Ada@EXAMPLE.org", email_verified: true };
    expect(await whoAmI(gateway, sessionOf(await signIn()) ?? "")).toMatchObject({
      email: "ada@example.org",
    });
  });

  test("is known by the UserInfo endpoint where the ID token has no address", async () => {
    await start();
    idp.claims = {};
    idp.userInfo = { email: "grace@example.org", email_verified: true };
    expect(await whoAmI(gateway, sessionOf(await signIn()) ?? "")).toMatchObject({
      email: "grace@example.org",
    });
  });

  test("ends the session that the browser had before", async () => {
    await start();
    const before = sessionOf(await signIn()) ?? "";
    const { location, cookie } = await setOut(gateway, "main", "", { Cookie: before });
    expect(new URL(location).searchParams.get("prompt")).toBe("login");
    idp.claims = { ...idp.claims, auth_time: Math.floor(Date.now() / 1000) };
    const after = await comeBack(gateway, idp.authorize(location), `${before}; ${cookie}`);
    expect(after.status).toBe(302);
    expect((await whoAmI(gateway, before)).authenticated).toBeFalse();
    expect((await whoAmI(gateway, sessionOf(after) ?? "")).authenticated).toBeTrue();
  });

  test.each([
    ["no time", undefined],
    ["a time before", 600],
  ])("must sign in again there where it is asked again: %s → refused", async (_, ago) => {
    await start();
    const before = sessionOf(await signIn()) ?? "";
    const { location, cookie } = await setOut(gateway, "main", "", { Cookie: before });
    expect(new URL(location).searchParams.get("max_age")).toBe("0");
    idp.claims = { ...idp.claims, ...(ago && { auth_time: Math.floor(Date.now() / 1000) - ago }) };
    const back = await comeBack(gateway, idp.authorize(location), `${before}; ${cookie}`);
    expect(back.status).toBe(401);
    expect(refusals()).toEqual(["not_again"]);
    expect(sessionOf(back)).toBeUndefined();
  });

  test.each([
    ["without a word of when", undefined, 302],
    ["for longer than the application allows", 7200, 302],
    ["for less than that", 600, 200],
  ])("and is known there from before, %s: an application with a max_age", async (_, ago, status) => {
    await start(
      {},
      `[[routes]]\nname = "lab"\npath = "/lab"\nmax_age = "1h"\ntarget = "${upstream.url}"\nallow = ["anyone"]`,
    );
    idp.claims = { ...idp.claims, ...(ago && { auth_time: Math.floor(clock.now() / 1000) - ago }) };
    const cookie = sessionOf(await signIn()) ?? "";
    const open = () =>
      fetch(`${gateway.url}/lab`, { redirect: "manual", headers: { ...NAVIGATION, Cookie: cookie } });
    expect((await open()).status).toBe(status);
    expect(await whoAmI(gateway, cookie)).toMatchObject({ email: "ada@example.org", authenticated: true });
    clock.advance(3000 * 1000);
    expect((await open()).status).toBe(302);
  });

  test("must sign in there anew for an application with a max_age", async () => {
    await start(
      { RUNEGATE_BASE_URL: "http://app.test" },
      `[[routes]]\nname = "lab"\npath = "/lab"\nmax_age = "1h"\ntarget = "${upstream.url}"\nallow = ["anyone"]`,
    );
    const home = { Host: "app.test" };
    expect(new URL((await setOut(gateway, "main", "/lab", home)).location).searchParams.get("prompt")).toBe(
      "login",
    );
    expect(
      new URL((await setOut(gateway, "main", "", home)).location).searchParams.has("prompt"),
    ).toBeFalse();
  });
});

describe("S12: nobody is signed in by", () => {
  beforeEach(() => start(ADA));

  test("the state of another browser", async () => {
    const theirs = await setOut(gateway, "main");
    const mine = await setOut(gateway, "main");
    await isRefused(await comeBack(gateway, idp.authorize(theirs.location), mine.cookie), 401, "wrong_state");
    expect(idp.asked).not.toContain("/token");
  });
  test("a browser that was never sent", async () => {
    const { location } = await setOut(gateway, "main");
    await isRefused(await comeBack(gateway, idp.authorize(location), ""), 401, "no_cookie");
  });
  test("a cookie that we did not sign", async () => {
    const { location, cookie } = await setOut(gateway, "main");
    await isRefused(
      await comeBack(gateway, idp.authorize(location), `${cookie.slice(0, -4)}AAAA`),
      401,
      "token_wrong_signature",
    );
  });
  test("a cookie that is older than ten minutes", async () => {
    const { location, cookie } = await setOut(gateway, "main");
    clock.advance(600_000);
    await isRefused(await comeBack(gateway, idp.authorize(location), cookie), 401, "token_expired");
  });
  test("two states", async () => {
    const { location, cookie } = await setOut(gateway, "main");
    await isRefused(
      await comeBack(gateway, `${idp.authorize(location)}&state=x`, cookie),
      401,
      "wrong_state",
    );
  });

  test("the same callback a second time", async () => {
    const { location, cookie } = await setOut(gateway, "main");
    const callback = idp.authorize(location);
    expect((await comeBack(gateway, callback, cookie)).status).toBe(302);
    const again = await comeBack(gateway, callback, cookie);
    expect(again.status).toBe(401);
    expect(sessionOf(again)).toBeUndefined();
    expect(refusals()).toEqual(["spent"]);
    expect(await gateway.gateway.sessions.list()).toHaveLength(1);
  });
  test("a code that was used, in another sign-in", async () => {
    const first = await setOut(gateway, "main");
    const callback = idp.authorize(first.location);
    await comeBack(gateway, callback, first.cookie);
    const second = await setOut(gateway, "main");
    const stolen = idp.authorize(second.location, { code: new URL(callback).searchParams.get("code") ?? "" });
    expect((await comeBack(gateway, stolen, second.cookie)).status).toBe(401);
    expect(refusals()).toEqual(["bad_answer"]);
  });
  test("a code that somebody else's sign-in got", async () => {
    const theirs = await setOut(gateway, "main");
    const mine = await setOut(gateway, "main");
    const code = new URL(idp.authorize(theirs.location)).searchParams.get("code") ?? "";
    await isRefused(
      await comeBack(gateway, idp.authorize(mine.location, { code }), mine.cookie),
      401,
      "bad_answer",
    );
  });

  test("the answer of one provider at the callback of another", async () => {
    const { location, cookie } = await setOut(gateway, "main");
    const callback = idp.authorize(location).replace("/main/", "/second/");
    await isRefused(await comeBack(gateway, callback, cookie), 401, "other_provider");
    expect(other.asked).toEqual([]);
  });
  test.each([
    ["missing, where the provider says that it sends it", undefined],
    ["that of another provider", "http://127.0.0.1:1"],
    ["the same but for a slash", "slash"],
  ])("an answer whose iss is %s", async (_, iss) => {
    const response = await signIn({ iss: iss === "slash" ? `${idp.issuer}/` : iss });
    await isRefused(response, 401, "bad_answer");
    expect(idp.asked).not.toContain("/token");
  });
  test("an ID token of another issuer", async () => {
    idp.claims = { ...idp.claims, iss: other.issuer };
    await isRefused(await signIn(), 401, "bad_answer");
  });

  test.each([
    ["false", { email_verified: false }, "email_unverified"],
    ["a text", { email_verified: "true" }, "email_unverified"],
    ["left out", { email_verified: undefined }, "email_unverified"],
    ["no address", { email: undefined }, "email_missing"],
    ["no address as text", { email: ["ada@example.org"] }, "email_missing"],
    ["none that is one", { email: "ada" }, "email_malformed"],
  ])("an address that is not verified: %s", async (_, claims, reason) => {
    idp.claims = { ...idp.claims, ...claims };
    await isRefused(await signIn(), 403, reason);
  });
  test("an address of the UserInfo endpoint that the ID token calls verified", async () => {
    idp.claims = { email_verified: true };
    idp.userInfo = { email: "ada@example.org" };
    await isRefused(await signIn(), 403, "email_unverified");
  });
  test("UserInfo of somebody else", async () => {
    idp.claims = {};
    idp.userInfo = { sub: "user-2", email: "ada@example.org", email_verified: true };
    await isRefused(await signIn(), 401, "bad_answer");
  });
  test("an address that may not sign in", async () => {
    idp.claims = { email: "eve@evil.example", email_verified: true };
    await isRefused(await signIn(), 403, "not_allowed");
  });
  test("an address that is on hold", async () => {
    await gateway.gateway.sessions.holds.put("ada@example.org" as never);
    const response = await signIn();
    expect(response.status).toBe(403);
    expect(refusals()).toEqual(["on_hold"]);
    expect(sessionOf(response)).toBeUndefined();
  });

  test.each([
    ["of another sign-in", { nonce: "x" }],
    ["left out", { nonce: undefined }],
    ["for another client", { aud: "other" }],
    ["for several, and authorized for another", { aud: ["runegate", "other"], azp: "other" }],
    ["that has expired", { exp: Math.floor(Date.now() / 1000) - 120 }],
    ["without an end", { exp: undefined }],
    ["without a subject", { sub: undefined }],
    ["that is not yet good", { nbf: Math.floor(Date.now() / 1000) + 600 }],
  ])("an ID token with a nonce or claims that are not its: %s", async (_, claims) => {
    idp.claims = { ...idp.claims, ...claims };
    await isRefused(await signIn(), 401, "bad_answer");
  });
  test.each([
    ["none", (claims: Record<string, unknown>) => new UnsecuredJWT(claims).encode()],
    [
      "HS256 with the client's secret",
      (claims: Record<string, unknown>) =>
        new SignJWT(claims)
          .setProtectedHeader({ alg: "HS256" })
          .sign(new TextEncoder().encode(CLIENT_SECRET)),
    ],
    ["RS256 with another provider's key", (claims: Record<string, unknown>) => other.sign(claims)],
  ])("an ID token signed by %s, whatever the provider announces", async (_, make) => {
    const now = Math.floor(Date.now() / 1000);
    idp.token = async (claims) =>
      make({ iss: idp.issuer, aud: "runegate", sub: "user-1", iat: now, exp: now + 60, ...claims });
    await isRefused(await signIn(), 401, "bad_answer");
  });
  test("no ID token at all", async () => {
    idp.answers.set("/token", () => Response.json({ access_token: "a", token_type: "Bearer" }));
    await isRefused(await signIn(), 401, "bad_answer");
  });

  test("a person who says no there", async () => {
    const html = await isRefused(
      await signIn({ code: undefined, error: "access_denied" }),
      401,
      "provider_refused",
    );
    expect(html).toContain("main did not sign you in");
  });
  test("an error that is a page of its own", async () => {
    const html = await isRefused(
      await signIn({ code: undefined, error: "<script>", error_description: "<b>pay here</b>" }),
      401,
      "provider_refused",
    );
    expect(html).not.toContain("pay here");
    expect(gateway.lines.join()).not.toContain("pay here");
  });
  test("a provider that is away from the beginning, which is asked again when it is back", async () => {
    idp.answers.set("/.well-known/openid-configuration", () => new Response("", { status: 502 }));
    const { response } = await setOut(gateway, "main", "/lab");
    const html = await isRefused(response, 503, "provider_away");
    expect(html).toContain("main does not answer at the moment");
    expect(html).toContain("/_runegate/login?next=%2Flab");
    idp.answers.clear();
    clock.advance(1_000);
    expect((await setOut(gateway, "main")).response.status).toBe(303);
  });
  test.each([
    ["answers 500", "/token", () => new Response("", { status: 500 }), 503, "provider_away"],
    ["answers without end", "/token", () => new Response("x".repeat(300_000)), 503, "provider_away"],
    ["is sent elsewhere", "/token", () => Response.redirect("/elsewhere", 307), 401, "bad_answer"],
    ["answers no JSON", "/token", () => new Response("<html>"), 401, "bad_answer"],
    ["has no keys", "/keys", () => new Response("", { status: 503 }), 503, "provider_away"],
    ["has no key of that name", "/keys", () => Response.json({ keys: [] }), 401, "bad_answer"],
  ])("a provider that %s at %s", async (_, path, answer, status, reason) => {
    idp.answers.set(path, answer);
    await isRefused(await signIn(), status, reason);
    expect(idp.asked).not.toContain("/elsewhere");
  });
  test.each([
    ["calls itself something else", { issuer: "http://127.0.0.1:1" }],
    ["has a slash more in its name", "slash"],
  ])("a provider that %s", async (_, change) => {
    idp.metadata = {
      ...idp.metadata,
      ...(change === "slash" ? { issuer: `${idp.issuer}/` } : (change as object)),
    };
    await isRefused((await setOut(gateway, "main")).response, 503, "provider_away");
  });
  test("a provider whose token endpoint is across the network without TLS", async () => {
    idp.metadata = { ...idp.metadata, token_endpoint: "http://192.0.2.1/token" };
    await isRefused(await signIn(), 503, "provider_away");
  });

  test.each([
    ["what a page fetches", { "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty" }],
    ["a frame", { "Sec-Fetch-Dest": "iframe" }],
    ["a prefetch", { "Sec-Purpose": "prefetch" }],
  ])("%s", async (_, headers) => {
    const { response } = await setOut(gateway, "main", "", headers);
    expect(response.status).toBe(400);
    expect(response.headers.getSetCookie()).toEqual([]);
    expect(idp.asked).toEqual([]);
  });
});

test("what a provider is asked ends after five seconds, and its redirects are not followed", async () => {
  const inits: RequestInit[] = [];
  using timeouts = spyOn(AbortSignal, "timeout");
  gateway = await startGateway({
    target: upstream.url,
    routes: idp.block("main"),
    fetch: (url, init) => {
      inits.push(init);
      return fetch(url, init);
    },
  });
  expect((await signIn()).status).toBe(302);
  expect(inits).toHaveLength(3);
  expect(timeouts.mock.calls).toEqual([[5_000], [5_000], [5_000]]);
  for (const { signal, redirect } of inits)
    expect([signal instanceof AbortSignal, redirect]).toEqual([true, "manual"]);
});

test("what a provider says of itself is kept for an hour, and for longer while it is away", async () => {
  await start();
  const discoveries = () => idp.asked.filter((path) => path.startsWith("/.well-known")).length;
  await setOut(gateway, "main");
  await setOut(gateway, "main");
  expect(discoveries()).toBe(1);
  clock.advance(3_600_000);
  await setOut(gateway, "main");
  expect(discoveries()).toBe(2);
  idp.answers.set("/.well-known/openid-configuration", () => new Response("", { status: 500 }));
  clock.advance(3_600_000);
  expect((await setOut(gateway, "main")).response.status).toBe(303);
  expect(discoveries()).toBe(3);
  clock.advance(25 * 3_600_000);
  expect((await setOut(gateway, "main")).response.status).toBe(503);
});

test("the limits of the login hold: five starts a minute, and ten callbacks", async () => {
  await start({ RUNEGATE_RATE_LIMIT_ENABLED: "true" });
  const starts = [];
  for (let i = 0; i < 6; i++) starts.push((await setOut(gateway, "main")).response.status);
  expect(starts).toEqual([303, 303, 303, 303, 303, 429]);
  const backs = [];
  for (let i = 0; i < 11; i++)
    backs.push((await comeBack(gateway, `${gateway.url}/_runegate/oidc/main/callback`, "")).status);
  expect(backs).toEqual([...Array(10).fill(401), 429]);
});

test("on a further host, people are sent to where they sign in, and end where they wanted to", async () => {
  await start(
    { RUNEGATE_BASE_URL: "http://auth.test" },
    ["auth", "app"]
      .map(
        (one) =>
          `[[routes]]\nname = "${one}"\nhost = "${one}.test"\ntarget = "${upstream.url}"\nallow = ["anyone"]\n`,
      )
      .join(""),
  );
  const elsewhere = await setOut(gateway, "main", "", { Host: "app.test" });
  expect(elsewhere.response.status).toBe(421);
  const { location, cookie } = await setOut(gateway, "main", "http://app.test/lab", { Host: "auth.test" });
  const back = await comeBack(gateway, idp.authorize(location), cookie, { Host: "auth.test" });
  expect(back.headers.get("location")).toBe("http://app.test/_runegate/login?next=%2Flab");
  expect(sessionOf(back)).toBeDefined();
});

describe("groups", () => {
  const ROUTES = () =>
    `[groups]\nstaff = []\nadmins = ["root@example.org"]\n[[routes]]\nname = "lab"\ntarget = "${upstream.url}"\nallow = ["group:staff"]`;
  const MAPPED = 'groups_claim = "roles.lab"\ngroups = { "Lab Staff" = "staff", "lab-admin" = "admins" }';
  const SITE = { ...NOBODY, RUNEGATE_BASE_URL: "http://app.test" };
  const HOME = { Host: "app.test" };

  async function enter(): Promise<Response> {
    const { location, cookie } = await setOut(gateway, "main", "/", HOME);
    return comeBack(gateway, idp.authorize(location), cookie, HOME);
  }
  async function groupsOf(session: string): Promise<unknown> {
    const response = await fetch(`${gateway.url}/page`, { headers: { ...HOME, Cookie: session } });
    await response.text();
    return [response.status, upstream.to("/page").at(-1)?.one("remote-groups") ?? null];
  }

  test("of the provider are groups here by the table, for as long as the session lasts", async () => {
    await start(SITE, ROUTES(), MAPPED);
    idp.claims = { ...idp.claims, roles: { lab: ["Lab Staff", "others", 7] } };
    const session = sessionOf(await enter()) ?? "";
    expect(await groupsOf(session)).toEqual([200, "staff"]);
    // Another sign-in, without: neither gets in nor changes the first.
    idp.claims = { email: "ada@example.org", email_verified: true };
    expect((await enter()).status).toBe(403);
    expect(await groupsOf(session)).toEqual([200, "staff"]);
  });
  test("come on top of those that configuration lists", async () => {
    await start(SITE, ROUTES(), MAPPED);
    idp.claims = { email: "root@example.org", email_verified: true, roles: { lab: ["Lab Staff"] } };
    expect(await groupsOf(sessionOf(await enter()) ?? "")).toEqual([200, "admins,staff"]);
  });
  test("of the same name as one here count for nothing unless the table has them", async () => {
    await start(SITE, ROUTES(), MAPPED);
    idp.claims = { ...idp.claims, roles: { lab: ["staff", "admins"] } };
    expect((await enter()).status).toBe(403);
  });
  test("in the store cannot be added to by whoever can write to it", async () => {
    await start({ ...SITE, ...ADA, RUNEGATE_BASE_URL: "http://app.test" }, ROUTES(), MAPPED);
    const session = sessionOf(await enter()) ?? "";
    expect((await groupsOf(session)) as unknown[]).toEqual([403, null]);
    const { SESSIONS } = await import("../../src/session/record.ts");
    const records = gateway.stores.records(SESSIONS);
    const [kept] = await records.find({ most: 1 });
    if (kept === undefined) throw new Error("no session");
    await records.replace(kept, { ...kept.record, groups: "staff" });
    const response = await fetch(`${gateway.url}/page`, {
      headers: { ...HOME, Cookie: session },
      redirect: "manual",
    });
    expect(response.status).toBe(401);
  });
});

describe("back-channel logout", () => {
  const session = async (claims: Readonly<Record<string, unknown>> = {}) => {
    idp.claims = { email: "ada@example.org", email_verified: true, ...claims };
    return sessionOf(await signIn()) ?? "";
  };
  const isIn = async (cookie: string) => (await whoAmI(gateway, cookie)).authenticated;
  beforeEach(() => start());

  test("of a session there ends what began in it, and nothing else", async () => {
    const [one, two, three] = [
      await session({ sid: "s1" }),
      await session({ sid: "s2" }),
      await session({ sub: "user-2", sid: "s3" }),
    ];
    const response = await sendLogout(gateway, "main", await idp.logoutToken({ sid: "s1" }));
    expect(response.status).toBe(200);
    expect(response.headers.get("cache-control")).toBe("no-store");
    expect([await isIn(one), await isIn(two), await isIn(three)]).toEqual([false, true, true]);
    expect(auditOf(gateway)).toContainEqual(
      expect.objectContaining({ event: "session_revoked", email: "ada@example.org", by: "oidc:main" }),
    );
  });
  test("of a subject ends all of theirs", async () => {
    const [one, two, three] = [
      await session({ sid: "s1" }),
      await session(),
      await session({ sub: "user-2" }),
    ];
    await sendLogout(gateway, "main", await idp.logoutToken());
    expect([await isIn(one), await isIn(two), await isIn(three)]).toEqual([false, false, true]);
  });
  test("of a session that the ID token did not name ends what may be it", async () => {
    const [one, two] = [await session(), await session({ sid: "s2" })];
    await sendLogout(gateway, "main", await idp.logoutToken({ sid: "s1" }));
    expect([await isIn(one), await isIn(two)]).toEqual([false, true]);
  });
  test("of one provider ends nothing that began with another", async () => {
    const one = await session();
    expect((await sendLogout(gateway, "second", await other.logoutToken())).status).toBe(200);
    expect(await isIn(one)).toBeTrue();
  });
  test("the same token a second time is refused, and ends nothing that began since", async () => {
    const token = await idp.logoutToken();
    expect((await sendLogout(gateway, "main", token)).status).toBe(200);
    const later = await session();
    const again = await sendLogout(gateway, "main", token);
    expect([again.status, ((await again.json()) as { error: string }).error]).toEqual([
      400,
      "invalid_request",
    ]);
    expect(await isIn(later)).toBeTrue();
  });

  const now = () => Math.floor(Date.now() / 1000);
  test.each([
    ["with a nonce", () => idp.logoutToken({ nonce: "n" })],
    ["without events", () => idp.logoutToken({ events: undefined })],
    ["with another event", () => idp.logoutToken({ events: { "http://example.org/other": {} } })],
    ["without a jti", () => idp.logoutToken({ jti: undefined })],
    ["without an iat", () => idp.logoutToken({ iat: undefined })],
    ["about nobody", () => idp.logoutToken({ sub: undefined })],
    ["for another client", () => idp.logoutToken({ aud: "other" })],
    ["of another issuer", () => idp.logoutToken({ iss: other.issuer })],
    ["that is old", () => idp.logoutToken({ iat: now() - 300, exp: now() + 60 })],
    ["that has expired", () => idp.logoutToken({ iat: now() - 100, exp: now() - 60 })],
    ["of another type", () => idp.logoutToken({}, { typ: "at+jwt" })],
    ["signed by somebody else", () => other.logoutToken({ iss: idp.issuer })],
    ["that is not signed", async () => new UnsecuredJWT({}).encode()],
    ["that is none", async () => "x"],
    ["that is an ID token", () => idp.token({ nonce: "n", email: "ada@example.org", jti: "j" })],
  ])("a token %s is refused and ends nothing", async (_, make) => {
    const one = await session();
    expect((await sendLogout(gateway, "main", await make())).status).toBe(400);
    expect(await isIn(one)).toBeTrue();
    expect(auditOf(gateway)).toContainEqual(expect.objectContaining({ event: "oidc_logout_refused" }));
  });
  test("a provider whose keys cannot be had is told so, and may send it again", async () => {
    const one = await session();
    idp.answers.set("/keys", () => new Response("", { status: 500 }));
    const token = await idp.logoutToken();
    expect((await sendLogout(gateway, "main", token)).status).toBe(503);
    idp.answers.clear();
    clock.advance(1_000);
    expect((await sendLogout(gateway, "main", token)).status).toBe(200);
    expect(await isIn(one)).toBeFalse();
  });
  test("no token at all is refused", async () => {
    const response = await fetch(`${gateway.url}/_runegate/oidc/main/backchannel-logout`, { method: "POST" });
    expect(response.status).toBe(415);
    expect((await sendLogout(gateway, "main", "")).status).toBe(400);
  });
});

describe("a store that is away", () => {
  async function startOn(store: Stoppable): Promise<void> {
    gateway = await startGateway({
      target: upstream.url,
      routes: idp.block("main"),
      clock,
      stores: store.store,
    });
  }
  test("for the note of which provider it was: nobody is signed in", async () => {
    const store = stoppable(createMemoryStore({ clock }), ({ of }) => of === "oidc_session");
    await startOn(store);
    const { location, cookie } = await setOut(gateway, "main");
    store.away = true;
    const back = await comeBack(gateway, idp.authorize(location), cookie);
    expect(back.status).toBe(503);
    expect(sessionOf(back)).toBeUndefined();
    expect(await gateway.gateway.sessions.list()).toEqual([]);
  });
  test("for whether a callback was used before: nobody is signed in, and the provider is not asked", async () => {
    const store = stoppable(createMemoryStore({ clock }), ({ of }) => of === "ticket");
    await startOn(store);
    const { location, cookie } = await setOut(gateway, "main");
    store.away = true;
    expect((await comeBack(gateway, idp.authorize(location), cookie)).status).toBe(503);
    expect(idp.asked).not.toContain("/token");
  });
  test("while sessions are ended: the logout token may be sent again", async () => {
    const store = stoppable(
      createMemoryStore({ clock }),
      ({ of, verb }) => of === "session" && verb === "take",
    );
    await startOn(store);
    const session = sessionOf(await signIn()) ?? "";
    const token = await idp.logoutToken();
    store.away = true;
    expect((await sendLogout(gateway, "main", token)).status).toBe(503);
    store.away = false;
    expect((await sendLogout(gateway, "main", token)).status).toBe(200);
    expect((await whoAmI(gateway, session)).authenticated).toBeFalse();
  });
  test("a logout token then is not answered as if it were done", async () => {
    const store = stoppable(createMemoryStore({ clock }));
    await startOn(store);
    const token = await idp.logoutToken();
    store.away = true;
    expect((await sendLogout(gateway, "main", token)).status).toBe(503);
    store.away = false;
    expect((await sendLogout(gateway, "main", token)).status).toBe(200);
  });
});

test("whatever a kind of ticket is good for, it is not good as another: a login's cookie as a provider's", async () => {
  await start();
  const asked = await fetch(`${gateway.url}/_runegate/login`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ email: "ada@example.org" }),
  });
  const login = cookieHeader(asked).replace("runegate_login", "runegate_oidc");
  const { location } = await setOut(gateway, "main");
  expect((await comeBack(gateway, idp.authorize(location), login)).status).toBe(401);
});
