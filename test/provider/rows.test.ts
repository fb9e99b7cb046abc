import { afterEach, describe, expect, test } from "bun:test";
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify, SignJWT } from "jose";
import type { Jar } from "../approval/support.ts";
import { auditOf } from "../login/support.ts";
import {
  ADA,
  AFTER,
  answerIn,
  authorizePath,
  basic,
  browserOf,
  CALLBACK,
  challengeOf,
  clientBlock,
  codeFor,
  type House,
  isActive,
  post,
  redeem,
  refresh,
  SECRET,
  type Sent,
  startProvider,
  tokensFor,
  unescaped,
  userinfo,
} from "./support.ts";

/** The provider against applications that make mistakes, and against those who mean harm. */

let house: House;
let ada: Jar;
afterEach(() => house.gateway.stop());

const BOB_APP = clientBlock("bob-app", "", "the secret of another application");
const bobBasic = () => basic("bob-app", "the secret of another application");

async function start(clientsToml?: string, env: Record<string, string> = {}): Promise<void> {
  house = await startProvider({ ...(clientsToml === undefined ? {} : { clientsToml }), env });
  ada = await browserOf(house);
}

const heading = (html: string) => /<h1[^>]*>(.*?)<\/h1>/s.exec(html)?.[1];
const reasons = (event: string) =>
  auditOf(house.gateway)
    .filter((line) => line.event === event)
    .map(({ reason, outcome }) => reason ?? outcome);

async function isOnOurPage(response: Response, error: string): Promise<void> {
  expect([response.status, response.headers.get("location")]).toEqual([400, null]);
  expect(heading(await response.text())).toBe("This sign-in cannot go on");
  expect(reasons("client_refused")).toContain(error);
}

async function isDead(tokens: Record<string, string>): Promise<void> {
  expect((await userinfo(house, tokens.access_token)).status).toBe(401);
  expect(await isActive(house, tokens.access_token)).toBe(false);
  expect((await refresh(house, tokens.refresh_token)).body.error).toBe("invalid_grant");
}

describe("codes and refresh tokens", () => {
  test("a code twice: the second gets nothing, and all tokens of the first are dead", async () => {
    await start();
    const code = await codeFor(ada);
    const tokens = (await redeem(house, code)).body;
    expect((await userinfo(house, tokens.access_token)).status).toBe(200);
    const again = await redeem(house, code);
    expect([again.status, again.body.error]).toEqual([400, "invalid_grant"]);
    await isDead(tokens);
    expect(reasons("client_token_reused")).toEqual(["code"]);
  });

  test("a thousand at once with one code: at most one gets tokens, and those are dead afterwards", async () => {
    await start();
    const code = await codeFor(ada);
    const answers = await Promise.all(Array.from({ length: 1000 }, () => redeem(house, code)));
    const good = answers.filter(({ status }) => status === 200);
    expect(good.length).toBeLessThanOrEqual(1);
    expect(answers.filter(({ body }) => body.error === "invalid_grant").length).toBe(1000 - good.length);
    for (const { body } of good) await isDead(body);
  }, 30_000);

  test("a code that nobody used in a minute is good no more", async () => {
    await start();
    const code = await codeFor(ada);
    house.clock.advance(60_000);
    expect((await redeem(house, code)).body.error).toBe("invalid_grant");
  });

  test("a refresh token gives the next one; the one before ends the family, at once too", async () => {
    await start();
    const first = await tokensFor(house, ada);
    const second = await refresh(house, first.refresh_token);
    expect(second.status).toBe(200);
    expect(second.body.refresh_token).not.toBe(first.refresh_token);
    expect(decodeJwt(second.body.id_token ?? "")).not.toHaveProperty("nonce");
    expect((await refresh(house, first.refresh_token)).body.error).toBe("invalid_grant");
    await isDead(second.body);
    expect(reasons("client_token_reused")).toEqual(["refresh_token"]);
  });

  test("a hundred at once with one refresh token: one at most, and the family is dead", async () => {
    await start();
    const { refresh_token: token } = await tokensFor(house, ada);
    const answers = await Promise.all(Array.from({ length: 100 }, () => refresh(house, token)));
    const good = answers.filter(({ status }) => status === 200);
    expect(good.length).toBeLessThanOrEqual(1);
    for (const { body } of good) await isDead(body);
  });

  test("a refresh token that is not used runs out, and using it begins its time anew", async () => {
    await start(clientBlock("app", 'refresh_ttl = "1h"'));
    let tokens = await tokensFor(house, ada);
    for (let hours = 0; hours < 3; hours++) {
      house.clock.advance(59 * 60_000);
      tokens = (await refresh(house, tokens.refresh_token)).body;
    }
    house.clock.advance(60 * 60_000);
    expect((await refresh(house, tokens.refresh_token)).body.error).toBe("invalid_grant");
  });

  test.each([
    ["one that was changed", (token: string) => `${token.slice(0, -1)}${token.endsWith("A") ? "B" : "A"}`],
    ["one of a turn to come", (token: string) => token.replace(/\.0\./, ".1.")],
    ["an access token's family with a guess", (token: string) => token.replace(/[^.]+$/, "x".repeat(43))],
    ["nothing of ours", () => "abc"],
  ])("as a refresh token, %s is worth nothing and kills nothing", async (_, change) => {
    await start();
    const tokens = await tokensFor(house, ada);
    expect((await refresh(house, change(tokens.refresh_token ?? ""))).body.error).toBe("invalid_grant");
    expect((await refresh(house, tokens.refresh_token)).status).toBe(200);
  });

  test("a refresh may ask for less, for all that was asked before, known or not, and not for more", async () => {
    await start();
    const tokens = await tokensFor(house, ada, { scope: "openid email strange" });
    const all = await refresh(house, tokens.refresh_token, { scope: "openid email strange" });
    expect([all.status, all.body.scope]).toEqual([200, "openid email"]);
    const less = await refresh(house, all.body.refresh_token, { scope: "openid" });
    expect(decodeJwt(less.body.id_token ?? "")).not.toHaveProperty("email");
    expect((await refresh(house, less.body.refresh_token, { scope: "openid groups" })).body.error).toBe(
      "invalid_scope",
    );
  });

  test("a code of one client is worth nothing to another, and stays good for its own", async () => {
    await start(clientBlock() + BOB_APP);
    const code = await codeFor(ada);
    expect((await redeem(house, code, {}, bobBasic())).body.error).toBe("invalid_grant");
    expect((await redeem(house, code)).status).toBe(200);
  });

  test("a refresh token of one client is worth nothing to another, nor can it end it", async () => {
    await start(clientBlock() + BOB_APP);
    const { refresh_token: token } = await tokensFor(house, ada);
    expect((await refresh(house, token, {}, bobBasic())).body.error).toBe("invalid_grant");
    expect((await post(house, "revoke", { token }, bobBasic())).status).toBe(200);
    expect((await refresh(house, token)).status).toBe(200);
  });

  test("introspection of another client's token says that it is not active", async () => {
    await start(clientBlock() + BOB_APP);
    const tokens = await tokensFor(house, ada);
    for (const token of [tokens.access_token, tokens.refresh_token]) {
      const { body } = await post(house, "introspect", { token }, bobBasic());
      expect(body).toEqual({ active: false } as never);
      expect((await post(house, "introspect", { token })).body).toMatchObject({
        ...{ active: true, client_id: "app", username: ADA, scope: "openid email profile groups" },
      } as never);
    }
  });

  test("revoking either token ends both", async () => {
    await start();
    for (const kind of ["access_token", "refresh_token"] as const) {
      const tokens = await tokensFor(house, ada);
      expect((await post(house, "revoke", { token: tokens[kind] })).status).toBe(200);
      await isDead(tokens);
    }
  });
});

describe("addresses to come back to, each refused on our page:", () => {
  test.each([
    ["a prefix of one", "https://app.example.org/call"],
    ["one with more behind it", `${CALLBACK}/more`],
    ["one in other case", "https://app.example.org/Callback"],
    ["its host in other case", "https://APP.example.org/callback"],
    ["one with a query", `${CALLBACK}?x=1`],
    ["another query than its own", "https://app.example.org/other?x=2"],
    ["its default port", "https://app.example.org:443/callback"],
    ["another port", "https://app.example.org:444/callback"],
    ["a fragment", `${CALLBACK}#x`],
    ["dots", "https://app.example.org/x/../callback"],
    ["encoded slashes", "https://app.example.org%2fcallback"],
    ["an encoded letter", "https://app.example.org/callbac%6b"],
    ["somebody's name in front", "https://app.example.org@evil.example/callback"],
    ["another scheme", "http://app.example.org/callback"],
    ["a loopback alias", "http://localhost/callback"],
    ["a blank behind it", `${CALLBACK} `],
    ["none", undefined],
  ])("%s", async (_, redirect_uri) => {
    await start();
    await isOnOurPage(await ada.get(authorizePath({ redirect_uri })), "wrong_redirect_uri");
  });

  test("another loopback name, and another port there", async () => {
    await start(clientBlock().replace(CALLBACK, "http://127.0.0.1:9000/callback"));
    for (const redirect_uri of ["http://localhost:9000/callback", "http://127.0.0.1:9001/callback"])
      await isOnOurPage(await ada.get(authorizePath({ redirect_uri })), "wrong_redirect_uri");
  });

  test("an unknown client", async () => {
    await start();
    await isOnOurPage(await ada.get(authorizePath({ client_id: "nobody" })), "unknown_client");
  });

  test("two of them, or two clients", async () => {
    await start();
    for (const twice of [`&redirect_uri=${CALLBACK}`, "&client_id=app"])
      await isOnOurPage(await ada.get(authorizePath() + twice), "twice");
  });

  test("at the token endpoint it must be the very same", async () => {
    await start();
    const code = await codeFor(ada);
    const other = { redirect_uri: "https://app.example.org/other?x=1" };
    expect((await redeem(house, code, other)).body.error).toBe("invalid_grant");
  });

  test("the answer is put behind a query that is registered", async () => {
    await start();
    const redirect_uri = "https://app.example.org/other?x=1";
    const answer = answerIn(await ada.get(authorizePath({ redirect_uri })), "https://app.example.org/other");
    expect([answer.get("x"), answer.get("state")]).toEqual(["1", "the state"]);
  });
});

describe("told to the application by way of the browser:", () => {
  test.each([
    ["a parameter twice", "invalid_request", {}, "&scope=openid"],
    ["no response_type", "invalid_request", { response_type: undefined }, ""],
    ["the implicit flow", "unsupported_response_type", { response_type: "id_token token" }, ""],
    ["a hybrid flow", "unsupported_response_type", { response_type: "code id_token" }, ""],
    ["no openid", "invalid_scope", { scope: "email" }, ""],
    ["no scope", "invalid_scope", { scope: undefined }, ""],
    ["a request object", "request_not_supported", { request: "e30.e30." }, ""],
    ["a request object elsewhere", "request_uri_not_supported", { request_uri: "https://x.example/r" }, ""],
    ["a registration", "registration_not_supported", { registration: "{}" }, ""],
    ["PKCE in the clear", "invalid_request", { code_challenge_method: "plain" }, ""],
    ["a challenge without a method", "invalid_request", { code_challenge_method: undefined }, ""],
    ["a challenge that is none", "invalid_request", { code_challenge: "abc" }, ""],
    ["a method without a challenge", "invalid_request", { code_challenge: undefined }, ""],
    ["none with login", "invalid_request", { prompt: "none login" }, ""],
    ["a max_age that is none", "invalid_request", { max_age: "-1" }, ""],
    ["a fragment as response mode", "invalid_request", { response_mode: "fragment" }, ""],
    ["a hint that is no token", "invalid_request", { id_token_hint: "a.b.c" }, ""],
  ])("%s: %s", async (_, error, sent: Sent, more) => {
    await start();
    const answer = answerIn(await ada.get(authorizePath(sent) + more));
    expect(Object.fromEntries(answer)).toMatchObject({ error, state: "the state", iss: house.issuer });
    expect(answer.has("code")).toBe(false);
  });

  test("a state that is there twice is not sent back", async () => {
    await start();
    const answer = answerIn(await ada.get(`${authorizePath()}&state=other`));
    expect([answer.get("error"), answer.get("state")]).toEqual(["invalid_request", null]);
  });

  test("what nobody knows is ignored", async () => {
    await start();
    await codeFor(ada, { approval_prompt: "force", scope: "openid strange" });
  });
});

describe("PKCE", () => {
  test.each([
    ["the verifier missing", { code_verifier: undefined }],
    ["another verifier", { code_verifier: "b".repeat(43) }],
    ["the challenge as verifier", { code_verifier: challengeOf("x") }],
    ["a short verifier", { code_verifier: "short" }],
  ])("with a challenge and %s: refused", async (_, sent: Sent) => {
    await start();
    expect((await redeem(house, await codeFor(ada), sent)).body.error).toBe("invalid_grant");
  });

  test("a verifier where there was no challenge: refused", async () => {
    await start();
    const code = await codeFor(ada, { code_challenge: undefined, code_challenge_method: undefined });
    expect((await redeem(house, code)).body.error).toBe("invalid_grant");
  });

  test("without a secret it is required, and is enough", async () => {
    await start(clientBlock("app", "", false));
    const none = { code_challenge: undefined, code_challenge_method: undefined };
    expect(answerIn(await ada.get(authorizePath(none))).get("error")).toBe("invalid_request");
    const code = await codeFor(ada);
    expect((await redeem(house, code, { client_id: "app" }, {})).status).toBe(200);
  });
});

describe("who signs in", () => {
  test("nobody yet: to the login page, and back to the very same request", async () => {
    await start();
    const sent = await house.browser.get(authorizePath({ login_hint: "grace@example.org" }));
    expect(sent.status).toBe(302);
    const login = sent.headers.get("location") ?? "";
    expect(login).toStartWith("/_runegate/login?next=%2F_runegate%2Foidc%2Fauthorize");
    expect(await (await house.browser.get(login)).text()).toContain('value="grace@example.org"');
    const next = new URLSearchParams(login.split("?")[1]).get("next") ?? "";
    expect(answerIn(await ada.get(next)).get("code")).not.toBeNull();
  });

  test("prompt=none without a session: login_required", async () => {
    await start();
    const answer = answerIn(await house.browser.get(authorizePath({ prompt: "none" })));
    expect(Object.fromEntries(answer)).toMatchObject({ error: "login_required", iss: house.issuer });
  });

  test("signed in longer ago than max_age: again, and then it goes on", async () => {
    await start();
    house.clock.advance(61_000);
    expect(answerIn(await ada.get(authorizePath({ max_age: "60", prompt: "none" }))).get("error")).toBe(
      "login_required",
    );
    const login = (await ada.get(authorizePath({ max_age: "60" }))).headers.get("location") ?? "";
    expect(login).toEndWith("&again=1");
    const next = new URLSearchParams(login.split("?")[1]).get("next") ?? "";
    // Whoever comes back without having done so is sent there once more.
    expect((await ada.get(next)).headers.get("location")).toEndWith("&again=1");
    house.clock.advance(1000);
    const fresh = await browserOf(house);
    house.clock.advance(70_000);
    const tokens = await redeem(house, answerIn(await fresh.get(next)).get("code") ?? "");
    expect(decodeJwt(tokens.body.id_token ?? "").auth_time).toBe((house.clock.now() - 70_000) / 1000);
  });

  test("off the list between code and token: refused", async () => {
    await start(undefined, {
      RUNEGATE_DYNAMIC_USERS: "true",
      RUNEGATE_ADMINS: "root@example.org",
      RUNEGATE_ALLOW_ANY_EMAIL: "false",
      RUNEGATE_ALLOWED_EMAILS: "ada@example.org",
    });
    const code = await codeFor(ada);
    const { sessions } = house.gateway.gateway;
    await sessions.endAll(ADA as never);
    expect((await redeem(house, code)).body.error).toBe("invalid_grant");
  });

  test("not among those who may: access_denied, though they may sign in", async () => {
    await start(clientBlock("app", 'allow = ["grace@example.org"]'));
    expect(answerIn(await ada.get(authorizePath())).get("error")).toBe("access_denied");
    const grace = await browserOf(house, "grace@example.org");
    await codeFor(grace);
  });

  test("without allow, whoever may use the route of the same name", async () => {
    const [host, port] = ["127.0.0.1", 1];
    house = await startProvider({
      clientsToml: clientBlock("lab").replace(/allow = .*/, ""),
      routes: `[groups]
staff = ["ada@example.org"]
[[routes]]
name = "lab"
host = "lab.example.org"
target = "http://${host}:${port}"
allow = ["group:staff"]
[[routes]]
name = "open"
host = "open.example.org"
target = "http://${host}:${port}"
allow = ["anyone"]
`,
    });
    ada = await browserOf(house);
    const bob = await browserOf(house, "bob@example.org");
    const code = await codeFor(ada, { client_id: "lab" });
    const { body } = await redeem(house, code, {}, basic("lab"));
    expect(decodeJwt(body.id_token ?? "").groups).toEqual(["staff"]);
    expect(answerIn(await bob.get(authorizePath({ client_id: "lab" }))).get("error")).toBe("access_denied");
  });

  test("the same person is the same sub everywhere, and another is another", async () => {
    await start(clientBlock() + BOB_APP);
    const subOf = async (jar: Jar, id = "app", headers = basic()) => {
      const { body } = await redeem(house, await codeFor(jar, { client_id: id }), {}, headers);
      return decodeJwt(body.id_token ?? "").sub;
    };
    const first = await subOf(ada);
    expect(await subOf(await browserOf(house))).toBe(first);
    expect(await subOf(ada, "bob-app", bobBasic())).toBe(first);
    expect(await subOf(await browserOf(house, "bob@example.org"))).not.toBe(first);
  });

  test("select_account offers to go on as who they are, or as somebody else", async () => {
    await start();
    const chooser = await ada.get(authorizePath({ prompt: "select_account" }));
    const html = unescaped(await chooser.text());
    const [goOn = "", again = ""] = [...html.matchAll(/href="(\/_runegate\/(?:oidc|login)[^"]+)"/g)].map(
      ([, href = ""]) => href,
    );
    expect(answerIn(await ada.get(goOn)).get("code")).not.toBeNull();
    expect(again).toEndWith("&again=1");
    expect((await ada.get(again)).status).toBe(200);
  });

  test("from a page of ours it goes on by a page: a form of ours leads to this host only", async () => {
    await start();
    const response = await ada.get(authorizePath(), { Referer: `${house.issuer}/` });
    expect(response.status).toBe(200);
    expect(response.headers.get("refresh")).toStartWith(`0; url=${CALLBACK}?code=`);
  });
});

describe("tokens that somebody made", () => {
  test("of another algorithm, kind or key: nothing, at userinfo, introspection, as hint and at the end", async () => {
    await start();
    const tokens = await tokensFor(house, ada);
    const access = tokens.access_token ?? "";
    const claims = decodeJwt(access);
    const { kid = "" } = decodeProtectedHeader(access);
    const jwks = (await (await fetch(`${house.issuer}/_runegate/oidc/jwks`)).json()) as {
      keys: { n?: string; kid: string; alg: string }[];
    };
    const es = jwks.keys.find(({ alg }) => alg === "ES256")?.kid ?? "";
    const publicKey = new TextEncoder().encode(JSON.stringify(jwks.keys.find((one) => one.kid === kid)));
    const encode = (json: object) => Buffer.from(JSON.stringify(json)).toString("base64url");
    const [, payload, signature] = access.split(".");
    const made = [
      `${encode({ alg: "none", typ: "at+jwt", kid })}.${payload}.`,
      await new SignJWT(claims).setProtectedHeader({ alg: "HS256", typ: "at+jwt", kid }).sign(publicKey),
      `${encode({ alg: "ES256", typ: "at+jwt", kid: es })}.${payload}.${signature}`,
      `${encode({ alg: "RS256", typ: "at+jwt", kid: es })}.${payload}.${signature}`,
      `${encode({ alg: "RS256", typ: "at+jwt" })}.${payload}.${signature}`,
      tokens.id_token ?? "",
    ];
    for (const token of made) {
      expect((await userinfo(house, token)).status).toBe(401);
      expect(await isActive(house, token)).toBe(false);
      if (token === tokens.id_token) continue;
      const hint = { id_token_hint: token };
      expect(answerIn(await ada.get(authorizePath(hint))).get("error")).toBe("invalid_request");
      expect((await ada.get(`/_runegate/oidc/end_session?id_token_hint=${token}`)).status).toBe(400);
    }
    // An access token is no hint either.
    expect(answerIn(await ada.get(authorizePath({ id_token_hint: access }))).get("error")).toBe(
      "invalid_request",
    );
  });

  test("an access token is good for its time and no longer", async () => {
    await start();
    const { access_token: token } = await tokensFor(house, ada);
    house.clock.advance(10 * 60_000 - 1000);
    expect((await userinfo(house, token)).status).toBe(200);
    house.clock.advance(1000);
    expect((await userinfo(house, token)).status).toBe(401);
  });
});

describe("clients", () => {
  test.each([
    ["Basic, each half as in a form", {}, basic()],
    ["the form", { client_id: "app", client_secret: SECRET }, {}],
  ])("show their secret by %s", async (_, sent: Sent, headers: Record<string, string>) => {
    await start();
    expect((await redeem(house, await codeFor(ada), sent, headers)).status).toBe(200);
  });

  test.each([
    ["a wrong secret", {}, basic("app", "wrong")],
    ["no secret", { client_id: "app" }, {}],
    ["an empty secret", {}, basic("app", "")],
    ["an unknown client", {}, basic("nobody")],
    ["no client", {}, {}],
    ["a header that is none", {}, { Authorization: "Basic !" }],
  ])("with %s: invalid_client", async (_, sent: Sent, headers: Record<string, string>) => {
    await start();
    const refused = await redeem(house, await codeFor(ada), sent, headers);
    expect([refused.status, refused.body.error]).toEqual([401, "invalid_client"]);
    expect(refused.headers.get("www-authenticate")).toStartWith("Basic ");
  });

  test("twenty wrong secrets a minute, and then the right one counts no more for a while", async () => {
    await start(clientBlock() + BOB_APP);
    const code = await codeFor(ada);
    const wrong = basic("app", "wrong");
    for (let tries = 0; tries < 20; tries++) expect((await redeem(house, code, {}, wrong)).status).toBe(401);
    const limited = await redeem(house, code);
    expect([limited.status, limited.headers.get("retry-after")]).toEqual([429, "60"]);
    // Another application on the same machine is not kept from asking.
    const other = { grant_type: "refresh_token", refresh_token: "x" };
    expect((await post(house, "token", other, bobBasic())).body.error).toBe("invalid_grant");
    house.clock.advance(60_000);
    expect((await redeem(house, await codeFor(ada))).status).toBe(200);
  });

  test.each([
    ["two secrets", { client_id: "app", client_secret: SECRET }, "invalid_request"],
    ["another grant", { grant_type: "password" }, "unsupported_grant_type"],
    ["no grant", { grant_type: undefined }, "invalid_request"],
  ])("with %s: %s", async (_, sent: Sent, error) => {
    await start();
    expect((await redeem(house, await codeFor(ada), sent)).body.error).toBe(error);
  });

  test("no secret, code or token is in a log", async () => {
    await start();
    const code = await codeFor(ada);
    const { body } = await redeem(house, code);
    await refresh(house, body.refresh_token);
    await redeem(house, code, {}, basic("app", "a wrong secret"));
    const log = house.gateway.lines.join("\n");
    for (const secret of [
      SECRET,
      encodeURIComponent(SECRET),
      "a wrong secret",
      code,
      body.access_token,
      body.id_token,
      body.refresh_token,
    ])
      expect(log.includes(secret ?? "?")).toBe(false);
  });
});

describe("signing out", () => {
  const end = (sent: Sent, jar = ada) => {
    const given = Object.entries(sent).filter((one): one is [string, string] => one[1] !== undefined);
    return jar.get(`/_runegate/oidc/end_session?${new URLSearchParams(given)}`);
  };
  const isSignedIn = async (jar = ada) =>
    answerIn(await jar.get(authorizePath({ prompt: "none" }))).get("error") === null;

  test("with the token of this session: at once, and back", async () => {
    await start();
    const { id_token } = await tokensFor(house, ada);
    const gone = await end({ id_token_hint: id_token, post_logout_redirect_uri: AFTER, state: "s 1" });
    expect([gone.status, gone.headers.get("location")]).toEqual([302, `${AFTER}?state=s+1`]);
    expect(await isSignedIn()).toBe(false);
  });

  test("without one, or with another session's: asked first, and then back", async () => {
    await start();
    const other = await tokensFor(house, await browserOf(house));
    for (const hint of [{ client_id: "app" }, { id_token_hint: other.id_token }]) {
      const asked = await end({ ...hint, post_logout_redirect_uri: AFTER, state: "s" });
      expect(asked.status).toBe(200);
      const html = await asked.text();
      expect(heading(html)).toBe("Sign out?");
      expect(await isSignedIn()).toBe(true);
      const fields = Object.fromEntries(
        [...html.matchAll(/name="(\w+)" value="([^"]*)"/g)].map(([, name = "", value = ""]) => [name, value]),
      );
      expect(fields).toMatchObject({
        confirm: "true",
        client_id: "app",
        post_logout_redirect_uri: AFTER,
        state: "s",
      });
    }
    const fields = { confirm: "true", client_id: "app", post_logout_redirect_uri: AFTER, state: "s" };
    const foreign = await ada.post("/_runegate/oidc/end_session", fields, { Origin: "https://evil.example" });
    expect(foreign.status).toBe(403);
    expect(await isSignedIn()).toBe(true);
    const gone = await ada.post("/_runegate/oidc/end_session", fields);
    expect(gone.headers.get("refresh")).toBe(`0; url=${AFTER}?state=s`);
    expect(await isSignedIn()).toBe(false);
  });

  test("an application's form is asked again as a link", async () => {
    await start();
    const sent = await house.browser.post(
      "/_runegate/oidc/end_session",
      { client_id: "app" },
      { Origin: "https://app.example.org" },
    );
    expect([sent.status, sent.headers.get("location")]).toEqual([
      303,
      "/_runegate/oidc/end_session?client_id=app",
    ]);
  });

  test("with a client alone it ends on a page of ours", async () => {
    await start();
    expect(
      (await ada.post("/_runegate/oidc/end_session", { confirm: "true", client_id: "app", state: "" }))
        .status,
    ).toBe(200);
    expect(await isSignedIn()).toBe(false);
  });

  test.each([
    ["one that is not registered", "https://evil.example/"],
    ["one with more behind it", `${AFTER}/x`],
    ["one with a query", `${AFTER}?x`],
    ["a path", "//evil.example"],
    ["one of the addresses for sign-ins", CALLBACK],
  ])("back to %s: refused on our page, and nobody is signed out", async (_, post_logout_redirect_uri) => {
    await start();
    const { id_token: id_token_hint } = await tokensFor(house, ada);
    for (const hint of [{ id_token_hint }, { client_id: "app" }, {}]) {
      const refused = await end({ ...hint, post_logout_redirect_uri });
      expect([refused.status, refused.headers.get("location")]).toEqual([400, null]);
    }
    expect(await isSignedIn()).toBe(true);
  });

  test("the session's end is the end of its tokens, however it came", async () => {
    await start();
    const tokens = await tokensFor(house, ada);
    await ada.post("/_runegate/logout", {});
    await isDead(tokens);
  });
});

describe("back-channel logout", () => {
  test("told to each client that was used, once, with a token that is right; again where it did not hear", async () => {
    const heard: string[] = [];
    let status = 503;
    await using application = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      async fetch(request) {
        heard.push(new URLSearchParams(await request.text()).get("logout_token") ?? "");
        return new Response(null, { status });
      },
    });
    const uri = `http://127.0.0.1:${application.port}/logout`;
    await start(clientBlock("app", `backchannel_logout_uri = "${uri}"`));
    const tokens = await tokensFor(house, ada);
    await ada.post("/_runegate/logout", {});
    await until(() => heard.length === 1);
    // That it did not hear is noted first, or the clock would be moved under it.
    await until(() => house.gateway.lines.some((line) => line.includes("a client was not told")));
    status = 200;
    house.clock.advance(5000);
    // The end of any other session has it look.
    const bob = await browserOf(house, "bob@example.org");
    await bob.post("/_runegate/logout", {});
    await until(() => heard.length === 2);
    const { sid, sub } = decodeJwt(tokens.id_token ?? "");
    const keys = createRemoteJWKSet(new URL(`${house.issuer}/_runegate/oidc/jwks`));
    const { payload } = await jwtVerify(heard[1] ?? "", keys, {
      ...{
        issuer: house.issuer,
        audience: "app",
        typ: "logout+jwt",
        currentDate: new Date(house.clock.now()),
      },
    });
    expect(payload).toMatchObject({
      ...{ sid, sub, events: { "http://schemas.openid.net/event/backchannel-logout": {} } },
      ...{ jti: expect.any(String), iat: expect.any(Number) },
    });
    expect(payload).not.toHaveProperty("nonce");
    expect(await isActive(house, heard[1])).toBe(false);
  });
});

/** Somebody else's process is waited for: there is nothing to hold still. */
async function until(condition: () => boolean, atMost = 3000): Promise<void> {
  const end = performance.now() + atMost;
  while (!condition()) {
    if (performance.now() > end) throw new Error("it did not come to that");
    await Bun.sleep(20);
  }
}

describe("agreeing", () => {
  const consent = 'consent = "first"';
  const fieldsIn = (html: string) => {
    const of = (name: string) =>
      unescaped(new RegExp(`name="${name}" value="([^"]*)"`).exec(html)?.[1] ?? "");
    return { request: of("request"), token: of("token") };
  };

  test("is asked once, and for more again", async () => {
    await start(clientBlock("app", consent));
    const html = await (await ada.get(authorizePath({ scope: "openid email" }))).text();
    expect(heading(html)).toBe("Sign in to app");
    expect(answerIn(await ada.get(authorizePath({ prompt: "none" }))).get("error")).toBe("consent_required");
    const agreed = await ada.post("/_runegate/oidc/consent", { ...fieldsIn(html), agree: "true" });
    const href = agreed.headers.get("refresh")?.replace("0; url=", "") ?? "";
    expect((await redeem(house, new URL(href).searchParams.get("code") ?? "")).status).toBe(200);
    await codeFor(ada, { scope: "openid email" });
    expect(heading(await (await ada.get(authorizePath())).text())).toBe("Sign in to app");
    expect(heading(await (await ada.get(authorizePath({ scope: "openid", prompt: "consent" }))).text())).toBe(
      "Sign in to app",
    );
  });

  test("or not: access_denied", async () => {
    await start(clientBlock("app", consent));
    const html = await (await ada.get(authorizePath())).text();
    const declined = await ada.post("/_runegate/oidc/consent", { ...fieldsIn(html), agree: "false" });
    expect(declined.headers.get("refresh")).toStartWith(`0; url=${CALLBACK}?error=access_denied`);
    expect(heading(await (await ada.get(authorizePath())).text())).toBe("Sign in to app");
  });

  test("is not for another page to do, nor with another session's form, nor for another request", async () => {
    await start(clientBlock("app", consent));
    const fields = { ...fieldsIn(await (await ada.get(authorizePath())).text()), agree: "true" };
    const foreign = await ada.post("/_runegate/oidc/consent", fields, { Origin: "https://app.example.org" });
    expect(foreign.status).toBe(403);
    const bob = await browserOf(house, "bob@example.org");
    expect((await bob.post("/_runegate/oidc/consent", fields)).status).toBe(400);
    for (const changed of [
      { request: fields.request.replace("openid", "openid+x") },
      { token: "x" },
      { token: "" },
    ])
      expect((await ada.post("/_runegate/oidc/consent", { ...fields, ...changed })).status).toBe(400);
  });
});

describe("off", () => {
  test("without clients, no endpoint answers", async () => {
    house = await startProvider({ clientsToml: "" });
    for (const path of [
      "authorize",
      "jwks",
      "userinfo",
      "end_session",
      "device",
      ".well-known/openid-configuration",
    ])
      expect((await fetch(`${house.issuer}/_runegate/oidc/${path}`)).status).toBe(404);
    const jar = await browserOf(house);
    expect((await jar.get("/.well-known/openid-configuration")).headers.get("content-type")).not.toContain(
      "json",
    );
  });
});
