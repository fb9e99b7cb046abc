import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { NAVIGATION } from "../login/support.ts";
import { until } from "../proxy/support.ts";
import { acceptWebSocket, openWebSocket } from "../proxy/websocket.ts";
import { testClock } from "../support/clock.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { dial, readResponse, requestHead } from "../support/raw.ts";
import { testMachine } from "../support/surroundings.ts";
import { type Received, startUpstream, type Upstream } from "../support/upstream.ts";

/** What each key of `routes.toml` does, at the front door: an application a key, each at a host of its own. */

const KEYS: Readonly<Record<string, string>> = {
  plain: "",
  methods: `methods = ["GET", "HEAD"]`,
  preflight: "cors_preflight = true",
  silent: "websocket = false",
  origins: `websocket_origins = ["https://dashboard.example.org"]`,
  any: `websocket_origins = "*"`,
  hurry: `response_timeout = "1s"`,
  small: `max_body = "10"`,
  target: `host_header = "target"`,
  named: `host_header = "app.internal"`,
  nobody: `identity = "none"`,
  shut: `maintenance = "Back at <noon>."`,
  headers: `
    set_headers = { "X-Scope" = "main", "X-Who" = "\${email} in \${groups}", Authorization_file = "FILE" }
    remove_headers = ["Accept-Language"]
    set_response_headers = { "X-Frame-Options" = "DENY" }
    remove_response_headers = ["X-Powered-By"]
    public_paths = ["/open"]`,
  posts: `public_paths = ["/hook"]\npublic_methods = ["POST"]`,
  open: `allow = ["public"]`,
};

const clock = testClock();
let upstream: Upstream;
let gateway: TestGateway;
let ada: string;
let root: string;

beforeAll(async () => {
  upstream = await startUpstream();
  using machine = testMachine();
  const secret = machine.write("shared", "Basic c2hhcmVk\n");
  const route = ([name, keys]: [string, string]) => `
    [[routes]]
    name = "${name}"
    host = "${name}.example.org"
    target = "${upstream.url}"
    ${keys.includes("allow") ? "" : 'allow = ["anyone"]'}
    ${keys.replace("FILE", secret)}`;
  gateway = await startGateway({
    clock,
    env: { RUNEGATE_BASE_URL: "https://app.example.org" },
    routes: `
      [groups]
      admins = ["root@example.org"]
      staff = ["ada@example.org"]

      [[routes]]
      name = "home"
      target = "${upstream.url}/home/of/it"

      [[routes]]
      name = "wild"
      host = "*.wild.example.org"
      target = "${upstream.url}"
      host_header = "target"

      [[routes]]
      name = "exact"
      host = "exact.wild.example.org"
      target = "${upstream.url}"
      set_response_headers = { "X-Exact" = "yes" }

      ${Object.entries(KEYS).map(route).join("\n")}`,
  });
  [ada, root] = await Promise.all([gateway.signIn("ada@example.org"), gateway.signIn("root@example.org")]);
});
afterAll(async () => {
  await gateway.stop();
  upstream.stop();
});

type Ask = { readonly method?: string; readonly headers?: Record<string, string>; readonly body?: string };

function ask(name: string, path: string, { headers, ...init }: Ask = {}): Promise<Response> {
  const host = name.includes(".") ? name : `${name}.example.org`;
  return fetch(gateway.url + path, {
    ...init,
    headers: { Host: host, Cookie: ada, ...headers },
    redirect: "manual",
  });
}

const errorOf = async (response: Response) => ((await response.json()) as { error: string }).error;
const received = (path: string): Received => {
  const one = upstream.to(path).at(-1);
  if (one === undefined) throw new Error(`nothing asked for ${path}`);
  return one;
};
const IDENTITY = /^(?:x-runegate-|remote-|x-forwarded-(?:user|email))/i;
const identityIn = ({ fields }: Received) => fields.filter(([name]) => IDENTITY.test(name));

const handshake = async (name: string, origin: string, cookie = ada) => {
  upstream.on("/ws", async (exchange) => void (await acceptWebSocket(exchange)));
  const fields = [`Host: ${name}.example.org`, `Origin: ${origin}`, `Cookie: ${cookie}`];
  const { head, peer } = await openWebSocket(gateway.port, "/ws", fields);
  peer.wire.destroy();
  return head.status;
};

/** To the host where people sign in. */
const HAND_OFF = expect.stringMatching(/^https:\/\/app\.example\.org\/_runegate\/handoff\?request=/);

describe("methods", () => {
  test.each([
    ["GET", 200],
    ["HEAD", 200],
    ["POST", 405],
    ["DELETE", 405],
    ["OPTIONS", 405],
    ["PROPFIND", 405],
  ])("%s: %d", async (method, status) => {
    const response = await ask("methods", "/m", { method });
    expect([response.status, response.headers.get("allow")]).toEqual([
      status,
      status === 405 ? "GET, HEAD" : null,
    ]);
  });
});

describe("cors_preflight", () => {
  const preflight = { Origin: "https://elsewhere.example", "Access-Control-Request-Method": "POST" };
  test.each<[what: string, name: string, headers: Record<string, string>, status: number]>([
    ["a preflight", "preflight", preflight, 200],
    ["an OPTIONS that is none", "preflight", { Origin: "https://elsewhere.example" }, 401],
    ["where it is not set", "plain", preflight, 401],
  ])("%s: %p", async (_, name, headers, status) => {
    const response = await ask(name, "/cors", { method: "OPTIONS", headers: { ...headers, Cookie: "" } });
    expect(response.status).toBe(status);
  });

  test("passes without identity, whoever sends it", async () => {
    await ask("preflight", "/cors-who", { method: "OPTIONS", headers: preflight });
    expect(identityIn(received("/cors-who"))).toEqual([]);
  });
});

describe("WebSockets", () => {
  const DASHBOARD = "https://dashboard.example.org";
  test.each([
    ["plain", "https://plain.example.org", 101],
    ["plain", "https://app.example.org", 403],
    ["plain", DASHBOARD, 403],
    ["silent", "https://silent.example.org", 403],
    ["origins", DASHBOARD, 101],
    ["origins", "https://origins.example.org", 403],
    ["any", "https://elsewhere.example", 101],
  ])("to %s from a page of %s: %d", async (name, origin, status) => {
    expect(await handshake(name, origin)).toBe(status);
  });

  test("nobody's, where they may from anywhere", async () => {
    expect(await handshake("any", "https://elsewhere.example", "")).toBe(401);
  });
});

test("response_timeout is the route's own", async () => {
  const { promise: held, resolve: release } = Promise.withResolvers<void>();
  const waiting = (name: string) => {
    const arrived = Promise.withResolvers<void>();
    upstream.on(`/wait-${name}`, async ({ reply }) => {
      arrived.resolve();
      await held;
      await reply(200);
    });
    return { answer: ask(name, `/wait-${name}`), arrived: arrived.promise };
  };
  const [hurry, plain] = [waiting("hurry"), waiting("plain")];
  await Promise.all([hurry.arrived, plain.arrived]);
  let status: number | undefined;
  void hurry.answer.then((response) => {
    status = response.status;
  });
  await until(() => {
    clock.advance(500);
    return status !== undefined;
  });
  expect(status).toBe(504);
  release();
  expect((await plain.answer).status).toBe(200);
});

describe("max_body", () => {
  test.each([
    ["small", 10, 200],
    ["small", 11, 413],
    ["plain", 11, 200],
  ])("%s, %d bytes: %d", async (name, size, status) => {
    const response = await ask(name, "/body", { method: "POST", body: "x".repeat(size) });
    expect(response.status).toBe(status);
  });

  test("of a length that is not said", async () => {
    const wire = await dial(gateway.port);
    const fields = ["Host: small.example.org", `Cookie: ${ada}`, "Transfer-Encoding: chunked"];
    await wire.write(requestHead("POST /body", fields));
    await wire.write("14\r\nxxxxxxxxxxxxxxxxxxxx\r\n0\r\n\r\n");
    expect((await readResponse(wire)).status).toBe(413);
    wire.destroy();
  });
});

describe("host_header", () => {
  const own = () => `127.0.0.1:${upstream.port}`;
  test.each<[name: string, host: () => string]>([
    ["plain", () => "plain.example.org"],
    ["target", own],
    ["named", () => "app.internal"],
    ["a.wild", own],
  ])("%s", async (name, host) => {
    await ask(`${name}.example.org`, `/host-${name}`, { headers: { Origin: `https://${name}.example.org` } });
    const request = received(`/host-${name}`);
    expect([request.one("host"), request.one("x-forwarded-host")]).toEqual([host(), `${name}.example.org`]);
    if (name !== "a.wild") {
      const origin = name === "plain" ? "https://plain.example.org" : `http://${host()}`;
      expect(request.one("origin")).toBe(origin);
    }
  });

  test.each<[name: string, host: () => string]>([
    ["target", own],
    ["named", () => "app.internal"],
    ["a.wild", own],
  ])("%s: a redirect under that name leads to the host that was asked", async (name, host) => {
    upstream.on("/moved", ({ reply }) => reply(302, [`Location: http://${host()}/there?x`]));
    const response = await ask(`${name}.example.org`, "/moved");
    expect(response.headers.get("location")).toBe(`https://${name}.example.org/there?x`);
  });
});

test("identity = none: the application is told of nobody", async () => {
  await ask("nobody", "/none", { headers: { "X-Runegate-User": "forged" } });
  expect(identityIn(received("/none"))).toEqual([]);
  await ask("plain", "/told");
  expect(identityIn(received("/told")).length).toBeGreaterThan(3);
});

describe("maintenance", () => {
  test("a program gets a 503 with when to come back", async () => {
    const response = await ask("shut", "/x");
    expect([response.status, response.headers.get("retry-after"), await errorOf(response)]).toEqual([
      503,
      "120",
      "maintenance",
    ]);
  });

  test("a person gets a page with the text, as text", async () => {
    const page = await (await ask("shut", "/x", { headers: NAVIGATION })).text();
    expect(page).toContain("Back at &#60;noon&#62;.");
  });

  test("whoever is not signed in as well, and may still sign in", async () => {
    expect((await ask("shut", "/x", { headers: { Cookie: "" } })).status).toBe(503);
    const login = await ask("shut", "/_runegate/login", { headers: { Cookie: "" } });
    expect([login.status, login.headers.get("location")]).toEqual([302, HAND_OFF]);
  });

  test("administrators go through, by WebSocket too", async () => {
    expect((await ask("shut", "/x", { headers: { Cookie: root } })).status).toBe(200);
    expect(await handshake("shut", "https://shut.example.org", root)).toBe(101);
    expect(await handshake("shut", "https://shut.example.org")).toBe(503);
  });
});

describe("headers", () => {
  const FORGED = { "X-Scope": "x", "X-Who": "root", Authorization: "Bearer mine", "Accept-Language": "de" };

  test("to the application: set over what was sent, filled in, removed", async () => {
    await ask("headers", "/set", { headers: FORGED });
    const request = received("/set");
    const of = (name: string) => request.all(name);
    expect([of("x-scope"), of("x-who"), of("authorization"), of("accept-language")]).toEqual([
      ["main"],
      ["ada@example.org in staff"],
      ["Basic c2hhcmVk"],
      [],
    ]);
  });

  test("where nobody is asking, nothing that a client says of somebody", async () => {
    expect((await ask("headers", "/open", { headers: { ...FORGED, Cookie: "" } })).status).toBe(200);
    expect(received("/open").all("x-who")).toEqual([]);
  });

  test("over a WebSocket too", async () => {
    await handshake("headers", "https://headers.example.org");
    expect(received("/ws").all("x-who")).toEqual(["ada@example.org in staff"]);
  });

  test("to the browser", async () => {
    upstream.on("/answer", ({ reply }) => reply(200, ["X-Powered-By: x", "X-Frame-Options: ALLOWALL"]));
    const { headers } = await ask("headers", "/answer");
    expect([headers.get("x-powered-by"), headers.get("x-frame-options")]).toEqual([null, "DENY"]);
  });
});

describe("public", () => {
  test.each([
    ["posts", "/hook", "POST", 200],
    ["posts", "/hook", "GET", 401],
    ["posts", "/hooks", "POST", 401],
    ["open", "/whatever", "GET", 200],
    ["open", "/whatever", "DELETE", 200],
  ])("%s%s by %s: %d", async (name, path, method, status) => {
    expect((await ask(name, path, { method, headers: { Cookie: "" } })).status).toBe(status);
  });

  test("an open application is told of whoever is signed in all the same", async () => {
    await ask("open", "/known");
    expect(received("/known").one("x-runegate-user")).toBe("ada@example.org");
  });
});

describe("a wildcard host", () => {
  test.each([
    ["a.wild.example.org", 200],
    ["B-2.Wild.Example.org:443", 200],
    ["a.b.wild.example.org", 421],
    ["wild.example.org", 421],
    [".wild.example.org", 421],
    ["xwild.example.org", 421],
    ["a.wild.example.org:8443", 421],
    ["*.wild.example.org", 400],
  ])("%s: %d", async (host, status) => {
    expect((await ask(host, "/x")).status).toBe(status);
  });

  test("goes after an exact one", async () => {
    expect((await ask("exact.wild.example.org", "/x")).headers.get("x-exact")).toBe("yes");
    expect((await ask("other.wild.example.org", "/x")).headers.get("x-exact")).toBeNull();
  });

  test("has Runegate's own pages, and its own origin for WebSockets", async () => {
    const login = await ask("a.wild.example.org", "/_runegate/login", { headers: { Cookie: "" } });
    expect([login.status, login.headers.get("location")]).toEqual([302, HAND_OFF]);
    expect(await handshake("a.wild", "https://a.wild.example.org")).toBe(101);
    expect(await handshake("a.wild", "https://b.wild.example.org")).toBe(403);
  });
});

test("a target's own path stands in front, for WebSockets too", async () => {
  await ask("app", "/x?y");
  expect(received("/home/of/it/x").target).toBe("/home/of/it/x?y");
  upstream.on("/home/of/it/ws", async (exchange) => void (await acceptWebSocket(exchange)));
  const fields = ["Host: app.example.org", "Origin: https://app.example.org", `Cookie: ${ada}`];
  const { head, peer } = await openWebSocket(gateway.port, "/ws", fields);
  expect(head.status).toBe(101);
  peer.wire.destroy();
});
