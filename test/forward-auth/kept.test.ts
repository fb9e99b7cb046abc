import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { check, type Edge } from "./support.ts";

/** What an edge may keep for two seconds, without a look at the path: where nothing but the credential and the method decides. */

const route = (name: string, more: string) => `
  [[routes]]
  name = "${name}"
  host = "${name}.example.org"
  external = true
  ${more}
`;
const PLAIN = "websocket = false";

let gateway: TestGateway;
let ada: string;
beforeAll(async () => {
  gateway = await startGateway({
    env: { RUNEGATE_BASE_URL: "https://plain.example.org" },
    routes: [
      route("plain", PLAIN),
      route("any-page", 'websocket_origins = "*"'),
      route("public", `${PLAIN}\npublic_paths = ["/x"]`),
      route("methods", `${PLAIN}\nmethods = ["GET"]`),
      route("preflight", `${PLAIN}\ncors_preflight = true`),
      route("fresh", `${PLAIN}\nmax_age = "1h"`),
      route("sockets", ""),
      route("below", `${PLAIN}\npath = "/below"`),
      route("several", PLAIN),
      route("several-too", `${PLAIN}\npath = "/b"`).replace("several-too.", "several."),
      route("others", `${PLAIN}\nallow = ["eve@example.org"]`),
      route("everybody", `${PLAIN}\nallow = ["public"]`),
    ].join("\n"),
  });
  ada = await gateway.signIn("ada@example.org");
});
afterAll(() => gateway.stop());

const HOST = "X-Runegate-Cache: host";

async function said(host: string, fields: readonly string[], edge: Edge = "nginx") {
  const url = `https://${host}.example.org/below/x`;
  const answer = await check(gateway.port, edge, { url, fields });
  return [answer.status, answer.one("cache-control")];
}
const as = (cookie: string, ...more: string[]) => [`Cookie: ${cookie}`, ...more];

test("a session, on a host with one route and no rule of its own, may be kept for two seconds", async () => {
  expect(await said("plain", as(ada, HOST))).toEqual([200, "max-age=2"]);
  expect(await said("plain", as(`a=1; ${ada}; b=2`, HOST))).toEqual([200, "max-age=2"]);
  expect(await said("any-page", as(ada, HOST))).toEqual([200, "max-age=2"]);
});

test("and not where the edge says nothing of it, or something else, or is another", async () => {
  for (const fields of [[], ["X-Runegate-Cache: path"], ["X-Runegate-Cache: HOST"], [HOST, HOST]]) {
    expect(await said("plain", as(ada, ...fields))).toEqual([200, "no-store"]);
  }
  for (const edge of ["traefik", "caddy", "envoy", "haproxy", "challenge"] as const) {
    expect(await said("plain", as(ada, HOST), edge)).toEqual([200, "no-store"]);
  }
  // What was made for the one is not said to the other.
  expect(await said("plain", as(ada, HOST))).toEqual([200, "max-age=2"]);
  expect(await said("plain", as(ada))).toEqual([200, "no-store"]);
});

describe("never where a path, a header or the time could change the verdict", () => {
  test.each(["public", "methods", "preflight", "fresh", "sockets", "below", "several"])(
    "%s",
    async (host) => {
      expect(await said(host, as(ada, HOST))).toEqual([200, "no-store"]);
    },
  );
});

test("never what is refused, or said of nobody", async () => {
  expect(await said("plain", [HOST])).toEqual([401, "no-store"]);
  expect(await said("others", as(ada, HOST))).toEqual([403, "no-store"]);
  expect(await said("unknown", as(ada, HOST))).toEqual([403, "no-store"]);
  expect(await said("everybody", [HOST])).toEqual([200, "no-store"]);
});

describe("never where an edge might have another cookie in its key than the one that decides", () => {
  test.each([
    ["planted before it", (cookie: string) => `runegate_id=${"x".repeat(43)}; ${cookie}`],
    ["planted behind it", (cookie: string) => `${cookie}; runegate_id=x`],
    ["in capitals", (cookie: string) => `RUNEGATE_ID=x; ${cookie}`],
    ["with a blank", (cookie: string) => `runegate_id =x; ${cookie}`],
    ["without a value", (cookie: string) => `runegate_id; ${cookie}`],
    ["the same twice", (cookie: string) => `${cookie}; ${cookie}`],
  ])("%s", async (_, cookies) => {
    expect(await said("plain", as(cookies(ada), HOST))).toEqual([200, "no-store"]);
  });
});
