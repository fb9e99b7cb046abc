import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createHmac, createPublicKey } from "node:crypto";
import { decodeJwt, decodeProtectedHeader, exportJWK, generateKeyPair, SignJWT } from "jose";
import { asOperator, asUser, JSON_BODY } from "../api/support.ts";
import { testClock } from "../support/clock.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { startUpstream } from "../support/upstream.ts";
import { ALGORITHMS, AUDIENCE, startProvider, type TestProvider } from "./support.ts";

/** Tokens of a real OpenID provider at the management API, and all that must not be one. */

setDefaultTimeout(30_000);

let provider: TestProvider;
let gateway: TestGateway;

beforeAll(async () => {
  provider = await startProvider();
  gateway = await startGateway({ env: { ...provider.env, ...LISTED } });
});
afterAll(async () => {
  await gateway.stop();
  await provider.stop();
});

const LISTED = { RUNEGATE_ALLOW_ANY_EMAIL: "false", RUNEGATE_ALLOWED_DOMAINS: "example.org" };

const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });

async function ask(token: string, path = "/session", of = gateway) {
  const { status, body, headers } = await asUser(of)("GET", path, { headers: bearer(token) });
  const { error, ...rest } = (body ?? {}) as Record<string, unknown>;
  return { status, error, rest, challenge: headers.get("www-authenticate") };
}

/** @returns what a gateway with these options answers a token. */
async function askWith(env: Record<string, string>, token: string, path?: string) {
  const other = await startGateway({ env: { ...provider.env, ...LISTED, ...env } });
  try {
    return await ask(token, path, other);
  } finally {
    await other.stop();
  }
}

describe("a token of the provider", () => {
  test.each([...ALGORITHMS])("signed by %s tells who asks", async (algorithm) => {
    const token = await provider.tokenOf("ada", algorithm);
    expect(decodeProtectedHeader(token).alg).toBe(algorithm);
    const { status, rest } = await ask(token);
    expect([status, rest]).toEqual([
      200,
      {
        email: "ada@example.org",
        proof: { kind: "bearer", id: expect.stringMatching(/^[\w-]{12}$/) },
        created_at: new Date((decodeJwt(token).iat ?? 0) * 1000).toISOString(),
        expires_at: null,
        idle_expires_at: null,
      },
    ]);
  });

  test("without the admin group manages what is its owner's, and with it more; neither is the operator", async () => {
    await gateway.signIn("ada@example.org");
    const [ada, root] = [await provider.tokenOf("ada"), await provider.tokenOf("root")];
    expect((await ask(ada, "/sessions")).rest).toMatchObject({ items: [{ email: "ada@example.org" }] });
    expect(await ask(ada, "/users")).toMatchObject({ status: 403, error: "not_allowed" });
    expect((await ask(root, "/users")).rest).toMatchObject({ items: [{ email: "ada@example.org" }] });
    for (const token of [ada, root]) {
      const link = await asUser(gateway)("POST", "/links", {
        headers: { ...bearer(token), "Content-Type": "application/json" },
        body: '{"email":"ada@example.org"}',
      });
      expect([link.status, link.body]).toMatchObject([403, { error: "not_allowed" }]);
    }
  });

  test("of an administrator whom another has shut out is worth nothing", async () => {
    const other = await startGateway({ env: { ...provider.env, ...LISTED, RUNEGATE_DYNAMIC_USERS: "true" } });
    try {
      const token = await provider.tokenOf("root");
      expect((await ask(token, "/users", other)).status).toBe(200);
      const init = { headers: JSON_BODY, body: JSON.stringify({ denied: true }) };
      expect((await asOperator(other)("PATCH", "/admin/users/root@example.org", init)).status).toBe(204);
      expect((await ask(token, "/users", other)).status).toBe(403);
    } finally {
      await other.stop();
    }
  });

  test("makes no administrator of one that routes.toml names: only the provider's group does", async () => {
    const routes = `[groups]\nadmins = ["ada@example.org"]\n[[routes]]\nname = "lab"\ntarget = "http://127.0.0.1:9"\n`;
    const other = await startGateway({ env: provider.env, routes });
    try {
      const admin = asUser(other, await other.signIn("ada@example.org"));
      expect((await admin("GET", "/users")).status).toBe(200);
      expect((await ask(await provider.tokenOf("ada"), "/users", other)).status).toBe(403);
      expect((await ask(await provider.tokenOf("root"), "/users", other)).status).toBe(200);
    } finally {
      await other.stop();
    }
  });

  test("ends by the clock that is handed in", async () => {
    const clock = testClock(Date.now());
    const other = await startGateway({ env: provider.env, clock });
    try {
      const token = await provider.tokenOf("ada");
      expect((await ask(token, "/session", other)).status).toBe(200);
      clock.advance(11 * 60_000);
      expect((await ask(token, "/session", other)).status).toBe(401);
    } finally {
      await other.stop();
    }
  });

  test("of somebody who may not sign in is good for nothing", async () => {
    expect(await ask(await provider.tokenOf("eve"))).toMatchObject({ status: 403, error: "not_allowed" });
  });

  test("changes things without a word on where it comes from, and decides alone: no cookie is looked at", async () => {
    const cookie = await gateway.signIn("bob@example.org");
    const headers = { Cookie: cookie, Origin: "https://elsewhere.example", "Sec-Fetch-Site": "cross-site" };
    const token = await provider.tokenOf("ada");
    await gateway.signIn("ada@example.org");
    const ended = await asUser(gateway)("DELETE", "/sessions", { headers: { ...headers, ...bearer(token) } });
    expect(ended.status).toBe(200);
    const bad = await asUser(gateway)("GET", "/session", { headers: { ...headers, ...bearer("x.y.z") } });
    expect(bad.status).toBe(401);
    expect((await asUser(gateway, cookie)("GET", "/session")).body).toMatchObject({
      email: "bob@example.org",
    });
  });

  test("opens no application, nor any page of Runegate's", async () => {
    const upstream = await startUpstream();
    const other = await startGateway({ env: { ...provider.env, ...LISTED }, target: upstream.url });
    try {
      const headers = bearer(await provider.tokenOf("root"));
      expect((await fetch(other.url, { headers })).status).toBe(401);
      expect(await (await fetch(`${other.url}/_runegate/session`, { headers })).json()).toMatchObject({
        authenticated: false,
      });
      const cookie = await other.signIn();
      const through = await fetch(other.url, { headers: { ...headers, Cookie: cookie } });
      expect(through.status).toBe(200);
      // It is the application's, which may have tokens of the same provider.
      expect(upstream.to("/").at(-1)?.one("authorization")).toBe(headers.Authorization);
    } finally {
      await other.stop();
      upstream.stop();
    }
  });

  test.each<[string, Record<string, string>, string, string]>([
    ["a path", { RUNEGATE_OIDC_GROUPS_CLAIM: "realm_access.roles" }, "keycloak", "ada@example.org"],
    ["a text with blanks", { RUNEGATE_OIDC_SUBJECT_CLAIM: "sub" }, "robot", "null"],
    [
      "capitals where they do not count",
      { RUNEGATE_OIDC_ADMIN_GROUP: "ADMIN", RUNEGATE_OIDC_ADMIN_GROUP_CASE_INSENSITIVE: "true" },
      "root",
      "root@example.org",
    ],
  ])("has its groups in %s", async (_, env, client, email) => {
    const token = await provider.tokenOf(client);
    expect((await askWith(env, token, "/users")).status).toBe(200);
    expect(String((await askWith(env, token)).rest.email)).toBe(email);
  });

  test("of a program by its `sub` makes keys for the service account that routes.toml names so, and for no other", async () => {
    const upstream = await startUpstream();
    const routes = `
      [[routes]]
      name = "lab"
      target = "${upstream.url}"
      allow = ["service:oidc:robot"]
      api_keys = true
      [[service_accounts]]
      name = "oidc:robot"`;
    const env = { ...provider.env, RUNEGATE_API_KEYS: "true", RUNEGATE_OIDC_SUBJECT_CLAIM: "sub" };
    const other = await startGateway({ env: { ...env, RUNEGATE_ALLOW_ANY_EMAIL: "false" }, routes });
    try {
      const make = async (token: string) => {
        const headers = { ...bearer(token), "Content-Type": "application/json" };
        return asUser(other)("POST", "/me/tokens", { headers, body: "{}" });
      };
      const made = await make(await provider.forge({ sub: "robot" }));
      expect([made.status, made.body]).toMatchObject([201, { sub: "service:oidc:robot", routes: ["lab"] }]);
      const { token } = made.body as { token: string };
      const host = new URL(other.url).host;
      expect((await fetch(`${other.url}/x`, { headers: { ...bearer(token), Host: host } })).status).toBe(200);
      expect(upstream.to("/x")[0]?.one("x-authenticated-user")).toBe("service:oidc:robot");
      for (const sub of ["rebot", "lab", "backup"])
        expect((await make(await provider.forge({ sub }))).status).toBe(400);
    } finally {
      await other.stop();
      upstream.stop();
    }
  });

  test("is nothing where no issuer is named", async () => {
    const token = await provider.tokenOf("ada");
    expect(await askWith({ RUNEGATE_OIDC_ISSUER: "" }, token)).toMatchObject({ error: "unauthenticated" });
  });
});

const seconds = () => Math.floor(Date.now() / 1000);

describe("B16: is refused with 401", () => {
  /** Each is the good one but for one thing. */
  const FORGED: Record<string, () => Promise<string>> = {
    "of another tenant": () => provider.forge({ iss: `${provider.issuer}/other` }),
    "of the issuer with a slash": () => provider.forge({ iss: `${provider.issuer}/` }),
    "without an issuer": () => provider.forge({ iss: undefined }),
    "for somebody else": () => provider.forge({ aud: "https://elsewhere.example" }),
    "for nobody": () => provider.forge({ aud: undefined }),
    "for a name that ours begins with": () => provider.forge({ aud: AUDIENCE.slice(0, -1) }),
    "expired 31 s ago": () => provider.forge({ exp: seconds() - 31 }),
    "expired 30 s ago": () => provider.forge({ exp: seconds() - 30 }),
    "that never expires": () => provider.forge({ exp: undefined }),
    "that expires at no time": () => provider.forge({ exp: "tomorrow" }),
    "good in 60 s": () => provider.forge({ nbf: seconds() + 60 }),
    "whose address is not verified": () => provider.forge({ email_verified: false }),
    "whose address is verified in words": () => provider.forge({ email_verified: "true" }),
    "whose address nobody speaks for": () => provider.forge({ email_verified: undefined }),
    "without an address": () => provider.forge({ email: undefined }),
    "with two addresses": () => provider.forge({ email: ["ada@example.org", "root@example.org"] }),
    "with an address that is none": () => provider.forge({ email: "ada" }),
    "with an address that has a line feed": () => provider.forge({ email: "ada@example.org\nx" }),
    "of somebody who signed in when no calendar goes": () => provider.forge({ auth_time: 1e300 }),
    "made when no calendar goes": () => provider.forge({ iat: -1e300 }),
    "that expires when no number goes": () => provider.forge({ exp: "9".repeat(400) }),
    "for a logout": () => provider.forge({}, { typ: "logout+jwt" }),
    "with an extension that must be understood": () => provider.forge({}, { crit: ["x"], x: 1 }),
    "by a key nobody knows": () => provider.forge({}, { kid: "unknown" }),
    "by another key under a known name": async () => {
      const { privateKey } = await generateKeyPair("RS256");
      return new SignJWT(decodeJwt(await provider.forge()))
        .setProtectedHeader({ alg: "RS256", kid: "rs256" })
        .sign(privateKey);
    },
    "that brings its own key": async () => {
      const { privateKey, publicKey } = await generateKeyPair("RS256");
      const jwk = await exportJWK(publicKey);
      return new SignJWT(decodeJwt(await provider.forge()))
        .setProtectedHeader({ alg: "RS256", jwk })
        .sign(privateKey);
    },
    "by HS256 with the public key as the secret": async () => {
      const key = createPublicKey({ key: provider.rsaKey, format: "jwk" });
      const [, claims] = (await provider.forge()).split(".");
      const signed = `${encode({ alg: "HS256", kid: "rs256" })}.${claims}`;
      const pem = key.export({ type: "spki", format: "pem" });
      return `${signed}.${createHmac("sha256", pem).update(signed).digest("base64url")}`;
    },
    "by none": async () => `${encode({ alg: "none" })}.${(await provider.forge()).split(".")[1]}.`,
    "by RS512, which nobody asked for": () => provider.forge({}, { alg: "RS512" }),
    "that was changed": async () => {
      const [head, , signature] = (await provider.forge()).split(".");
      return `${head}.${encode({ ...decodeJwt(await provider.forge()), email: "root@example.org" })}.${signature}`;
    },
    "with two bearers in one": async () => `${await provider.forge()}, Bearer ${await provider.forge()}`,
    "that is empty": async () => ".",
    "that is no token": async () => "abc",
  };
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");

  test.each(Object.keys(FORGED))("a token %s", async (what) => {
    const token = (await FORGED[what]?.()) ?? "";
    const { status, error, challenge, rest } = await ask(token);
    expect([status, error, challenge]).toEqual([
      401,
      "invalid_token",
      `Bearer realm="${gateway.url}", error="invalid_token"`,
    ]);
    expect(rest).toEqual({ message: expect.any(String), request_id: expect.any(String) });
    if (token.length > 100) expect(gateway.lines.join("\n")).not.toContain(token.slice(0, 100));
  });

  test("or before it is looked at, where it is longer than 16 KiB", async () => {
    expect((await ask(await provider.forge({ padding: "x".repeat(13_000) }))).status).toBe(431);
  });

  test("while what they are made of is good: the claims, a clock 29 s behind, a type for access", async () => {
    for (const token of [
      await provider.forge(),
      await provider.forge({ exp: seconds() - 29 }),
      await provider.forge({ nbf: seconds() + 25 }),
      await provider.forge({ aud: ["https://elsewhere.example", AUDIENCE] }),
      await provider.forge({}, { typ: "at+jwt" }),
      await provider.forge({ email: "Ada@Example.org" }),
      await provider.forge({ padding: "x".repeat(10_000) }),
    ]) {
      expect((await ask(token)).rest).toMatchObject({ email: "ada@example.org" });
    }
  });

  test("and why stands in the log, for the operator alone", async () => {
    const clock = testClock(Date.now());
    const other = await startGateway({ env: { ...provider.env, ...LISTED }, clock });
    try {
      for (const claims of [{ aud: "x" }, { exp: 1 }, { email_verified: false }]) {
        clock.advance(1_000);
        await ask(await provider.forge(claims), "/session", other);
      }
      const told = other.lines.filter((line) => line.includes("a bearer was refused")).join("\n");
      for (const why of ["aud check_failed", "exp check_failed", "email_verified is not true"]) {
        expect(told).toContain(why);
      }
    } finally {
      await other.stop();
    }
  });
});

describe("B17: groups are whole names", () => {
  test.each([
    ["notadmin admin2"],
    [["notadmin", "admin2"]],
    ["Admin"],
    [["admin staff"]],
    [{ admin: true }],
    [[["admin"]]],
    [[{ name: "admin" }]],
    [null],
  ])("%j is not admin", async (groups) => {
    expect(await ask(await provider.forge({ groups }), "/users")).toMatchObject({
      status: 403,
      error: "not_allowed",
    });
  });

  test("in a claim whose name has dots as in one that is a path, and not in what every object has", async () => {
    const url = "https://example.org/groups";
    const env = { RUNEGATE_OIDC_GROUPS_CLAIM: url };
    expect((await askWith(env, await provider.forge({ [url]: ["admin"] }), "/users")).status).toBe(200);
    for (const [name, group] of [
      ["constructor.name", "Object"],
      ["groups.constructor.name", "Array"],
      ["__proto__.constructor.name", "Object"],
    ] as const) {
      const odd = { RUNEGATE_OIDC_GROUPS_CLAIM: name, RUNEGATE_OIDC_ADMIN_GROUP: group };
      expect((await askWith(odd, await provider.forge({ groups: ["x"] }), "/users")).status).toBe(403);
    }
  });
});
