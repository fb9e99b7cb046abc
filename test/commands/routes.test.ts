import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { routes } from "../../src/commands/routes.ts";
import { runCommand } from "../../src/commands/run.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { recordedIo } from "../support/recorded-io.ts";
import { type TestMachine, testMachine } from "../support/surroundings.ts";
import { startUpstream, type Upstream } from "../support/upstream.ts";

/** `runegate routes test` says what the gateway does: every row is asked of both. */

let upstream: Upstream;
let gateway: TestGateway;
let machine: TestMachine;
let env: Record<string, string>;
const cookies = new Map<string | undefined, string>([[undefined, ""]]);

beforeAll(async () => {
  upstream = await startUpstream();
  machine = testMachine();
  const toml = `
    [groups]
    partners = ["bob@partner.example"]
    admins = ["root@example.org"]

    [[routes]]
    name = "grafana"
    host = "grafana.example.org"
    target = "${upstream.url}"
    allow = ["group:partners", "ada@example.org"]
    methods = ["GET", "POST"]
    websocket = false

    [[routes]]
    name = "lab"
    path = "/lab"
    target = "${upstream.url}"
    public_paths = ["/lab/static/*"]

    [[routes]]
    name = "site"
    host = "site.example.org"
    target = "${upstream.url}"
    public_paths = ["/health"]

    [[routes]]
    name = "wiki"
    host = "*.wiki.example.org"
    target = "${upstream.url}"
    allow = ["anyone"]
    deny = ["bob@partner.example"]

    [[routes]]
    name = "shut"
    host = "shut.example.org"
    target = "${upstream.url}"
    allow = ["anyone"]
    maintenance = "Back at noon."
  `;
  const options = {
    RUNEGATE_BASE_URL: "https://app.example.org",
    RUNEGATE_ALLOW_ANY_EMAIL: "false",
    RUNEGATE_ALLOWED_EMAILS: "ada@example.org",
  };
  env = {
    ...options,
    RUNEGATE_ENV_FILE: "/dev/null",
    RUNEGATE_STORE: "memory",
    RUNEGATE_CONTROL_SOCKET: "off",
    RUNEGATE_ROUTES: machine.write("routes.toml", toml),
  };
  gateway = await startGateway({ env: options, routes: toml });
  for (const email of ["ada@example.org", "bob@partner.example", "root@example.org"])
    cookies.set(email, await gateway.signIn(email));
});
afterAll(async () => {
  await gateway.stop();
  upstream.stop();
  machine[Symbol.dispose]();
});

async function said(...args: string[]) {
  const io = recordedIo(env);
  const code = await runCommand(routes, args, io);
  return { code, out: io.stdout.join("\n"), err: io.stderr.join("\n") };
}

async function really(url: string, as: string | undefined, method: string): Promise<number> {
  const { host, pathname, search, protocol } = new URL(url);
  const upgrade = protocol === "wss:" ? { Upgrade: "websocket", Connection: "Upgrade" } : {};
  const headers = { Host: host, Cookie: cookies.get(as) ?? "", ...upgrade };
  const response = await fetch(gateway.url + pathname + search, { method, headers, redirect: "manual" });
  await response.body?.cancel();
  return response.status;
}

const [ADA, BOB, ROOT] = ["ada@example.org", "bob@partner.example", "root@example.org"];

describe("test", () => {
  test.each<[url: string, as: string | undefined, method: string, status: number, said: string]>([
    ["https://grafana.example.org/", ADA, "GET", 200, "grafana: allowed. ada@example.org is in allow."],
    ["https://grafana.example.org/x?y", BOB, "POST", 200, "grafana: allowed. group:partners is in allow."],
    ["https://GRAFANA.example.org:443/", BOB, "GET", 200, "grafana: allowed. group:partners is in allow."],
    [
      "https://grafana.example.org/",
      undefined,
      "GET",
      401,
      "grafana: has to sign in. They are not signed in,",
    ],
    ["https://grafana.example.org/", BOB, "DELETE", 405, "grafana: refused. The route takes GET, POST only."],
    [
      "https://grafana.example.org/",
      ROOT,
      "GET",
      403,
      "grafana: refused. Neither they nor a group of theirs",
    ],
    ["wss://grafana.example.org/ws", BOB, "GET", 403, "grafana: refused. The route takes no WebSockets."],
    ["https://app.example.org/lab/a/../b", ADA, "GET", 200, "lab: allowed. ada@example.org is in allow."],
    ["https://app.example.org/lab/static/x", undefined, "GET", 200, "lab: allowed. /lab/static/* is open"],
    ["https://app.example.org/proxy/lab/x", ADA, "GET", 200, "lab: allowed. ada@example.org is in allow."],
    ["https://app.example.org/labx", ADA, "GET", 404, "No application has this path."],
    ["https://app.example.org/lab/..%2fx", ADA, "GET", 404, "No application has this path."],
    ["https://app.example.org/%5frunegate/x", ADA, "GET", 404, "No application has this path."],
    [
      "https://app.example.org/_runegate/login",
      undefined,
      "GET",
      200,
      "This is one of Runegate's own pages.",
    ],
    ["https://app.example.org/login", undefined, "GET", 200, "This is one of Runegate's own pages."],
    ["https://site.example.org/health", undefined, "GET", 200, "site: allowed. /health is open to everybody"],
    ["https://a.wiki.example.org/", ADA, "GET", 200, "wiki: allowed. anyone is in allow."],
    ["https://a.wiki.example.org/", BOB, "GET", 403, "wiki: refused. bob@partner.example is in deny."],
    ["https://a.b.wiki.example.org/", ADA, "GET", 421, "No application is at a.b.wiki.example.org."],
    ["https://shut.example.org/", ADA, "GET", 503, "shut: refused. It is closed for maintenance,"],
    ["https://shut.example.org/", ROOT, "GET", 200, "shut: allowed. anyone is in allow."],
  ])("%s as %s by %s: %d", async (url, as, method, status, sentence) => {
    expect(await really(url, as, method)).toBe(status);
    const { code, out } = await said(
      "test",
      url,
      "--method",
      method,
      ...(as === undefined ? [] : ["--as", as]),
    );
    expect(out).toStartWith(sentence);
    expect(code).toBe(status === 200 ? 0 : 1);
  });

  test("somebody whom nothing names may not even sign in", async () => {
    expect(await said("test", "https://a.wiki.example.org/", "--as", "eve@example.org")).toEqual({
      code: 1,
      out: "wiki: refused. They may not sign in: nothing names them, or they are shut out.",
      err: "",
    });
  });

  test("as JSON", async () => {
    const { out } = await said("test", "https://shut.example.org/", "--as", ADA ?? "", "--json");
    expect(JSON.parse(out) as unknown).toEqual({
      allowed: false,
      route: "shut",
      verdict: "refuse",
      why: "It is closed for maintenance, and they are no administrator.",
    });
  });
});

test("a list without an instance or a store is of the configuration", async () => {
  const { code, out } = await said();
  const lines = out.split("\n").map((line) => line.split(/ {2,}/));
  expect([code, lines[0], lines.find(([name]) => name === "shut")]).toEqual([
    0,
    ["NAME", "AT", "TARGETS", "CLOSED"],
    ["shut", "shut.example.org/", upstream.url, "Back at noon."],
  ]);
  expect(lines).toHaveLength(6);
});

test.each([
  [["nonsense"], 'no "routes nonsense"'],
  [["test"], "test takes a URL"],
  [["test", "app.example.org"], "is no URL"],
  [["test", "https://app.example.org/", "--as", "ada"], "address"],
  [["down"], "down takes the name"],
  [["list", "grafana"], "list takes nothing"],
  [["list", "--as", "ada@example.org"], "list takes no --as"],
  [["up", "grafana", "--message", "x"], "up takes no --message"],
])("%j is a mistake in how it was called", async (args, message) => {
  expect(said(...args)).rejects.toThrow(message);
});
