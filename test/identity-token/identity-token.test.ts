import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createHmac, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { decodeJwt, decodeProtectedHeader, exportJWK, type JSONWebKeySet, SignJWT } from "jose";
import type { Route } from "../../src/access/route.ts";
import { parseAddress } from "../../src/identity/address.ts";
import { LOGIN_LINK } from "../../src/login/ticket.ts";
import { createTickets } from "../../src/secret/ticket.ts";
import { createGateway } from "../../src/server.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { frontOfEach } from "../process/front.ts";
import { openStage } from "../process/stage.ts";
import { testClock } from "../support/clock.ts";
import { cookieHeader } from "../support/gateway.ts";
import { runegate, startProcess } from "../support/process.ts";
import { exchange } from "../support/raw.ts";
import { testMachine } from "../support/surroundings.ts";
import { GRAFANA, HOME, type House, startHouse, verify } from "./support.ts";

/** Tokens by which an application verifies who is asking, from the session cookie to the application's socket. */

setDefaultTimeout(60_000);

const clock = testClock();
const MINUTE = 60_000;
const KEY = "5".repeat(128);
let house: House;
let ada: string;
let jwks: JSONWebKeySet;

beforeAll(async () => {
  house = await startHouse({ clock, env: { RUNEGATE_SESSION_KEY: KEY } });
  ada = await house.gateway.signIn("ada@example.org");
  jwks = await house.jwks();
});
afterAll(() => house.stop());

const codeOf = (error: unknown) => (error as { readonly code?: string }).code;
const refusal = (token: string, audience = GRAFANA, keys = jwks) =>
  verify(token, keys, audience, clock.now()).then(
    () => "accepted",
    (error: unknown) => codeOf(error),
  );

describe("what is in a token", () => {
  test("who, for whom, since when, and nothing that opens anything", async () => {
    const token = await house.tokenTo(GRAFANA, "/claims", ada);
    const claims = await verify(token, jwks, GRAFANA, clock.now());
    const now = Math.floor(clock.now() / 1000);
    expect(claims).toEqual({
      iss: HOME,
      aud: GRAFANA,
      sub: "ada@example.org",
      email: "ada@example.org",
      email_verified: true,
      iat: now,
      nbf: now,
      exp: now + 600,
      jti: expect.stringMatching(/^[\w-]{22}$/),
      sid: expect.stringMatching(/^[\w-]{43}$/),
      auth_time: now,
      amr: ["email"],
      groups: ["staff"],
    });
    const kid = jwks.keys[0]?.kid ?? "";
    expect(kid).toMatch(/^[\w-]{16}$/);
    expect(decodeProtectedHeader(token)).toEqual({ alg: "ES256", kid, typ: "JWT" });
    const [session] = await house.gateway.gateway.sessions.list();
    expect(session?.id).toHaveLength(43);
    expect([claims.sid === session?.id, token.includes(ada)]).toEqual([false, false]);
  });

  test("how they signed in, where that was by a code", async () => {
    const { url, gateway, mailbox } = house.gateway;
    const post = (path: string, body: object, cookie = "") =>
      fetch(`${url}/_runegate/${path}`, {
        method: "POST",
        headers: { "Content-Type": "application/json", Host: new URL(HOME).host, Cookie: cookie },
        body: JSON.stringify(body),
      });
    const asked = await post("login", { email: "grace@example.org" });
    await gateway.outbox.runDue();
    const code = mailbox.mails().find(({ to }) => to === "grace@example.org")?.code;
    const redeemed = await post("auth", { code }, cookieHeader(asked));
    const token = await house.tokenTo(GRAFANA, "/code", cookieHeader(redeemed));
    expect((await verify(token, jwks, GRAFANA, clock.now())).amr).toEqual(["code"]);
  });

  test("the audience is the route's own, else its public origin and path", async () => {
    const audiences = await Promise.all(
      [
        [GRAFANA, "/a"],
        [HOME, "/lab/a"],
        [HOME, "/named/a"],
      ].map(async ([site = "", path = ""]) => decodeJwt(await house.tokenTo(site, path, ada)).aud),
    );
    expect(audiences).toEqual([GRAFANA, `${HOME}/lab`, "the-named-one"]);
  });

  test("one sid for all hosts of a login, another for another login", async () => {
    const sids = [GRAFANA, HOME].map(
      async (site) => decodeJwt(await house.tokenTo(site, "/lab/sid", ada)).sid,
    );
    const other = decodeJwt(await house.tokenTo(GRAFANA, "/sid", await house.gateway.signIn())).sid;
    expect(new Set([...(await Promise.all(sids)), other]).size).toBe(2);
  });

  test("who is in no group has no claim about it", async () => {
    const bob = await house.gateway.signIn("bob@example.org");
    expect(decodeJwt(await house.tokenTo(GRAFANA, "/bob", bob))).not.toHaveProperty("groups");
  });

  test("headers go with it for identity = both, and alone for headers; jwt has the token alone", async () => {
    const namesTo = async (site: string, path: string) => {
      await exchange(house.gateway.port, `GET ${path}`, [`Host: ${new URL(site).host}`, `Cookie: ${ada}`]);
      const fields = house.upstream.to(path).at(-1)?.fields ?? [];
      return fields
        .map(([name]) => name.toLowerCase())
        .filter((name) => /runegate|login|remote-g/.test(name));
    };
    const headers = ["remote-groups", "x-runegate-authenticated", "x-runegate-user"];
    expect((await namesTo(GRAFANA, "/names")).sort()).toEqual(
      [...headers, "x-login-name", "x-runegate-jwt"].sort(),
    );
    expect(await namesTo(HOME, "/lab/names")).toEqual(["x-runegate-jwt"]);
    expect((await namesTo(HOME, "/plain/names")).sort()).toEqual(headers);
  });

  test("a WebSocket's handshake has it too", async () => {
    house.upstream.on("/socket", ({ reply }) => reply(403));
    await exchange(house.gateway.port, "GET /socket", [
      "Host: grafana.example.org",
      `Cookie: ${ada}`,
      `Origin: ${GRAFANA}`,
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
      "X-Runegate-JWT: forged",
    ]);
    const [request] = house.upstream.to("/socket");
    const token = request?.one("x-runegate-jwt") ?? "";
    expect((await verify(token, jwks, GRAFANA, clock.now())).email).toBe("ada@example.org");
  });
});

test("G1: a token of one route is for no other", async () => {
  const token = await house.tokenTo(HOME, "/lab/g1", ada);
  expect(await refusal(token, `${HOME}/lab`)).toBe("accepted");
  expect(await refusal(token, GRAFANA)).toBe("ERR_JWT_CLAIM_VALIDATION_FAILED");
});

describe("G2: a token that a client sends is removed", () => {
  const spellings = [
    "X-Runegate-JWT",
    "x-runegate-jwt",
    "X_Runegate_JWT",
    "X.Runegate.JWT",
    "X-Runegate_JWT",
  ];
  test.each(spellings)("%s", async (name) => {
    const forged = [`Cookie: ${ada}`, `${name}: forged`, `${name}: twice`];
    const told = await house.tokensTo(GRAFANA, "/g2", forged);
    expect(told).toHaveLength(1);
    expect(await refusal(told[0] ?? "")).toBe("accepted");
    expect(await house.tokensTo(HOME, "/plain/g2", forged)).toEqual([]);
    expect(await house.tokensTo(GRAFANA, "/open", [`${name}: forged`])).toEqual([]);
  });

  test.each(["X-Login-Name", "x_login_name", "X.Login.Name"])(
    "as is a route's own name: %s",
    async (name) => {
      await house.tokensTo(GRAFANA, "/open", [`${name}: root`]);
      await house.tokensTo(GRAFANA, "/g2-name", [`Cookie: ${ada}`, `${name}: root`]);
      const names = (path: string) =>
        (house.upstream.to(path).at(-1)?.fields ?? []).filter(([field]) => /^x.login.name$/i.test(field));
      expect(names("/open")).toEqual([]);
      expect(names("/g2-name")).toEqual([["x-login-name", "ada@example.org"]]);
    },
  );
});

describe("G3: what verifiers refuse", () => {
  const tamper = (token: string, change: (claims: Record<string, unknown>) => void) => {
    const [head, , signature] = token.split(".");
    const claims = decodeJwt(token) as Record<string, unknown>;
    change(claims);
    return [head, Buffer.from(JSON.stringify(claims)).toString("base64url"), signature].join(".");
  };
  const encode = (json: object) => Buffer.from(JSON.stringify(json)).toString("base64url");

  test("changed claims", async () => {
    const token = await house.tokenTo(GRAFANA, "/g3", ada);
    const forged = tamper(token, (claims) => {
      claims.email = "root@example.org";
    });
    expect(await refusal(forged)).toBe("ERR_JWS_SIGNATURE_VERIFICATION_FAILED");
  });

  test("alg = none", async () => {
    const claims = encode(decodeJwt(await house.tokenTo(GRAFANA, "/g3", ada)));
    expect(await refusal(`${encode({ alg: "none" })}.${claims}.`)).toBe("ERR_JOSE_ALG_NOT_ALLOWED");
  });

  test("HS256 with the public key as its secret", async () => {
    const claims = encode(decodeJwt(await house.tokenTo(GRAFANA, "/g3", ada)));
    const [key] = jwks.keys;
    const pem = createPublicKey({ key: key as never, format: "jwk" }).export({ type: "spki", format: "pem" });
    const input = `${encode({ alg: "HS256", kid: key?.kid })}.${claims}`;
    const signature = createHmac("sha256", pem).update(input).digest("base64url");
    expect(await refusal(`${input}.${signature}`)).toBe("ERR_JOSE_ALG_NOT_ALLOWED");
  });
});

test("G4: a token is in no line of the log, at any level", async () => {
  const token = await house.tokenTo(GRAFANA, "/g4", ada);
  await house.tokensTo(GRAFANA, "/g4", [`Cookie: ${ada}`, `X-Runegate-JWT: ${token}`]);
  const lines = house.gateway.lines.join("\n");
  expect(lines).toContain("/g4");
  for (const part of token.split(".").slice(1)) expect(lines).not.toContain(part);
});

test("G5: whose login has ended gets no more of them; the last is good until it runs out", async () => {
  const cookie = await house.gateway.signIn("eve@example.org");
  const token = await house.tokenTo(GRAFANA, "/g5", cookie);
  const before = house.upstream.to("/g5").length;
  await house.gateway.gateway.sessions.endAll(parseAddress("eve@example.org"));
  await expect(house.tokenTo(GRAFANA, "/g5", cookie)).rejects.toThrow();
  expect(house.upstream.to("/g5")).toHaveLength(before);
  expect((await verify(token, jwks, GRAFANA, clock.now())).email).toBe("eve@example.org");
  const late = verify(token, jwks, GRAFANA, clock.now() + 10 * MINUTE + 31_000);
  expect(await late.catch(codeOf)).toBe("ERR_JWT_EXPIRED");
});

test("what is kept of a login goes with it, after a reload too", async () => {
  const { policy, routes, sessions } = house.gateway.gateway;
  const email = parseAddress("kim@example.org");
  for (const reloads of [false, true]) {
    const cookie = await house.gateway.signIn(email);
    let at = house.gateway.gateway;
    if (reloads) {
      at = createGateway({ ...at, mailer: house.gateway.mailbox, routesFile: undefined });
      at.start();
    }
    const [session] = await sessions.list(email);
    const id = session?.id ?? "";
    const [route] = at.routes.all;
    const told = { ...(route ?? routes.all[0]), identity: "jwt" } as Route;
    const who = {
      subject: { email },
      ...policy.standingOf({ email }),
      proof: { kind: "session", id },
      provenAt: 0,
    };
    const token = at.identityToken(who, told);
    expect([cookie !== "", at.identityToken(who, told)]).toEqual([true, token]);
    await sessions.end(id);
    expect(at.identityToken(who, told)).not.toBe(token);
    if (reloads) await at.stop();
  }
});

describe("runegate token", () => {
  const command = async (token: string, env: Record<string, string> = {}) => {
    const all = {
      RUNEGATE_BASE_URL: HOME,
      RUNEGATE_SESSION_KEY: KEY,
      RUNEGATE_ALLOW_ANY_EMAIL: "true",
      ...env,
    };
    const ran = startProcess(runegate("token", token), all);
    return { code: await ran.exited, output: ran.output() };
  };

  test("says what an application would say of a token for it", async () => {
    const own = await startHouse({ env: { RUNEGATE_SESSION_KEY: KEY } });
    const token = await own.tokenTo(GRAFANA, "/command", await own.gateway.signIn());
    await own.stop();
    const good = await command(token);
    expect(good).toEqual({
      code: 0,
      output: expect.stringContaining("verdict: good, to tell the application"),
    });
    expect(good.output).toContain('"aud": "https://grafana.example.org"');
    for (const [what, given, env, words] of [
      ["another key", token, { RUNEGATE_SESSION_KEY: "7".repeat(128) }, "none of this configuration's keys"],
      [
        "the key before",
        token,
        { RUNEGATE_SESSION_KEY: "7".repeat(128), RUNEGATE_SESSION_KEY_PREVIOUS: KEY },
        "good",
      ],
      ["another base URL", token, { RUNEGATE_BASE_URL: "http://localhost:1" }, "issued by another"],
      ["a changed one", `${token.slice(0, -6)}AAAAAA`, {}, "or was changed"],
      ["an old one", await house.tokenTo(GRAFANA, "/command", ada), {}, "it has expired"],
      ["another algorithm", token, { RUNEGATE_DOWNSTREAM_JWT_ALG: "EdDSA" }, "another algorithm"],
    ] as const) {
      const { code, output } = await command(given, env);
      expect([what, code, output.includes(words)]).toEqual([what, words === "good" ? 0 : 1, true]);
    }
  });
});

describe("G6: a rotation of the session key", () => {
  /** Asks for keys when those it has are ten minutes old, and then only, unlike libraries that ask about a key they miss. */
  class Verifier {
    #keys: JSONWebKeySet | undefined;
    #fetchedAt: number;
    constructor(now: number, age: number) {
      this.#fetchedAt = now - age;
    }
    async check(token: string, from: House, now: number): Promise<void> {
      if (this.#keys === undefined || now - this.#fetchedAt >= 10 * MINUTE) {
        // The first time as long ago as is said.
        if (this.#keys !== undefined) this.#fetchedAt = now;
        this.#keys = await from.jwks();
      }
      await verify(token, this.#keys, GRAFANA, now);
    }
  }

  test("is never noticed by verifiers that ask for keys every ten minutes", async () => {
    const own = testClock();
    const stores = createMemoryStore({ clock: own });
    const start = (key: string, previous: string) =>
      startHouse({
        clock: own,
        stores,
        env: {
          RUNEGATE_SESSION_KEY: key,
          RUNEGATE_SESSION_KEY_PREVIOUS: previous,
          // Signed so often that the change of keys is seen when it comes.
          RUNEGATE_DOWNSTREAM_JWT_TTL: "60s",
        },
      });
    let at = await start(KEY, "");
    let cookie = await at.gateway.signIn();
    const verifiers = Array.from({ length: 20 }, (_, i) => new Verifier(own.now(), i * 30_000));
    const kids: (string | undefined)[] = [];
    const seconds = 30;
    async function live(minutes: number) {
      for (let i = 0; i < (minutes * 60) / seconds; i++) {
        const token = await at.tokenTo(GRAFANA, "/g6", cookie);
        kids.push(decodeProtectedHeader(token).kid);
        for (const verifier of verifiers) await verifier.check(token, at, own.now());
        own.advance(seconds * 1000);
      }
      return kids.splice(0);
    }

    const before = new Set(await live(12));
    expect(before.size).toBe(1);
    await at.stop();
    at = await start("6".repeat(128), KEY);
    const overlap = await live(10);
    expect(new Set(overlap)).toEqual(before);
    // The tokens that were signed last are good for some minutes more.
    const after = await live(15);
    const [fresh] = after.slice(-1);
    expect([before.has(fresh), new Set(after).size]).toEqual([false, 2]);
    await at.stop();
    at = await start("6".repeat(128), "");
    cookie = await at.gateway.signIn();
    expect(new Set(await live(12))).toEqual(new Set([fresh]));
    await at.stop();
  });
});

describe("G7: the public keys", () => {
  test("are public, and nothing but public", async () => {
    const members = jwks.keys.map((key) => Object.keys(key).sort());
    expect(members).toEqual([["alg", "crv", "kid", "kty", "use", "x", "y"]]);
  });

  test("are there for every host and page, for ten minutes", async () => {
    for (const host of ["app.example.org", "grafana.example.org", "10.0.0.1", "unheard.example"]) {
      const url = `${house.gateway.url}/_runegate/jwks.json`;
      const response = await fetch(url, { headers: { Host: host } });
      expect(response.status).toBe(200);
      expect(Object.fromEntries(response.headers)).toMatchObject({
        "content-type": "application/jwk-set+json",
        "access-control-allow-origin": "*",
        "cache-control": "public, max-age=600",
        etag: expect.stringMatching(/^"[\w-]+"$/),
      });
      const headers = { Host: host, "If-None-Match": response.headers.get("etag") ?? "" };
      expect((await fetch(url, { headers })).status).toBe(304);
      const head = await fetch(url, { method: "HEAD", headers: { Host: host } });
      expect([head.status, await head.text()]).toEqual([200, ""]);
      expect((await fetch(url, { method: "POST", headers: { Host: host } })).status).toBe(405);
    }
  });

  test("a shared secret is none of them", async () => {
    const env = { RUNEGATE_DOWNSTREAM_JWT_ALG: "HS256", RUNEGATE_DOWNSTREAM_JWT_SECRET: "h".repeat(32) };
    const shared = await startHouse({ env });
    const token = await shared.tokenTo(GRAFANA, "/g7", await shared.gateway.signIn());
    expect(decodeProtectedHeader(token)).toEqual({ alg: "HS256", typ: "JWT" });
    expect(await shared.jwks()).toEqual({ keys: [] });
    await shared.stop();
  });

  test("are at another path too, where one is chosen, and not the application's", async () => {
    const path = "/.well-known/jwks.json";
    const env = {
      RUNEGATE_DOWNSTREAM_JWKS_PATH: path,
      RUNEGATE_ROOT_PATHS: "false",
      RUNEGATE_SESSION_KEY: KEY,
    };
    const chosen = await startHouse({ env });
    for (const host of ["grafana.example.org", "unheard.example"])
      expect(await chosen.jwks(host, path)).toEqual(jwks);
    expect(chosen.upstream.requests).toEqual([]);
    await chosen.stop();
  });

  test.each([
    ["without an application that gets tokens", {}, 404],
    ["unless it is asked for", { RUNEGATE_DOWNSTREAM_JWKS_ENABLED: "true" }, 200],
    ["with one", { RUNEGATE_IDENTITY_MODE: "jwt" }, 200],
    [
      "but for those who do not want it",
      { RUNEGATE_IDENTITY_MODE: "jwt", RUNEGATE_DOWNSTREAM_JWKS_ENABLED: "false" },
      404,
    ],
  ] as const)("%s", async (_, env, status) => {
    const { startGateway } = await import("../support/gateway.ts");
    const gateway = await startGateway({ env });
    expect((await fetch(`${gateway.url}/_runegate/jwks.json`)).status).toBe(status);
    await gateway.stop();
  });
});

test("G9: a public path without a session has no token, and with one it has", async () => {
  expect(await house.tokensTo(GRAFANA, "/open")).toEqual([]);
  expect(await house.tokensTo(GRAFANA, "/open", [`Cookie: ${ada}`])).toHaveLength(1);
});

describe("G10: what tokens cannot be signed with keeps Runegate from starting", () => {
  const pem = (key: KeyObject) => key.export({ type: "pkcs8", format: "pem" }).toString();
  const ec = (namedCurve: string) => pem(generateKeyPairSync("ec", { namedCurve }).privateKey);
  const rsa = (modulusLength: number) => pem(generateKeyPairSync("rsa", { modulusLength }).privateKey);
  const ed = () => pem(generateKeyPairSync("ed25519").privateKey);
  const b64 = (text: string) => Buffer.from(text).toString("base64");
  const table: [string, string | undefined, Record<string, string>, string][] = [
    ["RS256 without a key", undefined, { ALG: "RS256" }, "no key"],
    ["HS256 without a secret", undefined, { ALG: "HS256" }, "no secret"],
    ["a short secret", undefined, { ALG: "HS256", SECRET: "short" }, "too short"],
    ["the secret of login links", undefined, { ALG: "HS256", SECRET: "j".repeat(64) }, "own secrets"],
    ["RSA of 1024 bits", rsa(1024), { ALG: "RS256" }, "1024 bits"],
    ["P-384", ec("secp384r1"), {}, "secp384r1"],
    ["a key of another algorithm", ed(), {}, "EdDSA"],
    ["no key in it", "hello", {}, "no private key"],
    [
      "a public key",
      pem(generateKeyPairSync("ed25519").privateKey).replaceAll("PRIVATE", "PUBLIC"),
      {},
      "no private key",
    ],
    ["a broken one", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", {}, "no private key"],
    ["a secret in a JWK set", '{"keys":[{"kty":"oct","k":"AAAA"}]}', {}, "no private key"],
    ["two ways at once", ec("prime256v1"), { PRIVATE_KEY_BASE64: b64(ec("prime256v1")) }, "Keep one"],
    ["a bearer in another header", undefined, { BEARER: "true" }, "Authorization"],
    ["a header that frames the message", undefined, { HEADER: "Content-Length" }, "not a header"],
  ];
  test.each(table)("%s", async (_, file, options, words) => {
    using machine = testMachine();
    const path =
      file === undefined ? {} : { RUNEGATE_DOWNSTREAM_JWT_PRIVATE_KEY_PATH: machine.write("key.pem", file) };
    const given = Object.entries(options).map(([name, value]) => [`RUNEGATE_DOWNSTREAM_JWT_${name}`, value]);
    const env = {
      RUNEGATE_IDENTITY_MODE: "jwt",
      RUNEGATE_JWT_SECRET: "j".repeat(64),
      RUNEGATE_ALLOW_ANY_EMAIL: "true",
      ...path,
      ...Object.fromEntries(given),
    };
    const check = startProcess(runegate("serve"), env, machine.directory);
    expect(await check.exited).toBe(78);
    expect(check.output()).toContain(words);
    for (const line of file?.split("\n").filter((one) => one.length > 20 && !one.startsWith("-")) ?? []) {
      expect(check.output()).not.toContain(line);
    }
  });

  test.each([
    ["ES256", ec("prime256v1")],
    ["EdDSA", ed()],
    ["RS256", rsa(2048)],
  ])("%s with a key of its kind signs by it", async (alg, key) => {
    for (const name of ["PATH", "BASE64"]) {
      using machine = testMachine();
      const older = ec("prime256v1");
      const given = name === "PATH" ? machine.write("key.pem", key + older) : b64(key + older);
      const env = {
        RUNEGATE_DOWNSTREAM_JWT_ALG: alg,
        [`RUNEGATE_DOWNSTREAM_JWT_PRIVATE_KEY_${name}`]: given,
      };
      const own = await startHouse({ clock, env });
      const token = await own.tokenTo(GRAFANA, "/g10", await own.gateway.signIn());
      const keys = await own.jwks();
      expect(keys.keys.map((one) => one.alg)).toEqual([alg, "ES256"]);
      expect(decodeProtectedHeader(token)).toMatchObject({ alg, kid: keys.keys[0]?.kid });
      expect((await verify(token, keys, GRAFANA, clock.now(), [alg])).sub).toBe("ada@example.org");
      await own.stop();
    }
  });

  test("a JWK set is as good as PEM, and its keys the same", async () => {
    using machine = testMachine();
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const set = machine.write("keys.json", JSON.stringify({ keys: [await exportJWK(privateKey)] }));
    const own = await startHouse({ env: { RUNEGATE_DOWNSTREAM_JWT_PRIVATE_KEY_PATH: set } });
    const same = await startHouse({
      env: { RUNEGATE_DOWNSTREAM_JWT_PRIVATE_KEY_BASE64: b64(pem(privateKey)) },
    });
    expect(await own.jwks()).toEqual(await same.jwks());
    await Promise.all([own.stop(), same.stop()]);
  });
});

describe("G11: no kind of token is taken for another", () => {
  test("a login link is no identity", async () => {
    const { gateway } = house.gateway;
    const tickets = createTickets(gateway.keys, { audience: HOME, clock });
    const link = tickets.sign(LOGIN_LINK, {
      jti: "j",
      email: parseAddress("ada@example.org"),
      next: "/",
      binding: "b",
      from: "",
      issuedAt: clock.now(),
      expiresAt: clock.now() + MINUTE,
    });
    expect(await refusal(link, HOME)).toBe("ERR_JOSE_ALG_NOT_ALLOWED");
  });

  test.each(["ES256", "HS256"])("an identity by %s is no login link", async (alg) => {
    const env = { RUNEGATE_DOWNSTREAM_JWT_ALG: alg, RUNEGATE_DOWNSTREAM_JWT_SECRET: "h".repeat(64) };
    const own = await startHouse({ env });
    const cookie = await own.gateway.signIn();
    const token = await own.tokenTo(GRAFANA, "/g11", cookie);
    const redeemed = await fetch(`${own.gateway.url}/_runegate/auth`, {
      method: "POST",
      headers: { Host: "app.example.org", Origin: HOME, "Content-Type": "application/json" },
      body: JSON.stringify({ token }),
    });
    expect([redeemed.status, redeemed.headers.getSetCookie()]).toEqual([401, []]);
    await own.stop();
  });

  test("a session cookie is signed by nothing that signs identities", async () => {
    const forged = await new SignJWT({}).setProtectedHeader({ alg: "HS256" }).sign(Buffer.from(KEY, "hex"));
    expect(await refusal(forged)).toBe("ERR_JOSE_ALG_NOT_ALLOWED");
  });
});

test("G12: four workers and another machine have one key", async () => {
  await using stage = await openStage({
    workers: 4,
    options: { RUNEGATE_IDENTITY_MODE: "jwt", RUNEGATE_SESSION_KEY: KEY },
  });
  const fronts = await frontOfEach(stage);
  expect(fronts).toHaveLength(4);
  for (const front of fronts) {
    const answer = await front.ask("GET /_runegate/jwks.json");
    expect(JSON.parse(answer.body.toString())).toEqual(jwks);
  }
});

test("G13: with fifty groups of the longest names a token is shorter than 4 KB", async () => {
  const names = Array.from({ length: 60 }, (_, i) => `${"g".repeat(30)}${i + 10}`);
  const groups = `[groups]\n${names.map((name) => `${name} = ["ada@example.org"]`).join("\n")}`;
  const large = await startHouse({ groups });
  const token = await large.tokenTo(GRAFANA, "/g13", await large.gateway.signIn());
  expect(decodeJwt(token).groups).toEqual(names.slice(0, 50));
  expect("x-runegate-jwt: ".length + token.length).toBeLessThan(4096);
  await large.stop();
});

describe("in the header Authorization", () => {
  const env = { RUNEGATE_DOWNSTREAM_JWT_HEADER: "Authorization", RUNEGATE_DOWNSTREAM_JWT_BEARER: "true" };
  test("it follows Bearer, and what the browser sends is removed there, and only there", async () => {
    const own = await startHouse({ env, clock });
    const cookie = await own.gateway.signIn();
    const sent = [`Cookie: ${cookie}`, "Authorization: Basic eDp5"];
    await own.tokensTo(GRAFANA, "/bearer", sent);
    await own.tokensTo(HOME, "/plain/bearer", sent);
    await own.tokensTo(GRAFANA, "/open", sent.slice(1));
    const authorization = (path: string) => own.upstream.to(path).at(-1)?.one("authorization");
    const [word, token = ""] = authorization("/bearer")?.split(" ") ?? [];
    expect(word).toBe("Bearer");
    expect((await verify(token, await own.jwks(), GRAFANA, clock.now())).email).toBe("ada@example.org");
    expect(authorization("/plain/bearer")).toBe("Basic eDp5");
    expect(authorization("/open")).toBeUndefined();
    await own.stop();
  });
});
