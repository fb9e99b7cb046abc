import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { probeApplication, probeApplications } from "../../src/commands/probe-application.ts";
import { loadAccess } from "../../src/config/configuration.ts";
import type { RootPathsOption } from "../../src/edge/root-paths.ts";
import { targetAddress } from "../../src/net/endpoint.ts";
import type { HostHeader } from "../../src/net/host.ts";
import { makeCertificate } from "../support/certificate.ts";
import { testMachine } from "../support/surroundings.ts";
import { type Exchange, type Received, startUpstream, type Upstream } from "../support/upstream.ts";

/** `runegate check --online`: what the application says to the name that its users will ask for. */

let upstream: Upstream;
beforeEach(async () => {
  upstream = await startUpstream();
});
afterEach(() => upstream.stop());

type Settings = {
  readonly hostHeader?: HostHeader;
  readonly rootPaths?: RootPathsOption;
  readonly connectTimeout?: number;
};

const probe = (
  { hostHeader = "pass", rootPaths = "auto", connectTimeout = 2_000 }: Settings = {},
  target = upstream.url,
) =>
  probeApplication({
    baseUrl: "https://app.example.org",
    connectTimeout,
    hostHeader,
    rootPaths,
    target: targetAddress(target),
  });

const isLocal = ({ one }: Received) => one("host")?.startsWith("127.0.0.1:") === true;
const own = () => `127.0.0.1:${upstream.port}`;

test("asks for / as Runegate does, but tells of nobody", async () => {
  expect(await probe()).toEqual({
    ok: true,
    lines: [`${upstream.url} accepts connections.`, "GET / for app.example.org is answered with 200."],
  });
  expect(upstream.requests.map(({ method, target }) => `${method} ${target}`)).toEqual(["GET /"]);
  const [{ fields } = { fields: [] }] = upstream.requests;
  expect(Object.fromEntries(fields.map(([name, value]) => [name.toLowerCase(), value]))).toMatchObject({
    host: "app.example.org",
    accept: "text/html",
    "x-forwarded-host": "app.example.org",
    "x-forwarded-proto": "https",
  });
  expect(fields.filter(([name]) => /user|email|cookie|authenticated/i.test(name))).toEqual([
    ["User-Agent", ""],
  ]);
});

test("over a unix socket", async () => {
  const folder = mkdtempSync(join(tmpdir(), "runegate-probe-"));
  const path = join(folder, "app.sock");
  const app = await startUpstream({ unix: path });
  const { ok, lines } = await probe({ hostHeader: "target" }, `unix:${path}`);
  expect([ok, lines[1]]).toEqual([true, "GET / for localhost is answered with 200."]);
  app.stop();
  rmSync(folder, { recursive: true });
});

describe("a name that the application refuses", () => {
  test.each([
    [403, "MLflow, Vite, Syncthing"],
    [421, "Transmission"],
    [400, "Django"],
  ])("with %d, as %s do, is named with the remedy, and fails", async (status) => {
    upstream.on("/", ({ request, reply }) => reply(isLocal(request) ? 302 : status, ["Location: /home"]));
    expect(await probe()).toEqual({
      ok: false,
      lines: [
        `${upstream.url} accepts connections.`,
        `GET / for app.example.org is answered with ${status}.`,
        `GET / for ${own()} is answered with 302 to /home: it refuses the other name.`,
        "Set RUNEGATE_HOST_HEADER=target, or make the name known to the application.",
      ],
    });
    expect(await probe({ hostHeader: "target" })).toEqual({
      ok: true,
      lines: [`${upstream.url} accepts connections.`, `GET / for ${own()} is answered with 302 to /home.`],
    });
    expect((await probe({ hostHeader: { name: "app.internal" } })).ok).toBe(false);
  });

  test.each([400, 403, 421])("is not blamed for a %d that any name gets", async (status) => {
    upstream.on("/", ({ reply }) => reply(status));
    for (const hostHeader of ["pass", "target"] as const) {
      const { ok, lines } = await probe({ hostHeader });
      expect([ok, lines[2]]).toEqual([
        true,
        "Unless it lets its users in by who they are, they will see that too.",
      ]);
      expect(lines.join()).not.toContain("RUNEGATE_");
    }
  });

  test.each([200, 204, 401, 404, 500, 503])("%d is none", async (status) => {
    upstream.on("/", ({ reply }) => reply(status));
    expect((await probe()).lines).toEqual([
      `${upstream.url} accepts connections.`,
      `GET / for app.example.org is answered with ${status}.`,
    ]);
  });
});

describe("a redirect", () => {
  const AUTO = "Set RUNEGATE_ROOT_PATHS=auto, so that it reaches its own page.";
  const USERS = "Let it know its users by X-Forwarded-Email, or send them to a page of its own.";
  test.each<
    [location: string, rootPaths: RootPathsOption, shown: string | undefined, remedy: string | undefined]
  >([
    ["/login?next=/secret", true, "/login", AUTO],
    ["https://app.example.org/logout", true, "/logout", AUTO],
    ["health", true, "/health", AUTO],
    ["/_runegate/login?next=/", true, "/_runegate/login", USERS],
    ["/_runegate/login", "auto", "/_runegate/login", USERS],
    ["/_runegate/login", false, "/_runegate/login", USERS],
    ["/login", "auto", "/login", undefined],
    ["/login", false, "/login", undefined],
    ["/lab", true, "/lab", undefined],
    ["/login/", true, "/login/", undefined],
    ["https://login.example.org/login", true, undefined, undefined],
    ["http://[", true, undefined, undefined],
  ])("to %s with RUNEGATE_ROOT_PATHS=%s", async (location, rootPaths, shown, remedy) => {
    upstream.on("/", ({ reply }) => reply(302, [`Location: ${location}`]));
    const { ok, lines } = await probe({ rootPaths });
    expect(ok).toBe(true);
    expect(lines.slice(1)).toEqual([
      `GET / for app.example.org is answered with 302${shown === undefined ? "" : ` to ${shown}`}.`,
      ...(remedy === undefined
        ? []
        : [`${shown} is Runegate's own, so whoever is signed in would be sent back and forth.`, remedy]),
    ]);
  });

  test("under the application's own name is looked at as it will be translated", async () => {
    upstream.on("/", ({ request, reply }) => reply(307, [`Location: http://${request.one("host")}/login`]));
    const { lines } = await probe({ hostHeader: "target", rootPaths: true });
    expect(lines.slice(1)).toEqual([
      `GET / for ${own()} is answered with 307 to /login.`,
      "/login is Runegate's own, so whoever is signed in would be sent back and forth.",
      AUTO,
    ]);
  });
});

test("one that accepts connections and does not answer fails", async () => {
  const hang = () => new Promise<void>(() => {});
  for (const script of [({ wire }: Exchange) => wire.destroy(), hang]) {
    upstream.on("/", script);
    const { ok, lines } = await probe({ connectTimeout: 200 });
    expect([ok, lines[0], lines[1]]).toEqual([
      false,
      `${upstream.url} accepts connections.`,
      expect.stringMatching(/^GET \/ is not answered: ./),
    ]);
  }
});

test("one that is not there is asked for nothing", async () => {
  upstream.stop();
  const { ok, lines } = await probe();
  expect([ok, lines[0]]).toEqual([false, `${upstream.url} cannot be reached: nothing listens there.`]);
});

test("of several applications every target is asked, with its certificates, for the path and the name it will be asked for", async () => {
  const certificate = makeCertificate();
  const secure = await startUpstream({ tls: certificate });
  const dead = await startUpstream();
  dead.stop();
  using machine = testMachine();
  machine.write(
    "routes.toml",
    `[defaults]
    allow = ["ada@example.org"]
    [[routes]]
    name = "lab"
    path = "/lab"
    targets = ["${upstream.url}/base", "${dead.url}"]
    [[routes]]
    name = "wiki"
    host = "*.wiki.example.org"
    target = "${secure.url}"
    tls_ca_file = "${machine.write("ca.pem", certificate.cert)}"
    [[routes]]
    name = "stranger"
    path = "/stranger"
    strip_path = true
    target = "${secure.url}"
    [[routes]]
    name = "elsewhere"
    path = "/elsewhere"
    external = true`,
  );
  const env = { RUNEGATE_BASE_URL: "https://app.example.org:8443" };
  const { ok, lines } = await probeApplications(loadAccess({ env }, machine));
  expect(ok).toBe(false);
  expect(lines).toEqual([
    `lab: ${upstream.url} accepts connections.`,
    "lab: GET /base/lab/ for app.example.org:8443 is answered with 200.",
    `lab: ${dead.url} cannot be reached: nothing listens there.`,
    expect.stringContaining("target in routes.toml"),
    `wiki: ${secure.url} accepts connections.`,
    "wiki: GET / for www.wiki.example.org:8443 is answered with 200.",
    expect.stringMatching(/^stranger: .*self.signed certificate/i),
    expect.stringContaining("target in routes.toml"),
  ]);
  secure.stop();
});
