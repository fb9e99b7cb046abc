import { afterAll, beforeAll, expect, test } from "bun:test";
import { PROBE_AGENT } from "../../src/doctor/probes.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { StoreUnavailable } from "../../src/store/records.ts";
import { testClock } from "../support/clock.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { exchange } from "../support/raw.ts";
import { intercepted } from "../support/store.ts";
import { startUpstream, type Upstream } from "../support/upstream.ts";
import { examine, operatorOf, those } from "./support.ts";

/** What is noted of the requests that an operator sends, and that it is of no use to anybody else. */

let upstream: Upstream;
let gateway: TestGateway;
const clock = testClock();
let isAway = false;

beforeAll(async () => {
  upstream = await startUpstream();
  const stores = intercepted(createMemoryStore({ clock }), ({ go }) => {
    if (isAway) throw new StoreUnavailable("away");
    return go();
  });
  gateway = await startGateway({ target: upstream.url, stores, clock });
});
afterAll(async () => {
  await gateway.stop();
  upstream.stop();
});

const host = () => `Host: 127.0.0.1:${gateway.port}`;
const as = (nonce: string) => `User-Agent: ${PROBE_AGENT}${nonce}`;
const send = (line: string, ...lines: string[]) => exchange(gateway.port, line, [host(), ...lines]);
async function begin(): Promise<string> {
  return (await operatorOf(gateway).beginProbe()).nonce;
}
const arrivedWith = (nonce: string) => operatorOf(gateway).arrivedWith(nonce);

test("what arrived, by itself and as checks, in order; at most four", async () => {
  const nonce = await begin();
  await send("GET /page?a=1", as(nonce), "X-Forwarded-For: 203.0.113.9", `X-Forwarded-Prefix: /${nonce}`);
  await send(
    "GET /_runegate/check/nginx",
    as(nonce),
    `X-Original-URL: http://127.0.0.1:${gateway.port}/asked?b=2`,
    "X-Original-Method: GET",
    "Remote_User: eve",
    "Upgrade: H2C",
  );
  await send("GET /_runegate/check/caddy", as(nonce));
  for (let more = 0; more < 3; more++) await send("GET /", as(nonce));
  const arrived = await arrivedWith(nonce);
  const straight = { proto: "http", trusted: true, client: "127.0.0.1", hops: 1 };
  expect(arrived).toEqual([
    {
      ...straight,
      ...{ edge: null, problem: null, host: `127.0.0.1:${gateway.port}`, path: "/page?a=1", certain: true },
      ...{ client: "203.0.113.9", hops: 2, carried: ["x-forwarded-prefix"], identity: [], upgrade: null },
    },
    {
      ...straight,
      ...{
        edge: "nginx",
        problem: null,
        host: `127.0.0.1:${gateway.port}`,
        path: "/asked?b=2",
        certain: true,
      },
      ...{ carried: [], identity: ["remote_user"], upgrade: "h2c" },
    },
    expect.objectContaining({ edge: "caddy", problem: expect.stringContaining("X-Forwarded-Proto") }),
    expect.objectContaining({ edge: null, path: "/" }),
  ]);
});

test("a nonce lets nothing pass, and the application gets nothing", async () => {
  const nonce = await begin();
  expect((await send("GET /private", as(nonce))).status).toBe(401);
  expect((await send("POST /_runegate/api/doctor/probes", as(nonce))).status).toBe(401);
  expect(upstream.to("/private")).toEqual([]);
});

test("no value of a header is kept, whatever it is", async () => {
  const nonce = await begin();
  const secret = "c0ffee-secret";
  await send(
    "GET /",
    as(nonce),
    `Cookie: runegate_id=${secret}${nonce}`,
    `Authorization: Bearer ${secret}`,
    `X-Runegate-Key: ${secret}`,
    `Remote-User: ${secret}`,
  );
  const arrived = await arrivedWith(nonce);
  expect(arrived).toMatchObject([{ carried: ["cookie"], identity: ["remote-user"] }]);
  expect(JSON.stringify(arrived)).not.toContain(secret);
});

test("a nonce is good for a minute, and one that nobody gave out is none", async () => {
  const nonce = await begin();
  clock.advance(59_000);
  await send("GET /", as(nonce));
  expect(await arrivedWith(nonce)).toHaveLength(1);
  clock.advance(1_000);
  await send("GET /", as(nonce));
  await expect(arrivedWith(nonce)).rejects.toThrow();
  const invented = "0".repeat(32);
  await send("GET /", as(invented));
  await expect(arrivedWith(invented)).rejects.toThrow();
});

test("no more than 256 nonces are out at once, and a minute later there are new ones", async () => {
  clock.advance(70_000);
  const all = await Promise.allSettled(Array.from({ length: 300 }, begin));
  expect(all.filter(({ status }) => status === "fulfilled").length).toBe(256);
  const refused = all.flatMap((one) => (one.status === "rejected" ? [`${one.reason}`] : []));
  expect([...new Set(refused)]).toEqual([expect.stringMatching(/There is no room for more of these/)]);
  expect(gateway.lines.at(-1)).toMatch(/the store takes no more of a kind/);
  expect(gateway.lines.join()).not.toMatch(/the store cannot be reached/);
  clock.advance(70_000);
  expect(await begin()).toMatch(/^[0-9a-f]{32}$/);
});

test("a store that is away is no reason to answer otherwise", async () => {
  const nonce = await begin();
  isAway = true;
  const answer = await send("GET /page", as(nonce), "Accept: text/html", "Sec-Fetch-Mode: navigate");
  isAway = false;
  expect(answer.status).toBe(302);
  expect(await arrivedWith(nonce)).toEqual([]);
});

test("a user may not ask, by any path", async () => {
  const cookie = await gateway.signIn();
  const headers = { Cookie: cookie, Origin: gateway.url };
  const posted = await fetch(`${gateway.url}/_runegate/api/doctor/probes`, { method: "POST", headers });
  const looked = await fetch(`${gateway.url}/_runegate/api/doctor/probes/${await begin()}`, { headers });
  expect([posted.status, looked.status]).toEqual([403, 403]);
});

test("straight at Runegate all is well, but for what only an edge could do wrong", async () => {
  const findings = await examine(`${gateway.url}/page`, operatorOf(gateway));
  expect(those(findings, "wrong")).toEqual([]);
  expect(those(findings, "unknown")).toEqual([
    expect.stringContaining("X-Forwarded-Host: this machine is a trusted proxy"),
    expect.stringContaining("X-Forwarded-For: this machine is a trusted proxy"),
  ]);
  expect(upstream.to("/page")).toEqual([]);
});

test("a page that is open to everybody is no page to ask for", async () => {
  const open = await startGateway({
    routes: `[[routes]]\nname = "app"\ntarget = "${upstream.url}"\npublic_paths = ["/public/*"]\nallow = ["a@example.org"]`,
  });
  const findings = await examine(`${open.url}/public/x`, operatorOf(open));
  expect(findings[0]).toMatchObject({ name: "page", state: "unknown" });
  await open.stop();
});

test("without an instance to ask, it says what can be seen from outside", async () => {
  const findings = await examine(`${gateway.url}/page`, undefined);
  expect(those(findings, "wrong")).toEqual([]);
  expect(findings.filter(({ state }) => state === "ok").map(({ name }) => name)).toEqual([
    "page",
    "script",
    "form",
    "websocket",
  ]);
});

test("an application that nothing protects, seen from outside", async () => {
  upstream.on("/page", ({ reply }) => reply(200));
  const findings = await examine(`${upstream.url}/page`, undefined);
  const wrong = findings.filter(({ state }) => state === "wrong");
  expect(wrong).toMatchObject([
    { name: "page", detail: "200", remedy: expect.stringContaining("auth_request") },
  ]);
});

test("what does not reach the instance that is asked", async () => {
  const other = await startGateway({ target: upstream.url });
  const findings = await examine(`${other.url}/page`, operatorOf(gateway));
  expect(findings[0]).toMatchObject({ name: "page", state: "wrong" });
  expect(findings[0]?.detail).toContain("nothing of it arrived at the running instance");
  await other.stop();
});

test("where nothing listens, that is all there is to say", async () => {
  const findings = await examine("http://127.0.0.1:1/", operatorOf(gateway));
  expect(findings).toMatchObject([
    { name: "page", state: "wrong", detail: expect.stringContaining("no answer") },
  ]);
});
