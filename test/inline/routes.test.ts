import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { startUpstream, type Upstream } from "../support/upstream.ts";

/** Several applications behind one gateway, asked by host and path. */

const HOME = "app.example.org";
let grafana: Upstream;
let lab: Upstream;
let gateway: TestGateway;
let ada: string;
let bob: string;

beforeAll(async () => {
  [grafana, lab] = await Promise.all([startUpstream(), startUpstream()]);
  gateway = await startGateway({
    env: {
      RUNEGATE_BASE_URL: `https://${HOME}`,
      RUNEGATE_ALLOW_ANY_EMAIL: "false",
      RUNEGATE_ALLOWED_EMAILS: "ada@example.org",
    },
    routes: `
      [groups]
      partners = ["bob@partner.example"]

      [[routes]]
      name = "grafana"
      host = "grafana.example.org"
      target = "${grafana.url}"
      allow = ["group:partners", "ada@example.org"]

      [[routes]]
      name = "books"
      host = "Bücher.example.org"
      target = "${grafana.url}"

      [[routes]]
      name = "lab"
      path = "/lab"
      strip_path = true
      target = "${lab.url}"
      public_paths = ["/lab/static/*"]
    `,
  });
  [ada, bob] = await Promise.all([gateway.signIn("ada@example.org"), gateway.signIn("bob@partner.example")]);
});

afterAll(async () => {
  await Promise.all([gateway.stop(), grafana.stop(), lab.stop()]);
});

function ask(host: string, path: string, cookie = ada): Promise<Response> {
  const headers = { Host: host, Cookie: cookie };
  return fetch(gateway.url + path, { headers, redirect: "manual" });
}

describe("C1: one host in any spelling", () => {
  test("IDNA, however the file writes it", async () => {
    expect((await ask("xn--bcher-kva.example.org", "/c1")).status).toBe(200);
  });

  test.each([
    "grafana.example.org",
    "GRAFANA.Example.ORG",
    "grafana.example.org.",
    "grafana.example.org:443",
  ])("%s", async (host) => {
    expect((await ask(host, "/c1")).status).toBe(200);
  });
});

test("C2: a host of no application is answered with 421, whoever asks", async () => {
  for (const path of ["/", "/lab/x", "/_runegate/login", "/login"]) {
    const response = await ask("evil.example.org", path);
    expect([path, response.status]).toEqual([path, 421]);
    expect((await response.json()) as unknown).toMatchObject({ error: "unknown_host" });
  }
  expect((await ask("10.0.0.1", "/_runegate/health")).status).toBe(200);
});

describe("C3: the host that a forwarding header names", () => {
  test.each([
    ["is believed of a trusted proxy", "127.0.0.0/8", "grafana"],
    ["is nothing from anybody else", "192.0.2.1", "lab"],
  ])("%s", async (_, trusted, name) => {
    const target = (upstream: Upstream) => `target = "${upstream.url}"\nallow = ["public"]`;
    const other = await startGateway({
      env: { RUNEGATE_BASE_URL: `https://${HOME}`, RUNEGATE_TRUSTED_PROXIES: trusted },
      routes: `[[routes]]\nname = "lab"\n${target(lab)}\n[[routes]]\nname = "grafana"\nhost = "grafana.example.org"\n${target(grafana)}`,
    });
    const headers = { Host: HOME, "X-Forwarded-Host": "grafana.example.org" };
    expect((await fetch(`${other.url}/c3-${name}`, { headers })).status).toBe(200);
    const asked = [grafana.to(`/c3-${name}`).length, lab.to(`/c3-${name}`).length];
    expect(asked).toEqual(name === "grafana" ? [1, 0] : [0, 1]);
    await other.stop();
  });
});

describe("C4: what is not the lab's", () => {
  test.each(["/labx", "/lab%2f..", "/LAB", "/lab/..%2fx", "/x/..%2flab/y", "/"])("%s", async (path) => {
    const before = lab.requests.length;
    expect((await ask(HOME, path)).status).toBe(404);
    expect(lab.requests.length).toBe(before);
  });
});

test("C5: the path is decided on, and passed on, in its normal form", async () => {
  expect((await ask(HOME, "/x/../lab/./y?z=/lab/..")).status).toBe(200);
  expect(lab.requests.at(-1)?.target).toBe("/y?z=/lab/..");
});

test("C6: who may use one application gets a page at another, and no redirect", async () => {
  expect((await ask("grafana.example.org", "/", bob)).status).toBe(200);
  const response = await ask(HOME, "/lab/", bob);
  expect([response.status, response.headers.get("location")]).toEqual([403, null]);
});

test("without its prefix, the first page is sent where relative links work", async () => {
  const response = await ask(HOME, "/lab?a=b");
  expect([response.status, response.headers.get("location")]).toEqual([308, "/lab/?a=b"]);
});

describe("a public path", () => {
  test.each([
    ["/lab/static/x.js", "GET", 200],
    ["/lab/static/", "GET", 200],
    ["/lab/static", "GET", 401],
    ["/lab/statics/x", "GET", 401],
    ["/lab/static/x.js", "POST", 401],
    ["/lab/static/..%2fsecret", "GET", 401],
    ["/lab/static/%2e%2e/secret", "GET", 401],
    ["/lab/static//x", "GET", 401],
    ["/lab/static/;x", "GET", 401],
  ] as const)("%s by %s: %i", async (path, method, status) => {
    const response = await fetch(gateway.url + path, { method, headers: { Host: HOME } });
    expect(response.status).toBe(status);
  });

  test("C15: sends nothing that a client says of who it is", async () => {
    const headers = { Host: HOME, "X-Runegate-User": "ada@example.org", "Remote-User": "ada" };
    await fetch(`${gateway.url}/lab/static/c15`, { headers });
    const sent = lab.to("/static/c15").at(-1)?.fields ?? [];
    expect(sent.filter(([name]) => /runegate|remote/i.test(name))).toEqual([]);
  });
});

test("the log says which application a request was for", async () => {
  await ask("grafana.example.org", "/logged");
  await ask(HOME, "/lab/logged", bob);
  const lines = gateway.lines.filter((line) => / request GET .*logged /.test(line));
  expect(lines).toEqual([
    expect.stringMatching(/GET \/logged 200 .* user=ada@example\.org route=grafana /),
    expect.stringMatching(/GET \/lab\/logged 403 .* user=bob@partner\.example route=lab /),
  ]);
});
