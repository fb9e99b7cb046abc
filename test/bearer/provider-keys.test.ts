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
import { DAY, HOUR, MINUTE, SECOND } from "../../src/option/values.ts";
import { asUser } from "../api/support.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { startProvider, type TestProvider } from "./support.ts";

/** The provider's keys: how often they are asked for, for how long they are good, and what else may come in their place. */

setDefaultTimeout(30_000);

let provider: TestProvider;
let gateway: TestGateway;
let clock: TestClock;
/** Paths that were asked for. */
let asked: string[];
/** What happens on the way to the provider. */
let onTheWay: (url: string) => Response | Promise<Response> | undefined;

beforeAll(async () => {
  provider = await startProvider();
});
afterAll(() => provider.stop());

beforeEach(() => {
  asked = [];
  onTheWay = () => undefined;
  clock = testClock(Date.now());
});
afterEach(() => gateway.stop());

async function start(env: Record<string, string> = {}): Promise<void> {
  gateway = await startGateway({
    env: { ...provider.env, ...env },
    clock,
    fetch: async (url, init) => {
      asked.push(new URL(url).pathname);
      return (await onTheWay(url)) ?? fetch(url, init);
    },
  });
}

async function ask(header: Record<string, unknown> = {}) {
  const now = Math.floor(clock.now() / 1000);
  const token = await provider.forge({ iat: now, exp: now + 60 }, header);
  return asUser(gateway)("GET", "/session", { headers: { Authorization: `Bearer ${token}` } });
}
const statusOf = async (header?: Record<string, unknown>) => (await ask(header)).status;

const DISCOVERY = "/.well-known/openid-configuration";
const JWKS = "/jwks";
const ONCE = [DISCOVERY, JWKS];
/** On the curve: the base point of P-256 (NIST SP 800-186 §3.2.1.3). */
const NO_PRIVATE_KEY = {
  x: Buffer.from("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296", "hex").toString(
    "base64url",
  ),
  y: Buffer.from("4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5", "hex").toString(
    "base64url",
  ),
};

describe("are asked for", () => {
  test("by nobody until somebody comes with a token, and once by all who come together", async () => {
    await start();
    expect((await asUser(gateway)("GET", "/session")).status).toBe(401);
    expect(asked).toEqual([]);
    const all = await Promise.all(Array.from({ length: 50 }, () => statusOf()));
    expect([all.every((status) => status === 200), asked]).toEqual([true, ONCE]);
  });

  test("again after ten minutes, and not before", async () => {
    await start();
    await statusOf();
    clock.advance(10 * MINUTE - 1);
    await statusOf();
    expect(asked).toEqual(ONCE);
    clock.advance(1);
    expect([await statusOf(), asked]).toEqual([200, [...ONCE, ...ONCE]]);
  });

  test("for an unknown key at most every 30 s (B16)", async () => {
    await start();
    await statusOf();
    const unknown = async () => [await statusOf({ kid: crypto.randomUUID() }), asked.length];
    expect([await unknown(), await unknown()]).toEqual([
      [401, 2],
      [401, 2],
    ]);
    clock.advance(30 * SECOND - 1);
    expect(await unknown()).toEqual([401, 2]);
    clock.advance(1);
    expect([await unknown(), await unknown(), await statusOf()]).toEqual([[401, 4], [401, 4], 200]);
  });

  test("and a new key is good as soon as it is published, but for those 30 s", async () => {
    onTheWay = (url) => (url.endsWith(JWKS) ? Response.json({ keys: [] }) : undefined);
    await start();
    expect(await statusOf()).toBe(401);
    onTheWay = () => undefined;
    expect(await statusOf()).toBe(401);
    clock.advance(30 * SECOND);
    expect(await statusOf()).toBe(200);
  });

  test("and one that is withdrawn is good for ten minutes at most", async () => {
    await start();
    await statusOf();
    onTheWay = (url) => (url.endsWith(JWKS) ? Response.json({ keys: [] }) : undefined);
    clock.advance(10 * MINUTE);
    expect(await statusOf()).toBe(401);
  });

  test("where the operator says, without discovery", async () => {
    await start({ RUNEGATE_OIDC_JWKS_URL: `${provider.issuer}${JWKS}` });
    expect([await statusOf(), asked]).toEqual([200, [JWKS]]);
    const now = Math.floor(clock.now() / 1000);
    const token = await provider.forge({ iss: "https://other.example", exp: now + 60 });
    const other = await asUser(gateway)("GET", "/session", { headers: { Authorization: `Bearer ${token}` } });
    expect(other.status).toBe(401);
  });
});

describe("of a provider that is down", () => {
  test("are had from when it was not, for an hour more, and then nobody is let in", async () => {
    await start();
    expect(await statusOf()).toBe(200);
    await provider.stop();
    try {
      clock.advance(HOUR);
      expect([await statusOf(), await statusOf(), asked.length]).toEqual([200, 200, 3]);
      clock.advance(10 * MINUTE - 1);
      expect(await statusOf()).toBe(200);
      clock.advance(1);
      const { status, body, headers } = await ask();
      expect([status, headers.get("retry-after"), body]).toMatchObject([
        503,
        "5",
        { error: "provider_unavailable" },
      ]);
    } finally {
      await provider.start();
    }
    clock.advance(30 * SECOND);
    expect(await statusOf()).toBe(200);
  });

  test("from the start let nobody in, whatever else they show, and somebody as soon as it is back", async () => {
    await start();
    const cookie = await gateway.signIn();
    await provider.stop();
    try {
      const now = Math.floor(clock.now() / 1000);
      const Authorization = `Bearer ${await provider.forge({ exp: now + 60 })}`;
      const both = await asUser(gateway, cookie)("GET", "/session", { headers: { Authorization } });
      expect(both.status).toBe(503);
      // Of those who come with a session, nobody notices.
      expect((await asUser(gateway, cookie)("GET", "/session")).status).toBe(200);
    } finally {
      await provider.start();
    }
    expect(await statusOf()).toBe(503);
    clock.advance(SECOND);
    expect(await statusOf()).toBe(200);
    expect(gateway.lines.join("\n")).toContain("keys cannot be had");
  });
});

describe("are not taken", () => {
  const away = (to: string) => new Response(null, { status: 302, headers: { Location: to } });
  const discovered = (changed: object) =>
    Response.json({ issuer: provider.issuer, jwks_uri: `${provider.issuer}${JWKS}`, ...changed });

  /** Everything else there is answered with the provider's keys, so that nothing else keeps them from being taken. */
  const instead = (changed: object) => (url: string) =>
    url.endsWith(DISCOVERY) ? discovered(changed) : fetch(`${provider.issuer}${JWKS}`);

  test("while they are what discovery names, wherever that is on this machine", async () => {
    onTheWay = instead({ jwks_uri: "http://localhost:1/keys" });
    await start();
    expect(await statusOf()).toBe(200);
  });

  test.each<[string, (url: string) => Response | Promise<Response> | undefined]>([
    ["of another issuer", instead({ issuer: "https://other.example" })],
    ["of the issuer with a slash", (url) => instead({ issuer: `${provider.issuer}/` })(url)],
    ["over http from elsewhere", instead({ jwks_uri: "http://keys.example/jwks" })],
    ["from a file", instead({ jwks_uri: "file:///etc/passwd" })],
    ["from nowhere", instead({ jwks_uri: undefined })],
    [
      "from null",
      (url) => (url.endsWith(DISCOVERY) ? Response.json(null) : fetch(`${provider.issuer}${JWKS}`)),
    ],
    ["with an error", () => new Response("{}", { status: 500 })],
    ["without any", (url) => (url.endsWith(JWKS) ? new Response(null, { status: 204 }) : undefined)],
    ["that are no keys", (url) => (url.endsWith(JWKS) ? Response.json({ keys: "none" }) : undefined)],
    ["that are no JSON", (url) => (url.endsWith(JWKS) ? new Response("<html>") : undefined)],
    [
      "that never end",
      (url) => (url.endsWith(JWKS) ? new Response(`{"keys":[]}${" ".repeat(300_000)}`) : undefined),
    ],
  ])("%s", async (_, way) => {
    onTheWay = way;
    await start();
    expect(await statusOf()).toBe(503);
    expect(asked.length).toBeLessThan(3);
    onTheWay = () => undefined;
    clock.advance(SECOND);
    expect(await statusOf()).toBe(200);
  });

  test("from where a redirect leads", async () => {
    const server = Bun.serve({ port: 0, fetch: () => away(`${provider.issuer}${JWKS}`) });
    await start({ RUNEGATE_OIDC_JWKS_URL: `http://127.0.0.1:${server.port}/` });
    expect(await statusOf()).toBe(503);
    await server.stop(true);
  });

  test("with a secret among them, which would be the key of HS256", async () => {
    onTheWay = (url) =>
      url.endsWith(JWKS) ? Response.json({ keys: [{ kty: "oct", kid: "rs256", k: "c2VjcmV0" }] }) : undefined;
    await start();
    expect(await statusOf()).toBe(401);
  });

  test.each([
    [
      "a point that is on no curve",
      { x: Buffer.alloc(32, 1).toString("base64url"), y: Buffer.alloc(32, 1).toString("base64url") },
    ],
    [
      "coordinates that are too large",
      { x: Buffer.alloc(32, 255).toString("base64url"), y: Buffer.alloc(32, 255).toString("base64url") },
    ],
    ["a coordinate that is too short", { x: "AA", y: "AA" }],
    ["a private key that is none", { ...NO_PRIVATE_KEY, d: "A".repeat(43) }],
  ])("with %s, whose error would meet the next visitor", async (_, point) => {
    onTheWay = (url) =>
      url.endsWith(JWKS)
        ? Response.json({ keys: [{ kty: "EC", crv: "P-256", kid: "bad", alg: "ES256", ...point }] })
        : undefined;
    await start();
    const token = await provider.forge();
    const parts = token.split(".");
    parts[0] = Buffer.from(JSON.stringify({ alg: "ES256", kid: "bad" })).toString("base64url");
    const headers = { Authorization: `Bearer ${parts.join(".")}` };
    expect((await asUser(gateway)("GET", "/session", { headers })).status).toBe(401);
    // What an import leaves behind is thrown by the next keyed hash.
    expect(() => new Bun.CryptoHasher("sha256", "key").update("text").digest()).not.toThrow();
  });

  test("in the place of tokens that never end: the clock of the wall does not count for keys", async () => {
    await start();
    await statusOf();
    clock.setWall(clock.now() + 365 * DAY);
    expect([await statusOf(), asked]).toEqual([200, ONCE]);
  });
});
