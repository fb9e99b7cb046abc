import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { testClock } from "../support/clock.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { exchange, requestHead } from "../support/raw.ts";
import {
  check,
  EDGES,
  type Edge,
  errorOf,
  FETCH,
  FULL,
  NAVIGATION,
  original,
  type Visit,
} from "./support.ts";

/** What edges ask, and what they are answered, through the front door. */

const clock = testClock();
let gateway: TestGateway;
let ada: string;
let bob: string;

const ROUTES = `
  [groups]
  staff = ["ada@example.org"]
  writers = ["ada@example.org"]

  [[routes]]
  name = "app"
  host = "app.example.org"
  external = true
  allow = ["group:staff"]
  public_paths = ["/public/*"]
  identity_names = { user = "X-Grafana-User" }

  [[routes]]
  name = "lab"
  host = "lab.example.org"
  path = "/lab"
  external = true
  allow = ["anyone"]
  max_age = "1h"

  [[routes]]
  name = "silent"
  host = "silent.example.org"
  external = true
  identity = "none"
  websocket = false
  methods = ["GET", "OPTIONS"]
  cors_preflight = true

  [[routes]]
  name = "closed"
  host = "closed.example.org"
  external = true
  maintenance = "Back at noon."
`;

const ENV = { RUNEGATE_BASE_URL: "https://app.example.org", RUNEGATE_LANDING_PATH: "/start" };

beforeAll(async () => {
  gateway = await startGateway({ clock, env: ENV, routes: ROUTES });
  [ada, bob] = await Promise.all([gateway.signIn("ada@example.org"), gateway.signIn("bob@example.org")]);
});
afterAll(() => gateway.stop());

function ask(edge: Edge, visit: Visit = {}) {
  return check(gateway.port, edge, visit);
}

const as = (cookie: string, ...fields: string[]) => [`Cookie: ${cookie}`, ...fields];

/** In every 200, as the contract lists them; for nginx without those that are empty. */
const IDENTITY = [
  ...["Remote-User", "Remote-Email", "Remote-Groups", "Remote-Name"],
  ...["X-Runegate-User", "X-Runegate-Authenticated", "X-Runegate-Actor", "X-Runegate-JWT"],
  ...["X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups"],
  ...["X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Groups"],
  ...["X-Authenticated-User", "X-Authenticated-Token-Id", "X-Grafana-User"],
];

describe.each(EDGES)("allowed, asked by %s", (edge) => {
  const nothing = edge === "nginx" ? undefined : "";

  test("200 without a body, and every identity header once", async () => {
    const answer = await ask(edge, { fields: as(`a=1; ${ada}; b=2`, "Authorization: Basic eDp5") });
    expect(answer.status).toBe(200);
    expect(answer.one("content-length")).toBe("0");
    expect(answer.one("cache-control")).toBe("no-store");
    const said = Object.fromEntries(IDENTITY.map((name) => [name, answer.one(name)]));
    const name = "ada@example.org";
    expect(said).toEqual({
      ...{
        "Remote-User": name,
        "Remote-Email": name,
        "Remote-Groups": "staff,writers",
        "Remote-Name": nothing,
      },
      ...{ "X-Runegate-User": name, "X-Runegate-Authenticated": "true" },
      ...{ "X-Runegate-Actor": nothing, "X-Runegate-JWT": nothing },
      ...{ "X-Forwarded-User": name, "X-Forwarded-Email": name, "X-Forwarded-Groups": "staff,writers" },
      ...{ "X-Auth-Request-User": name, "X-Auth-Request-Email": name },
      ...{ "X-Auth-Request-Groups": "staff,writers", "X-Authenticated-User": name },
      ...{ "X-Authenticated-Token-Id": nothing, "X-Grafana-User": name },
    });
    expect(answer.one("authorization")).toBe("Basic eDp5");
    expect(answer.one("cookie")).toBe("a=1; b=2");
    expect(answer.all("set-cookie")).toEqual([]);
  });

  test("what a visitor sends changes, and the answer with it", async () => {
    for (const other of ["x=1", "x=2", undefined, "x=1"]) {
      const fields = as(other === undefined ? ada : `${ada}; ${other}`);
      expect((await ask(edge, { fields })).one("cookie")).toBe(other ?? nothing);
    }
    expect((await ask(edge, { fields: as(ada, "Authorization: a") })).one("authorization")).toBe("a");
    expect((await ask(edge, { fields: as(ada) })).one("authorization")).toBe(nothing);
  });

  test("a public path: 200 for anybody, of whom nothing is said unless a session says it", async () => {
    const url = "https://app.example.org/public/x";
    const anybody = await ask(edge, { url, fields: ["Cookie: a=1"] });
    expect(anybody.status).toBe(200);
    for (const name of IDENTITY) expect([name, anybody.one(name)]).toEqual([name, nothing]);
    expect(anybody.one("cookie")).toBe("a=1");
    expect((await ask(edge, { url, fields: as(ada) })).one("remote-user")).toBe("ada@example.org");
  });

  test("a public path: nobody is told of who may not use the rest", async () => {
    const answer = await ask(edge, { url: "https://app.example.org/public/x", fields: as(bob) });
    expect(answer.status).toBe(200);
    for (const name of IDENTITY) expect([name, answer.one(name)]).toEqual([name, nothing]);
  });

  test("nobody is told of where the route says so", async () => {
    const answer = await ask(edge, { url: "https://silent.example.org/", fields: as(ada) });
    expect(answer.status).toBe(200);
    for (const name of IDENTITY.slice(0, -1)) expect([name, answer.one(name)]).toEqual([name, nothing]);
  });
});

test("A7: who is in no group has an empty Remote-Groups", async () => {
  const answer = await ask("caddy", { url: "https://lab.example.org/lab/", fields: as(bob) });
  expect([answer.status, answer.one("remote-groups")]).toEqual([200, ""]);
});

describe("refused, asked by nginx: a status alone", () => {
  test.each([
    ["a navigation without a session", { fields: NAVIGATION }, 401],
    ["a form without one", { method: "POST", fields: NAVIGATION }, 401],
    ["a script without one", { fields: FETCH }, 401],
    ["somebody else", { fields: "bob" }, 403],
    ["a host of no application", { url: "https://evil.example/", fields: "ada" }, 403],
    ["a method that the route does not take", { url: "https://silent.example.org/", method: "PUT" }, 403],
    ["an application that is closed", { url: "https://closed.example.org/" }, 403],
  ] as const)("%s", async (_, visit, status) => {
    const fields = visitorFields("fields" in visit ? visit.fields : []);
    const answer = await ask("nginx", { ...visit, fields });
    expect([answer.status, answer.one("content-length")]).toEqual([status, "0"]);
    for (const name of ["location", "www-authenticate", "set-cookie", "remote-user", "cookie"]) {
      expect([name, answer.all(name)]).toEqual([name, []]);
    }
    expect(answer.one("cache-control")).toBe("no-store");
  });
});

function visitorFields(fields: "ada" | "bob" | readonly string[]): readonly string[] {
  if (fields === "ada") return as(ada);
  return fields === "bob" ? as(bob) : fields;
}

describe.each(FULL)("refused, asked by %s: the whole answer", (edge) => {
  const LOGIN = "https://app.example.org/_runegate/login";

  test("a navigation goes to the login page of its own host, and back", async () => {
    const answer = await ask(edge, { fields: NAVIGATION });
    expect([answer.status, answer.one("location")]).toEqual([302, `${LOGIN}?next=%2Fprivate%3Fa%3D1`]);
    expect(answer.one("cache-control")).toBe("no-store");
  });

  test("the way back is left out where it is too long", async () => {
    const url = `https://app.example.org/${"x".repeat(2000)}`;
    expect((await ask(edge, { url, fields: NAVIGATION })).one("location")).toBe(LOGIN);
  });

  test("A11: a form goes there without a way back to it", async () => {
    const answer = await ask(edge, { method: "POST", fields: NAVIGATION });
    expect([answer.status, answer.one("location")]).toEqual([303, `${LOGIN}?next=%2Fstart`]);
  });

  test("a script gets 401 and where to sign in", async () => {
    const answer = await ask(edge, { fields: FETCH });
    expect([answer.status, answer.one("location")]).toEqual([401, undefined]);
    expect(answer.one("www-authenticate")).toContain("https://app.example.org");
    if (edge !== "haproxy") {
      const body = JSON.parse(answer.body.toString()) as object;
      expect(body).toMatchObject({ error: "unauthenticated", login_url: LOGIN });
    }
  });

  test("somebody else gets 403, and no redirect", async () => {
    const answer = await ask(edge, { fields: as(bob, ...NAVIGATION) });
    expect([answer.status, answer.one("location")]).toEqual([403, undefined]);
    expect(answer.one("content-type")).toContain("text/html");
  });

  test("who signed in too long ago for the route does so again", async () => {
    const url = "https://lab.example.org/lab/x";
    const cookie = await gateway.signIn(`old-${edge}@example.org`);
    expect((await ask(edge, { url, fields: as(cookie, ...NAVIGATION) })).status).toBe(200);
    clock.advance(3_600_000);
    const answer = await ask(edge, { url, fields: as(cookie, ...NAVIGATION) });
    expect([answer.status, answer.one("location")]).toEqual([
      302,
      "https://lab.example.org/_runegate/login?next=%2Flab%2Fx&again=1",
    ]);
    // Which sends them on to where people sign in, session or not.
    const host = ["Host: lab.example.org", ...as(cookie)];
    const login = await exchange(gateway.port, "GET /_runegate/login?next=%2Flab%2Fx&again=1", host);
    expect([login.status, login.one("location")]).toEqual([
      302,
      expect.stringMatching(/^https:\/\/app\.example\.org\/_runegate\/handoff\?request=/),
    ]);
    clock.advance(-3_600_000);
  });

  test("other refusals keep their status", async () => {
    const method = await ask(edge, { url: "https://silent.example.org/", method: "PUT", fields: as(ada) });
    expect([method.status, method.one("allow")]).toEqual([405, "GET, OPTIONS"]);
    const closed = await ask(edge, { url: "https://closed.example.org/", fields: as(ada) });
    expect([closed.status, closed.one("retry-after")]).toEqual([503, "120"]);
  });

  test("A14: a host of no application, whoever asks", async () => {
    for (const url of [
      "https://evil.example/",
      "https://lab.example.org/elsewhere",
      "https://lab.example.org:8443/lab/",
    ]) {
      const answer = await ask(edge, { url, fields: as(ada, ...NAVIGATION) });
      expect([url, answer.status]).toEqual([url, 403]);
      if (edge !== "haproxy") expect(errorOf(answer)).toBe("unknown_application");
    }
  });
});

test("A1: nginx is believed about what it sets, and nothing else", async () => {
  const url = "https://app.example.org/private";
  const fields = [
    "X-Original-URI: /_runegate/static/x",
    "X-Forwarded-Uri: /public/x",
    "X-Forwarded-Method: GET",
    "X-Forwarded-Prefix: /public",
    "X-Forwarded-Port: 1",
    "X-Auth-Request-Redirect: /public/x",
    "Referer: https://app.example.org/public/x",
    "Forwarded: host=evil.example",
  ];
  expect((await ask("nginx", { url, fields })).status).toBe(401);
  const challenge = await ask("challenge", { url, fields: [...fields, ...NAVIGATION] });
  expect(challenge.one("location")).toBe("https://app.example.org/_runegate/login?next=%2Fprivate");
});

test("two descriptions in one check are no mistake: each edge has its own", async () => {
  const other = ["X-Original-URL: https://app.example.org/public/x", "X-Original-Method: GET"];
  expect((await ask("caddy", { fields: other })).status).toBe(401);
});

describe("A2: a description that is not clear", () => {
  const at = (...fields: string[]) =>
    exchange(gateway.port, "GET /_runegate/check/nginx", [...as(ada), ...fields]);
  const url = "X-Original-URL: https://app.example.org/";
  const method = "X-Original-Method: GET";
  test.each([
    ["no URL", [method]],
    ["no method", [url]],
    ["two URLs", [url, "X-Original-URL: http://app.example.org/public/x", method]],
    ["two methods", [url, method, method]],
    ["a method in small letters", [url, "X-Original-Method: get"]],
    ["a method that is too long", [url, `X-Original-Method: ${"G".repeat(33)}`]],
    ["a relative URL", ["X-Original-URL: /private", method]],
    ["another scheme", ["X-Original-URL: ftp://app.example.org/", method]],
    ["a scheme in capitals", ["X-Original-URL: HTTPS://app.example.org/", method]],
    ["a user", ["X-Original-URL: https://app.example.org@evil.example/", method]],
    ["a user of ours", ["X-Original-URL: https://x:y@app.example.org/", method]],
    ["no path", ["X-Original-URL: https://app.example.org", method]],
    ["a query for a path", ["X-Original-URL: https://app.example.org?/public/x", method]],
    ["no host", ["X-Original-URL: https:///private", method]],
    ["a port that is none", ["X-Original-URL: https://app.example.org:99999/", method]],
    ["a fragment", ["X-Original-URL: https://app.example.org/public/x#/..", method]],
    ["a blank", ["X-Original-URL: https://app.example.org/a b", method]],
    ["a tab", ["X-Original-URL: https://app.example.org/a\tb", method]],
    ["a backslash for a slash", ["X-Original-URL: https:\\\\app.example.org/", method]],
    ["a backslash in the host", ["X-Original-URL: https://evil.example\\app.example.org/", method]],
  ])("%s", async (_, fields) => {
    expect((await at(...fields)).status).toBe(400);
  });

  const full = ["X-Forwarded-Method: GET", "X-Forwarded-Proto: https", "X-Forwarded-Host: app.example.org"];
  const uri = "X-Forwarded-Uri: /private";
  test.each([
    ...full.map((line): [string, string[]] => [`no ${line}`, [...full.filter((one) => one !== line), uri]]),
    ["no URI", full],
    ["an empty URI", [...full, "X-Forwarded-Uri:"]],
    ["an absolute URI", [...full, "X-Forwarded-Uri: https://app.example.org/public/x"]],
    ["an asterisk", [...full, "X-Forwarded-Uri: *"]],
    ["two URIs", [...full, uri, uri]],
    ["two hosts", [...full, "X-Forwarded-Host: app.example.org", uri]],
    ["two schemes", [...full, "X-Forwarded-Proto: https", uri]],
    ["plain http, of an https application", [...full.map((one) => one.replace("https", "http")), uri]],
    ["a scheme in capitals", [...full.map((one) => one.replace("https", "HTTPS")), uri]],
    ["A23: two hosts in one", [...full.map((one) => one.replace(/app\..*/, "a, b")), uri]],
  ] as [string, string[]][])("%s", async (_, fields) => {
    for (const edge of ["traefik", "caddy", "envoy"]) {
      const answer = await exchange(gateway.port, `GET /_runegate/check/${edge}`, [...as(ada), ...fields]);
      expect([answer.status, errorOf(answer)]).toEqual([400, "bad_check"]);
    }
  });

  test("the log says what, and whose edge, once a minute", async () => {
    clock.advance(60_000);
    const before = gateway.lines.length;
    for (let count = 0; count < 3; count++) await at(method);
    const said = gateway.lines.slice(before).filter((line) => line.includes("cannot be understood"));
    expect(said).toHaveLength(1);
    expect(said[0]).toContain("X-Original-URL is missing");
    expect(said[0]).toContain("nginx");
  });
});

describe("a page of one application that gets to the checks", () => {
  const asked = (from: string, url: string) =>
    exchange(gateway.port, "GET /_runegate/check/nginx", [
      `Host: ${from}`,
      ...original({ url, fields: as(ada) }),
    ]);

  test("is told nothing that is meant for another", async () => {
    const answer = await asked("app.example.org", "https://lab.example.org/lab/");
    expect([answer.status, answer.one("remote-user")]).toEqual([400, undefined]);
  });

  test.each(["lab.example.org", "LAB.example.org.:443", "runegate:7870"])(
    "an edge that asks as %s is answered",
    async (from) => {
      const answer = await asked(from, "https://lab.example.org/lab/");
      expect([answer.status, answer.one("remote-user")]).toEqual([200, "ada@example.org"]);
    },
  );
});

test("A23: a comma is as good as any character of a path", async () => {
  expect((await ask("caddy", { url: "https://app.example.org/a,b", fields: as(ada) })).status).toBe(200);
});

/** Of the gateway that answers checks where it answers all else. */
const adasOther = () => ada;

describe("A3: Envoy's prefix, and a listener for checks", () => {
  let apart: TestGateway;
  let ada: string;
  beforeAll(async () => {
    apart = await startGateway({ env: { ...ENV, RUNEGATE_CHECK_LISTEN: "127.0.0.1:0" }, routes: ROUTES });
    ada = await apart.signIn("ada@example.org");
  });
  afterAll(() => apart.stop());
  const port = () => Number(new URL(apart.checkUrl).port);
  const fields = (...more: string[]) => ["Host: app.example.org", "X-Forwarded-Proto: https", ...more];

  test("is answered on the listener for checks, by the check's own method, host and path", async () => {
    const path = "GET /_runegate/check/envoy/private?a=1";
    expect((await exchange(port(), path, fields(...as(ada)))).status).toBe(200);
    expect((await exchange(port(), path, fields(...NAVIGATION))).one("location")).toBe(
      "https://app.example.org/_runegate/login?next=%2Fprivate%3Fa%3D1",
    );
    const form = await exchange(
      port(),
      "POST /_runegate/check/envoy/private",
      fields(...NAVIGATION, "Content-Length: 0"),
    );
    expect([form.status, form.one("location")]).toEqual([
      303,
      "https://app.example.org/_runegate/login?next=%2Fstart",
    ]);
    expect((await exchange(port(), "GET /_runegate/check/envoy/public/x", fields())).status).toBe(200);
    expect((await exchange(port(), "GET /_runegate/check/envoy/", fields(...as(ada)))).status).toBe(200);
  });

  test.each([
    "/../../../public/x",
    "/..%2f..%2f../../../public/x",
    "/%2e%2e/%2e%2e/%2e%2e/public/x",
    "/../x",
  ])("leads to nothing by %s", async (path) => {
    const answer = await exchange(port(), `GET /_runegate/check/envoy${path}`, fields());
    expect([answer.status, errorOf(answer)]).toEqual([400, "bad_check"]);
  });

  test("nothing but checks is answered there", async () => {
    for (const path of [
      "/",
      "/public/x",
      "/_runegate/login",
      "/_runegate/health/live",
      "/_runegate/check/other",
    ]) {
      const answer = await exchange(port(), `GET ${path}`, fields(...as(ada)));
      expect([path, answer.status]).toEqual([path, 400]);
    }
    for (const edge of EDGES) expect((await check(port(), edge, { fields: as(ada) })).status).toBe(200);
  });

  test("does not exist on the other one", async () => {
    for (const path of ["/_runegate/check/envoy/private", "/_runegate/check/other", "/_runegate/check"]) {
      for (const other of [gateway, apart]) {
        const cookie = other === apart ? ada : adasOther();
        const answer = await exchange(other.port, `GET ${path}`, fields(`Cookie: ${cookie}`));
        expect([path, answer.status]).toEqual([path, 404]);
      }
    }
  });

  test("leaves no check to the other one, whoever asks and in whatever spelling", async () => {
    const described = [...original({ fields: [`Cookie: ${ada}; application=secret`] }), "X-Forwarded-Uri: /"];
    const paths = [...EDGES.map((edge) => `check/${edge}`), "challenge", "%63heck/nginx", "x/../check/caddy"];
    for (const path of paths) {
      const answer = await exchange(apart.port, `GET /_runegate/${path}`, [
        "Host: app.example.org",
        ...described,
      ]);
      expect([path, answer.status, JSON.stringify(answer).includes("secret")]).toEqual([path, 404, false]);
    }
  });
});

describe("A4: a request that says who it is from", () => {
  test.each([
    ...[
      "Remote-User",
      "Remote.User",
      "Remote_User",
      "Remote!User",
      "REMOTE~USER",
      "Remote-Groups",
      "Remote-Sub",
    ],
    ...["X.Runegate.Actor", "X-Runegate-User", "X_Runegate_JWT", "X.Runegate.Key", "X-Auth-Request-User"],
    ...["X-Forwarded-User", "X-Forwarded_Access-Token", "X-Forwarded-Preferred-Username", "X-WEBAUTH-USER"],
    ...["X-Authenticated-User", "X|Authenticated|Groups", "X-Grafana-User", "X_Grafana.User"],
  ])("%s", async (name) => {
    for (const edge of EDGES) {
      const answer = await ask(edge, { fields: as(ada, `${name}: eve@example.org`) });
      expect([edge, answer.status]).toEqual([edge, 400]);
      if (edge !== "nginx" && edge !== "haproxy") expect(errorOf(answer)).toBe("identity_forged");
    }
  });

  test.each([
    ...["X-Runegate-Key: x", "X-Runegate-Cache: host", "X-Auth-Request-Redirect: /x", "Remote-Addr: 1.2.3.4"],
    ...[
      "X-Forwarded-Users: x",
      "X-Real-IP: 1.2.3.4",
      "X-Requested-With: XMLHttpRequest",
      "Referer: https://a.b/",
    ],
  ])("%s says nothing of it", async (field) => {
    expect((await ask("caddy", { fields: as(ada, field) })).status).toBe(200);
  });

  test("is let pass where that is ignored, and told who it is from", async () => {
    const env = { RUNEGATE_BASE_URL: "https://app.example.org", RUNEGATE_CHECK_FORGED: "ignore" };
    const other = await startGateway({ env });
    const cookie = await other.signIn("grace@example.org");
    const fields = as(cookie, "Remote_User: eve", "X-Runegate-User: eve");
    const answer = await check(other.port, "nginx", { fields });
    expect([answer.status, answer.one("x-runegate-user")]).toEqual([200, "grace@example.org"]);
    await other.stop();
  });
});

describe("A5: a session cookie that is none", () => {
  test.each([
    ["malformed", "runegate_id=%"],
    ["of 8 KB", `runegate_id=${"x".repeat(8192)}`],
    ["twice", `runegate_id=${"x".repeat(43)}; runegate_id=${"y".repeat(43)}`],
    ["empty", "runegate_id="],
    ["without a name", "=runegate_id"],
  ])("%s", async (_, cookie) => {
    for (const edge of EDGES) expect((await ask(edge, { fields: [`Cookie: ${cookie}`] })).status).toBe(401);
  });
});

test("A8: nobody gets in for what their user agent is called", async () => {
  for (const agent of ["GoogleHC/1.0", "kube-probe/1.31", "ELB-HealthChecker/2.0", "Runegate"]) {
    expect((await ask("traefik", { fields: [`User-Agent: ${agent}`] })).status).toBe(401);
  }
});

describe("A9: WebSockets, however an edge says so", () => {
  const HANDSHAKE = ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"];
  const own = "Origin: https://app.example.org";
  test.each([
    ["the scheme", "wss://app.example.org/socket", []],
    ["the key of the handshake", "https://app.example.org/socket", HANDSHAKE],
    [
      "Upgrade",
      "https://app.example.org/socket",
      ["Connection: Upgrade", "Upgrade: WebSocket", ...HANDSHAKE],
    ],
  ] as [string, string, string[]][])("%s", async (_, url, said) => {
    const statusOf = async (...fields: string[]) =>
      (await ask("traefik", { url, fields: [...said, ...fields] })).status;
    expect(await statusOf(...as(ada, own))).toBe(200);
    expect(await statusOf(own)).toBe(401);
    expect(await statusOf(...NAVIGATION)).toBe(401);
    expect(await statusOf(...as(ada, "Origin: https://evil.example"))).toBe(403);
    expect(await statusOf(...as(ada))).toBe(200);
  });

  test("by the method, as over HTTP/2", async () => {
    const url = "https://app.example.org/socket";
    const statusOf = async (...fields: string[]) =>
      (await ask("caddy", { method: "CONNECT", url, fields })).status;
    expect(await statusOf(...as(ada, own))).toBe(200);
    expect(await statusOf(...NAVIGATION)).toBe(401);
    expect(await statusOf(...as(ada, "Origin: https://evil.example"))).toBe(403);
  });

  test("are refused where the route takes none", async () => {
    const fields = as(ada, ...HANDSHAKE);
    const answer = await ask("caddy", { url: "https://silent.example.org/", fields });
    expect([answer.status, errorOf(answer)]).toEqual([403, "websocket_not_allowed"]);
  });
});

test("A10: a check that asks for an upgrade itself is answered as any other", async () => {
  const upgrade = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
  ];
  for (const edge of EDGES) {
    expect((await ask(edge, { fields: as(ada, ...upgrade) })).status).toBe(200);
    expect((await ask(edge, { fields: upgrade })).status).toBe(401);
  }
});

test("A15: one host in any spelling, and its port", async () => {
  for (const host of ["APP.EXAMPLE.ORG.:443", "app.example.org.", "App.Example.Org", "app.example.org:443"]) {
    const allowed = await ask("caddy", { url: `https://${host}/`, fields: as(ada) });
    expect([host, allowed.status]).toEqual([host, 200]);
    const turnedAway = await ask("nginx", { url: `https://${host}/`, fields: as(bob) });
    expect([host, turnedAway.status]).toEqual([host, 403]);
  }
});

describe("A17: an odd spelling gains nothing", () => {
  test.each([
    ...[
      "/public/../secret",
      "/public/%2e%2e/secret",
      "/public//x",
      "/public/./x",
      "/public/..;/x",
      "/public/x%00",
    ],
    ...[
      "//public/x",
      "/public/%5c../secret",
      "/public\\..\\secret",
      "/public/x%2f..",
      "/Public/x",
      "/publicx",
      "/public",
    ],
    ...["/x?/public/x", "/x?a=/../public/x", "/public/\xc0\xae\xc0\xae/secret", "/public/%ff"],
  ])("%s", async (path) => {
    const url = `https://app.example.org${path}`;
    for (const edge of EDGES) {
      expect([edge, (await ask(edge, { url })).status]).toEqual([edge, 401]);
      expect([edge, (await ask(edge, { url, fields: as(ada) })).status]).toEqual([edge, 200]);
    }
  });

  test("another application's path is not got at from ours", async () => {
    for (const path of [
      "/lab/../elsewhere",
      "/lab/%2e%2e/elsewhere",
      "/lab%2f..%2felsewhere",
      "/lab/..;/elsewhere",
    ]) {
      const answer = await ask("caddy", { url: `https://lab.example.org${path}`, fields: as(ada) });
      expect([path, answer.status]).toEqual([path, 403]);
    }
  });

  test("Runegate's own paths are no application's", async () => {
    for (const path of [
      "/_runegate/login",
      "/_runegate/static/x",
      "/%5frunegate/login",
      "/_RUNEGATE/",
      "/x/../_runegate/",
    ]) {
      const answer = await ask("caddy", { url: `https://app.example.org${path}`, fields: as(ada) });
      expect([path, answer.status]).toEqual([path, 403]);
    }
  });

  test("the bytes of an address are sent on as a browser would", async () => {
    const url = "https://app.example.org/\xc3\xa9?\xff";
    const answer = await ask("caddy", { url, fields: NAVIGATION });
    expect(answer.one("location")).toBe("https://app.example.org/_runegate/login?next=%2F%25C3%25A9%3F%25FF");
  });
});

describe("A18: preflight requests", () => {
  const preflight = ["Origin: https://other.example", "Access-Control-Request-Method: PUT"];
  test("are answered as any other by a route that says nothing of them", async () => {
    expect((await ask("traefik", { method: "OPTIONS", fields: preflight })).status).toBe(401);
  });
  test("pass where the route says so, and nobody is told of", async () => {
    const url = "https://silent.example.org/";
    expect((await ask("nginx", { url, method: "OPTIONS", fields: preflight })).status).toBe(200);
    for (const fields of [preflight.slice(0, 1), preflight.slice(1), []]) {
      expect((await ask("nginx", { url, method: "OPTIONS", fields })).status).toBe(401);
    }
    expect((await ask("nginx", { url, fields: preflight })).status).toBe(401);
  });
});

describe("a check is a question alone", () => {
  test.each([["Content-Length: 5"], ["Transfer-Encoding: chunked"]])(
    "one with %s is refused, its body unread",
    async (field) => {
      for (const edge of EDGES) {
        const path = edge === "challenge" ? "/_runegate/challenge" : `/_runegate/check/${edge}`;
        const answer = await exchange(gateway.port, `GET ${path}`, [...original({ fields: as(ada) }), field]);
        expect([edge, answer.status]).toEqual([edge, 400]);
      }
    },
  );

  test("every method asks, but at /challenge", async () => {
    for (const method of ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND"]) {
      const fields = [...original({ fields: as(ada) }), "Content-Length: 0"];
      expect((await exchange(gateway.port, `${method} /_runegate/check/nginx`, fields)).status).toBe(200);
      const challenge = await exchange(gateway.port, `${method} /_runegate/challenge`, fields);
      expect([method, challenge.status]).toEqual([method, method === "GET" || method === "HEAD" ? 200 : 405]);
      if (challenge.status === 405) expect(challenge.one("allow")).toBe("GET, HEAD");
    }
  });

  test("HTTP/1.0 will do, which nginx speaks unless told otherwise", async () => {
    const head = requestHead("GET /_runegate/check/nginx", original({ fields: as(ada) })).replace(
      "HTTP/1.1",
      "HTTP/1.0",
    );
    const { promise, resolve } = Promise.withResolvers<string>();
    const socket = connect(gateway.port, "127.0.0.1", () => socket.write(head));
    let text = "";
    socket.on("data", (data) => {
      text += data;
      if (text.includes("\r\n\r\n")) resolve(text);
    });
    expect(await promise).toStartWith("HTTP/1.1 200");
    socket.destroy();
  });
});

test("the request log has what the visitor asked for", async () => {
  await ask("traefik", {
    method: "DELETE",
    url: "https://app.example.org/of-the-visitor?secret",
    fields: as(ada),
  });
  const line = gateway.lines.find((one) => one.includes("of-the-visitor") && one.includes("DELETE"));
  expect(line).toContain("DELETE /of-the-visitor 200");
  expect(line).toContain("ada@example.org");
  expect(gateway.lines.join("\n")).not.toContain("of-the-visitor?secret");
});
