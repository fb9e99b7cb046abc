import { afterEach, beforeEach, expect, test } from "bun:test";
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from "jose";
import type { Jar } from "../approval/support.ts";
import {
  ADA,
  answerIn,
  authorizePath,
  browserOf,
  CALLBACK,
  codeFor,
  type House,
  isActive,
  redeem,
  refresh,
  SECRET,
  type Sent,
  startProvider,
  tokensFor,
  userinfo,
} from "./support.ts";

/**
 * The modules of the Basic OP profile of the OpenID conformance suite, by their names there, as its documentation says what they
 * look at. What of that list is not here, and why, is in the README beside.
 */

let house: House;
let ada: Jar;
beforeEach(async () => {
  house = await startProvider();
  ada = await browserOf(house);
});
afterEach(() => house.gateway.stop());

/** The profile's clients use no PKCE. */
const PLAIN: Sent = { code_challenge: undefined, code_challenge_method: undefined };
const NO_VERIFIER: Sent = { code_verifier: undefined };

async function signIn(sent: Sent = {}, jar = ada): Promise<Record<string, string>> {
  const { status, body } = await redeem(house, await codeFor(jar, { ...PLAIN, ...sent }), NO_VERIFIER);
  expect([status, body.error]).toEqual([200, undefined]);
  return body;
}

async function verified(idToken: string | undefined) {
  const keys = createRemoteJWKSet(new URL(`${house.issuer}/_runegate/oidc/jwks`));
  const { payload } = await jwtVerify(idToken ?? "", keys, {
    ...{ issuer: house.issuer, audience: "app", currentDate: new Date(house.clock.now()) },
  });
  return payload;
}

const errorOf = (response: Response) => answerIn(response).get("error");
const nextOf = (response: Response) => {
  const location = response.headers.get("location") ?? "";
  expect(location).toStartWith("/_runegate/login?");
  return new URLSearchParams(location.split("?")[1]).get("next") ?? "";
};

test("oidcc-server", async () => {
  const claims = await verified((await signIn()).id_token);
  expect(claims).toMatchObject({
    nonce: "the nonce",
    sub: expect.any(String),
    iat: house.clock.now() / 1000,
  });
});

test("oidcc-server-client-secret-post", async () => {
  const code = await codeFor(ada, PLAIN);
  const sent = { ...NO_VERIFIER, client_id: "app", client_secret: SECRET };
  expect((await redeem(house, code, sent, {})).status).toBe(200);
});

test("oidcc-response-type-missing", async () => {
  expect(errorOf(await ada.get(authorizePath({ response_type: undefined })))).toBe("invalid_request");
});

test("oidcc-idtoken-signature, and oidcc-idtoken-rs256", async () => {
  const { id_token } = await signIn();
  expect(decodeProtectedHeader(id_token ?? "")).toMatchObject({ alg: "RS256", kid: expect.any(String) });
  await verified(id_token);
});

async function askByForm(headers: Record<string, string>, fields?: Record<string, string>) {
  const response = await fetch(`${house.issuer}/_runegate/oidc/userinfo`, {
    method: "POST",
    headers,
    ...(fields === undefined ? {} : { body: new URLSearchParams(fields) }),
  });
  return { status: response.status, body: JSON.parse(await response.text()) };
}

test("oidcc-userinfo-get", async () => {
  const { access_token, id_token } = await signIn();
  const { status, body, headers } = await userinfo(house, access_token);
  expect([status, body.sub]).toEqual([200, decodeJwt(id_token ?? "").sub]);
  expect(headers.get("content-type")).toStartWith("application/json");
});

test("oidcc-userinfo-post-header", async () => {
  const { access_token, id_token } = await signIn();
  const { status, body } = await askByForm({ Authorization: `Bearer ${access_token}` });
  expect([status, body.sub]).toEqual([200, decodeJwt(id_token ?? "").sub]);
});

test("oidcc-userinfo-post-body", async () => {
  const { access_token = "", id_token } = await signIn();
  const { status, body } = await askByForm({}, { access_token });
  expect([status, body.sub]).toEqual([200, decodeJwt(id_token ?? "").sub]);
  const both = await askByForm({ Authorization: `Bearer ${access_token}` }, { access_token });
  expect([both.status, both.body.error]).toEqual([400, "invalid_request"]);
});

test("oidcc-nonce: as it was sent", async () => {
  expect(decodeJwt((await signIn({ nonce: "n-0S6_WzA2Mj ü" })).id_token ?? "").nonce).toBe("n-0S6_WzA2Mj ü");
});

test("oidcc-ensure-request-without-nonce-succeeds-for-code-flow", async () => {
  expect(decodeJwt((await signIn({ nonce: undefined })).id_token ?? "")).not.toHaveProperty("nonce");
});

test.each([
  ["oidcc-scope-profile", "openid profile", ["name"]],
  ["oidcc-scope-email", "openid email", ["email", "email_verified"]],
  ["oidcc-scope-address: nothing is known of it", "openid address", []],
  ["oidcc-scope-phone: nothing is known of it", "openid phone", []],
  [
    "oidcc-scope-all",
    "openid profile email address phone",
    ["name", "preferred_username", "email", "email_verified"],
  ],
  [
    "oidcc-ensure-other-scope-order-succeeds",
    "email profile openid",
    ["name", "preferred_username", "email", "email_verified"],
  ],
])("%s", async (_, scope, claims) => {
  const { body } = await userinfo(house, (await signIn({ scope })).access_token);
  expect(Object.keys(body).sort()).toEqual(["sub", ...claims].sort());
});

test.each(["page", "popup", "touch", "wap"])("oidcc-display-%s", async (display) => {
  await signIn({ display });
});

test("oidcc-prompt-login", async () => {
  const before = decodeJwt((await signIn()).id_token ?? "");
  house.clock.advance(5000);
  const next = nextOf(await ada.get(authorizePath({ ...PLAIN, prompt: "login" })));
  expect(nextOf(await ada.get(next))).toBe(next);
  const fresh = await browserOf(house);
  const { body } = await redeem(house, answerIn(await fresh.get(next)).get("code") ?? "", NO_VERIFIER);
  const after = decodeJwt(body.id_token ?? "");
  expect(after.sub).toBe(before.sub);
  expect(Number(after.auth_time)).toBe(Number(before.auth_time) + 5);
});

test("oidcc-prompt-none-not-logged-in", async () => {
  expect(errorOf(await house.browser.get(authorizePath({ prompt: "none" })))).toBe("login_required");
});

test("oidcc-prompt-none-logged-in", async () => {
  const first = decodeJwt((await signIn()).id_token ?? "");
  const second = decodeJwt((await signIn({ prompt: "none" })).id_token ?? "");
  expect([second.sub, second.auth_time]).toEqual([first.sub, first.auth_time]);
});

test("oidcc-max-age-1", async () => {
  house.clock.advance(2000);
  const next = nextOf(await ada.get(authorizePath({ ...PLAIN, max_age: "1" })));
  house.clock.advance(2000);
  const fresh = await browserOf(house);
  const { body } = await redeem(house, answerIn(await fresh.get(next)).get("code") ?? "", NO_VERIFIER);
  expect(decodeJwt(body.id_token ?? "").auth_time).toBe(house.clock.now() / 1000);
});

test("oidcc-max-age-10000", async () => {
  const first = decodeJwt((await signIn()).id_token ?? "");
  house.clock.advance(9_000_000);
  const second = decodeJwt((await signIn({ max_age: "10000" })).id_token ?? "");
  expect(second.auth_time).toBe(first.auth_time);
});

test("oidcc-ensure-request-with-unknown-parameter-succeeds", async () => {
  await signIn({ extra: "foobar" });
});

test("oidcc-id-token-hint", async () => {
  const { id_token } = await signIn();
  const again = await signIn({ prompt: "none", id_token_hint: id_token });
  expect(decodeJwt(again.id_token ?? "").sub).toBe(decodeJwt(id_token ?? "").sub);
  const bob = await browserOf(house, "bob@example.org");
  const other = { ...PLAIN, id_token_hint: id_token };
  expect(errorOf(await bob.get(authorizePath({ ...other, prompt: "none" })))).toBe("login_required");
  // Whoever comes back as somebody else than the application expects is not taken for them.
  house.clock.advance(1000);
  const next = nextOf(await bob.get(authorizePath(other)));
  const bobAgain = await browserOf(house, "bob@example.org");
  expect(errorOf(await bobAgain.get(next))).toBe("login_required");
});

test("oidcc-login-hint", async () => {
  const sent = await house.browser.get(authorizePath({ login_hint: ADA }));
  const page = await house.browser.get(sent.headers.get("location") ?? "");
  expect(await page.text()).toContain(`value="${ADA}"`);
});

test.each([
  ["oidcc-ui-locales", { ui_locales: "se" }],
  ["oidcc-claims-locales", { claims_locales: "se" }],
  ["oidcc-ensure-request-with-acr-values-succeeds", { acr_values: "1 2" }],
  ["oidcc-claims-essential", { claims: '{"userinfo":{"name":{"essential":true}}}' }],
])("%s", async (_, sent: Sent) => {
  const { body } = await userinfo(house, (await signIn(sent)).access_token);
  expect(body.name).toBe("ada");
});

test("oidcc-codereuse", async () => {
  const code = await codeFor(ada, PLAIN);
  const { body } = await redeem(house, code, NO_VERIFIER);
  expect((await redeem(house, code, NO_VERIFIER)).body.error).toBe("invalid_grant");
  expect(await isActive(house, body.access_token)).toBe(false);
});

test("oidcc-codereuse-30seconds", async () => {
  const code = await codeFor(ada, PLAIN);
  const { body } = await redeem(house, code, NO_VERIFIER);
  house.clock.advance(30_000);
  expect((await redeem(house, code, NO_VERIFIER)).body.error).toBe("invalid_grant");
  expect((await userinfo(house, body.access_token)).status).toBe(401);
});

test("a code that comes again after it has run out ends its tokens too", async () => {
  const code = await codeFor(ada, PLAIN);
  const { body } = await redeem(house, code, NO_VERIFIER);
  house.clock.advance(5 * 60_000);
  expect((await redeem(house, code, NO_VERIFIER)).body.error).toBe("invalid_grant");
  expect((await userinfo(house, body.access_token)).status).toBe(401);
});

test("oidcc-ensure-registered-redirect-uri", async () => {
  const response = await ada.get(authorizePath({ redirect_uri: "https://elsewhere.example/callback" }));
  expect([response.status, response.headers.get("location")]).toEqual([400, null]);
});

test("oidcc-redirect-uri-query-OK", async () => {
  const redirect_uri = "https://app.example.org/other?x=1";
  const answer = answerIn(await ada.get(authorizePath({ redirect_uri })), "https://app.example.org/other");
  expect(answer.get("x")).toBe("1");
});

test.each([
  ["oidcc-redirect-uri-query-mismatch", "https://app.example.org/other?y=1"],
  ["oidcc-redirect-uri-query-added", `${CALLBACK}?foo=bar`],
])("%s", async (_, redirect_uri) => {
  expect((await ada.get(authorizePath({ redirect_uri }))).status).toBe(400);
});

test("oidcc-ensure-post-request-succeeds", async () => {
  const [path = "", query] = authorizePath(PLAIN).split("?");
  const fields = Object.fromEntries(new URLSearchParams(query));
  const sent = await ada.post(path, fields, { Origin: "https://app.example.org" });
  expect(sent.status).toBe(303);
  const answer = answerIn(await ada.get(sent.headers.get("location") ?? ""));
  expect((await redeem(house, answer.get("code") ?? "", NO_VERIFIER)).status).toBe(200);
});

test.each([
  ["oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported", "request", "e30.e30."],
  ["oidcc-ensure-request-object-with-redirect-uri", "request", "eyJhbGciOiJub25lIn0.e30."],
  [
    "oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported",
    "request_uri",
    "https://a.b/c",
  ],
])("%s", async (_, name, value) => {
  const response = await ada.get(authorizePath({ [name]: value }));
  expect(errorOf(response)).toBe(`${name}_not_supported`);
});

test("oidcc-refresh-token", async () => {
  const first = await signIn({ scope: "openid offline_access" });
  house.clock.advance(1000);
  const { body } = await refresh(house, first.refresh_token);
  const [before, after] = [decodeJwt(first.id_token ?? ""), await verified(body.id_token)];
  for (const claim of ["iss", "sub", "aud", "auth_time", "azp", "sid"])
    expect(after[claim]).toEqual(before[claim] as never);
  expect(Number(after.iat)).toBeGreaterThan(Number(before.iat));
  expect(body.access_token).not.toBe(first.access_token);
});

test("oidcc-ensure-request-with-valid-pkce-succeeds", async () => {
  await tokensFor(house, ada);
});

test("oidcc-server-rotate-keys: published before it signs, and for longer than what it signed is good", async () => {
  const DAY = 24 * 3_600_000;
  const kids = async () => {
    const answer = await fetch(`${house.issuer}/_runegate/oidc/jwks`);
    const { keys } = JSON.parse(await answer.text()) as { keys: { kid: string; alg: string; d?: string }[] };
    expect(keys.some((key) => "d" in key || "p" in key || "q" in key)).toBe(false);
    return keys.filter(({ alg }) => alg === "RS256").map(({ kid }) => kid);
  };
  const kidOf = async (jar: Jar) => decodeProtectedHeader((await signIn({}, jar)).id_token ?? "").kid ?? "";
  const first = await kidOf(ada);
  expect(await kids()).toEqual([first]);
  house.clock.advance(88 * DAY + 1);
  const [, second = ""] = await kids();
  expect(await kids()).toEqual([first, second]);
  expect(await kidOf(await browserOf(house))).toBe(first);
  house.clock.advance(2 * DAY);
  expect(await kidOf(await browserOf(house))).toBe(second);
  const last = await signIn({}, await browserOf(house));
  await verified(last.id_token);
  // The longest token there can be is a day long.
  house.clock.advance(DAY);
  expect(await kids()).toEqual([first, second]);
  house.clock.advance(DAY);
  expect(await kids()).toEqual([second]);
});

test("oidcc-discovery-endpoint-verification", async () => {
  const described = await (await fetch(`${house.issuer}/.well-known/openid-configuration`)).json();
  expect(described).toMatchObject({
    issuer: house.issuer,
    response_types_supported: ["code"],
    subject_types_supported: ["public"],
    id_token_signing_alg_values_supported: expect.arrayContaining(["RS256"]),
    code_challenge_methods_supported: ["S256"],
    request_parameter_supported: false,
    request_uri_parameter_supported: false,
    authorization_response_iss_parameter_supported: true,
  });
});
