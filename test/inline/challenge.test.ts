import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { exchange } from "../support/raw.ts";
import { startUpstream, type Upstream } from "../support/upstream.ts";

/** Who gets what without a session (CONTRACT section 4). */

let upstream: Upstream;
let gateway: TestGateway;

beforeAll(async () => {
  upstream = await startUpstream();
  gateway = await startGateway({ target: upstream.url, env: { RUNEGATE_LANDING_PATH: "/start" } });
});
afterAll(async () => {
  await gateway.stop();
  upstream.stop();
});

const PAGE = ["Sec-Fetch-Mode: navigate", "Accept: text/html"];
const OLD_BROWSER = ["Accept: text/html,application/xhtml+xml,*/*;q=0.8"];
const FETCH = ["Sec-Fetch-Mode: cors", "Accept: */*"];
const XHR = ["Accept: text/html", "X-Requested-With: XMLHttpRequest"];
const CURL = ["Accept: */*"];
const EVENTS = ["Accept: text/event-stream", "Sec-Fetch-Mode: cors"];
const UPGRADE = [
  "Connection: Upgrade",
  "Upgrade: websocket",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

const TO_LOGIN = "/_runegate/login?next=%2Fa%2Fb%3Fc%3Dd";
const TO_LANDING = "/_runegate/login?next=%2Fstart";

describe("without a session", () => {
  const pages = [
    ["a navigation", PAGE],
    ["an old browser's navigation", OLD_BROWSER],
  ] as const;
  const cases: Array<
    [what: string, method: string, fields: readonly string[], status: number, location: string | undefined]
  > = [];
  for (const [who, fields] of pages) {
    for (const method of ["GET", "HEAD"]) cases.push([who, method, fields, 302, TO_LOGIN]);
    for (const method of ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
      cases.push([who, method, fields, 303, TO_LANDING]);
  }
  for (const [who, fields] of [
    ["a fetch", FETCH],
    ["an XHR", XHR],
    ["curl", CURL],
    ["an event stream", EVENTS],
    ["nothing said", []],
  ] as const) {
    for (const method of ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
      cases.push([who, method, fields, 401, undefined]);
  }
  cases.push(["a WebSocket", "GET", UPGRADE, 401, undefined]);
  cases.push(["a WebSocket that looks like a navigation", "GET", [...UPGRADE, ...PAGE], 401, undefined]);
  cases.push([
    "a WebSocket from another origin",
    "GET",
    [...UPGRADE, "Origin: https://evil.example"],
    401,
    undefined,
  ]);
  cases.push([
    "a WebSocket in capitals",
    "GET",
    UPGRADE.map((field) => field.replace("websocket", "WebSocket")),
    401,
    undefined,
  ]);

  test.each(cases)("%s, %s", async (_, method, fields, status, location) => {
    const response = await exchange(gateway.port, `${method} /a/b?c=d`, [...fields, "Cookie: runegate_id=x"]);
    expect(response.status).toBe(status);
    expect(response.one("location")).toBe(location);
    expect(response.all("set-cookie")).toEqual([]);
    expect(response.one("cache-control")).toBe("no-store");
    if (status !== 401) {
      expect(response.body.toString()).toBe("");
      return;
    }
    expect(response.one("www-authenticate")).toBe(`Runegate realm="${gateway.url}"`);
    expect(response.one("upgrade")).toBeUndefined();
    if (method === "HEAD" || fields.includes("Sec-Fetch-Mode: navigate")) return;
    expect(response.one("content-type")).toBe("application/json; charset=utf-8");
    expect(JSON.parse(response.body.toString())).toEqual({
      error: "unauthenticated",
      message: "Your session has ended. Reload this page to sign in.",
      login_url: `${gateway.url}/_runegate/login`,
      request_id: expect.any(String),
    });
  });

  test("nothing of all this reached the application", () => {
    expect(upstream.requests).toEqual([]);
  });
});

describe("the page first asked for", () => {
  test.each([
    ["is named whole", "/a?b=c&d=%2F", "/_runegate/login?next=%2Fa%3Fb%3Dc%26d%3D%252F"],
    ["is named in its normal form", "/x/../a", "/_runegate/login?next=%2Fa"],
    ["is named without a fragment", "/a#b", "/_runegate/login?next=%2Fa"],
    ["is named with /proxy", "/proxy/a", "/_runegate/login?next=%2Fproxy%2Fa"],
    ["is left out where it is too long to be honored", `/${"a".repeat(2000)}`, "/_runegate/login"],
  ])("%s", async (_, path, location) => {
    expect((await exchange(gateway.port, `GET ${path}`, PAGE)).one("location")).toBe(location);
  });

  test("that another host could hide in ends at the login page and, after it, at the landing path", async () => {
    const cookie = await gateway.signIn();
    for (const path of ["//evil.example/", "/\\evil.example", "/%2fevil.example", "/%5cevil.example"]) {
      const challenged = (await exchange(gateway.port, `GET ${path}`, PAGE)).one("location") ?? "";
      expect(challenged).toStartWith("/_runegate/login?next=%2F");
      const after = await exchange(gateway.port, `GET ${challenged}`, [...PAGE, `Cookie: ${cookie}`]);
      expect([after.status, after.one("location")]).toEqual([302, "/start"]);
    }
  });
});

describe("no redirect goes round in circles", () => {
  test.each(["/", "/login?next=/login", "/_runegate/login?next=/_runegate/login", "/a", "/auth", "/logout"])(
    "from %s",
    async (start) => {
      let path: string = start;
      for (let hop = 0; hop < 3; hop++) {
        const response = await exchange(gateway.port, `GET ${path}`, [
          ...PAGE,
          "Cookie: runegate_id=stale; runegate_login=stale",
        ]);
        expect(response.all("set-cookie")).toEqual([]);
        const location = response.one("location");
        if (location === undefined) return;
        path = location;
      }
      throw new Error(`still redirected at ${path}`);
    },
  );

  test("for somebody signed in, the login page goes straight on, and then nothing redirects", async () => {
    const cookie = `Cookie: ${await gateway.signIn()}`;
    for (const [at, to] of [
      ["/_runegate/login", "/start"],
      ["/_runegate/login?next=/a%3Fb", "/a?b"],
      ["/_runegate/login?next=//evil.example", "/start"],
      ["/_runegate/login?next=/_runegate/login", "/start"],
      // The application's own login page, where whoever is signed in gets to.
      ["/_runegate/login?next=/login", "/login"],
      ["/_runegate/login?next=%2Flogin%3Fnext%3D%2Flogin", "/login?next=/login"],
    ] as const) {
      for (const method of ["GET", "HEAD"]) {
        const response = await exchange(gateway.port, `${method} ${at}`, [...PAGE, cookie]);
        expect([at, response.status, response.one("location")]).toEqual([at, 302, to]);
      }
      expect((await exchange(gateway.port, `GET ${to}`, [...PAGE, cookie])).status).toBe(200);
    }
  });
});
