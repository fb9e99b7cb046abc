import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createForwardAuth } from "../../src/forward-auth/forward-auth.ts";
import { isPrincipal, type Principal } from "../../src/identity/principal.ts";
import { createRequestCounts } from "../../src/metrics/requests.ts";
import { PLAIN } from "../../src/pages/look.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { StoreUnavailable } from "../../src/store/records.ts";
import { testClock } from "../support/clock.ts";
import { startGateway, type TestGateway, type TestGatewaySettings } from "../support/gateway.ts";
import { SILENT } from "../support/silent.ts";
import { intercepted } from "../support/store.ts";
import { check, EDGES, errorOf, NAVIGATION, original } from "./support.ts";

/** Whom checks are answered to, and what is said when nobody can tell who is asking. */

const BASE = { RUNEGATE_BASE_URL: "https://app.example.org" };
const open: TestGateway[] = [];
afterEach(async () => {
  for (const gateway of open.splice(0)) await gateway.stop();
});
async function start(settings: TestGatewaySettings): Promise<TestGateway> {
  const gateway = await startGateway({ ...settings, env: { ...BASE, ...settings.env } });
  open.push(gateway);
  return gateway;
}

test("A19: a peer that is not trusted gets 401, and one warning a minute names it", async () => {
  const clock = testClock();
  const gateway = await start({
    clock,
    env: { RUNEGATE_TRUSTED_PROXIES: "10.0.0.0/8" },
  });
  const fields = [`Cookie: ${await gateway.signIn()}`, ...NAVIGATION];
  const said = () => gateway.lines.filter((line) => line.includes("RUNEGATE_TRUSTED_PROXIES"));
  for (const edge of EDGES) {
    const answer = await check(gateway.port, edge, { fields });
    expect([edge, answer.status, answer.one("location")]).toEqual([edge, 401, undefined]);
    if (edge !== "haproxy") expect(errorOf(answer)).toBe("untrusted_peer");
  }
  expect(said()).toHaveLength(1);
  expect(said()[0]).toContain("127.0.0.1");
  clock.advance(60_000);
  await check(gateway.port, "nginx", { fields });
  expect(said()).toHaveLength(2);
});

test("no path is exempt for being one of Runegate's own", async () => {
  const gateway = await start({ env: { RUNEGATE_TRUSTED_PROXIES: "" } });
  const answer = await check(gateway.port, "nginx", { url: "https://app.example.org/_runegate/static/x" });
  expect(answer.status).toBe(401);
});

test("whoever may open the socket for checks is trusted", async () => {
  const directory = mkdtempSync(join(tmpdir(), "runegate-check-"));
  const path = join(directory, "check.sock");
  const gateway = await start({
    env: { RUNEGATE_TRUSTED_PROXIES: "", RUNEGATE_CHECK_LISTEN: `unix:${path}` },
  });
  const headers = Object.fromEntries(
    original({ fields: [`Cookie: ${await gateway.signIn()}`] }).map(
      (line) => line.split(/: (.*)/) as [string, string],
    ),
  );
  const answer = await fetch("http://runegate/_runegate/check/nginx", { unix: path, headers });
  expect([answer.status, answer.headers.get("remote-user")]).toEqual([200, "ada@example.org"]);
  const other = await fetch("http://runegate/", { unix: path });
  expect(other.status).toBe(400);
  rmSync(directory, { recursive: true });
});

test("A6: a store that cannot be asked is 503, and lets nobody pass", async () => {
  let isAway: false | "later" | "at once" = false;
  const stores = intercepted(createMemoryStore({ clock: testClock() }), ({ go }) => {
    if (isAway === "later") return Promise.reject(new StoreUnavailable("away"));
    if (isAway === "at once") throw new StoreUnavailable("away");
    return go();
  });
  const gateway = await start({ stores, clock: testClock() });
  const cookie = await gateway.signIn();
  const fields = [`Cookie: ${cookie}`, ...NAVIGATION];
  expect((await check(gateway.port, "nginx", { fields })).status).toBe(200);
  for (const how of ["later", "at once"] as const) {
    isAway = how;
    for (const edge of EDGES) {
      const answer = await check(gateway.port, edge, { fields });
      expect([edge, how, answer.status, answer.all("remote-user")]).toEqual([edge, how, 503, []]);
    }
  }
});

test("one application of the environment is asked for by its own name alone", async () => {
  const gateway = await start({});
  const fields = [`Cookie: ${await gateway.signIn()}`];
  const statusOf = async (url: string) => (await check(gateway.port, "nginx", { url, fields })).status;
  expect(await statusOf("https://app.example.org/")).toBe(200);
  expect(await statusOf("http://app.example.org/")).toBe(200);
  expect(await statusOf("https://other.example.org/")).toBe(403);
  expect(await statusOf("https://10.0.0.1/")).toBe(403);
});

test("with a port in the base URL, the edge need not say it", async () => {
  const gateway = await start({ env: { RUNEGATE_BASE_URL: "https://app.example.org:8443" } });
  const fields = [`Cookie: ${await gateway.signIn()}`];
  const statusOf = async (url: string) => (await check(gateway.port, "nginx", { url, fields })).status;
  expect(await statusOf("https://app.example.org/")).toBe(200);
  expect(await statusOf("https://app.example.org:8443/")).toBe(200);
  expect(await statusOf("https://app.example.org:443/")).toBe(403);
  const answer = await check(gateway.port, "challenge", {
    url: "https://app.example.org/x",
    fields: NAVIGATION,
  });
  expect(answer.one("location")).toBe("https://app.example.org:8443/_runegate/login?next=%2Fx");
});

test("plain http will do where the base URL is of the loopback", async () => {
  const gateway = await start({
    env: { RUNEGATE_BASE_URL: "http://localhost:7870", RUNEGATE_SECURE_COOKIE: "false" },
  });
  const fields = [`Cookie: ${await gateway.signIn()}`];
  for (const url of ["http://localhost:7870/", "ws://localhost:7870/", "http://localhost/"]) {
    expect([url, (await check(gateway.port, "traefik", { url, fields })).status]).toEqual([url, 200]);
  }
});

test("an address of no use in Host is 400 for a check as well", async () => {
  const gateway = await start({ env: { RUNEGATE_CHECK_LISTEN: "127.0.0.1:0" } });
  for (const url of [gateway.url, gateway.checkUrl]) {
    const headers = {
      Host: "a:99999",
      "X-Original-URL": "https://app.example.org/",
      "X-Original-Method": "GET",
    };
    expect((await fetch(`${url}/_runegate/check/nginx`, { headers })).status).toBe(400);
  }
});

test("A16: a key in Authorization decides alone, and is cut out; the identity token is asked for each time", async () => {
  const gateway = await start({});
  const { options, routes } = gateway.gateway;
  const robot: Principal = {
    subject: { service: "backup" },
    groups: new Set(),
    proof: { kind: "key", id: "k1" },
    provenAt: 0,
  };
  let isGood = true;
  let token = "t1";
  const { find } = createForwardAuth({
    ...options,
    routes,
    admit: {
      identify: (_, { headers }) =>
        headers.authorization?.includes("rg_") ? (isGood ? robot : "refused") : undefined,
      decide: ({ who }) =>
        !isPrincipal(who)
          ? { verdict: "challenge", refused: who === "refused", again: false }
          : { verdict: "allow", principal: who },
    },
    isOwnCredential: (text) => text.includes("rg_"),
    identityToken: () => token,
    closedBecause: () => undefined,
    clock: testClock(),
    audit: () => {},
    requestLog: () => {},
    counts: createRequestCounts(gateway.gateway.metrics),
    log: SILENT,
  });
  const ask = (edge: string) => {
    const headers = {
      ...{ "x-forwarded-method": "GET", "x-forwarded-proto": "https", "x-forwarded-host": "app.example.org" },
      ...{
        "x-forwarded-uri": "/",
        authorization: "Bearer rg_x",
        accept: "text/html",
        cookie: "runegate_id=x",
      },
    };
    const path = `/_runegate/check/${edge}`;
    return find(
      path,
      false,
    )?.({
      id: "1",
      request: new Request(`http://runegate${path}`, { headers }),
      method: "GET",
      headers,
      target: { path, search: "" },
      client: {
        ip: "::1",
        proto: "https",
        host: "runegate",
        forwardedFor: "",
        peerTrusted: true,
        ipIsCertain: true,
      },
      cookies: { valuesOf: () => [], ambiguous: false, rest: undefined },
      lookOf: () => PLAIN,
      startedAt: 0,
    });
  };
  const named = [
    "authorization",
    "x-authenticated-token-id",
    "remote-user",
    "remote-email",
    "x-runegate-jwt",
  ];
  const said = async () => {
    const answer = await ask("caddy");
    return named.map((name) => answer?.headers.get(name));
  };
  expect(await said()).toEqual(["", "k1", "service:backup", "", "t1"]);
  token = "t2";
  expect((await said()).at(-1)).toBe("t2");
  isGood = false;
  const refused = await ask("caddy");
  expect([refused?.status, refused?.headers.get("location")]).toEqual([401, null]);
});
