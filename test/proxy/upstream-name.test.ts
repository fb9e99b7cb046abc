import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { HostHeader } from "../../src/net/host.ts";
import { translateLocation, upstreamName } from "../../src/proxy/upstream-name.ts";
import { exchange } from "../support/raw.ts";
import type { Received, Script } from "../support/upstream.ts";
import { type Pair, startPair } from "./support.ts";
import { acceptWebSocket, openWebSocket } from "./websocket.ts";

/** `RUNEGATE_HOST_HEADER`: the application gets another `Host` than the public one, and all that goes with it. */

const PUBLIC = "https://app.example.org";
const NAME = "app.internal:8080";
/** As a TLS-terminating edge passes a request of a page at {@link PUBLIC} on. */
const THROUGH_EDGE = ["Host: app.example.org", "X-Forwarded-Proto: https"];
const modes = ["pass", "target", NAME] as const;

let pairs: Readonly<Record<(typeof modes)[number], Pair>>;

beforeAll(async () => {
  const start = (mode: string) =>
    startPair({ env: { RUNEGATE_BASE_URL: PUBLIC, RUNEGATE_HOST_HEADER: mode } });
  pairs = { pass: await start("pass"), target: await start("target"), [NAME]: await start(NAME) };
});
afterAll(() => Promise.all(Object.values(pairs).map((pair) => pair.stop())));

const hostOf = (pair: Pair) => `127.0.0.1:${pair.upstream.port}`;

async function received(pair: Pair, fields: readonly string[]): Promise<Received> {
  const { status } = await pair.ask("GET /headers", [...THROUGH_EDGE, ...fields]);
  expect(status).toBe(200);
  const request = pair.upstream.to("/headers").at(-1);
  if (request === undefined) throw new Error("nothing was received");
  return request;
}

describe("the application is addressed", () => {
  test.each<[mode: (typeof modes)[number], host: (pair: Pair) => string]>([
    ["pass", () => "app.example.org"],
    ["target", hostOf],
    [NAME, () => NAME],
  ])("with %s, and told the public name all the same", async (mode, host) => {
    const request = await received(pairs[mode], []);
    expect(request.all("host")).toEqual([host(pairs[mode])]);
    expect(request.all("x-forwarded-host")).toEqual(["app.example.org"]);
    expect(request.all("x-forwarded-proto")).toEqual(["https"]);
  });

  test("as localhost, with `target`, where it listens on a unix socket", async () => {
    const folder = mkdtempSync(join(tmpdir(), "runegate-name-"));
    const pair = await startPair({
      upstream: { unix: join(folder, "app.sock") },
      env: { RUNEGATE_HOST_HEADER: "target" },
    });
    try {
      expect((await received(pair, ["Origin: https://app.example.org"])).one("host")).toBe("localhost");
      expect(pair.upstream.to("/headers").at(-1)?.one("origin")).toBe("http://localhost");
    } finally {
      await pair.stop();
      rmSync(folder, { recursive: true });
    }
  });
});

describe("Origin and Referer", () => {
  const own = (pair: Pair) => `http://${hostOf(pair)}`;
  const cases: ReadonlyArray<readonly [field: string, sent: string, seen: (pair: Pair) => string]> = [
    ["Origin", PUBLIC, own],
    ["Referer", `${PUBLIC}/`, (pair) => `${own(pair)}/`],
    ["Referer", `${PUBLIC}/a/b?c=${PUBLIC}/d`, (pair) => `${own(pair)}/a/b?c=${PUBLIC}/d`],
    // What is not this host's own stays what it is.
    ...[
      "https://evil.example",
      "null",
      "http://app.example.org",
      "https://app.example.org.evil.example",
      "https://app.example.org:8443",
      "https://app.example.org, https://evil.example",
      "https://APP.example.org",
      "",
    ].map((sent) => ["Origin", sent, () => sent] as const),
    ...[
      "https://evil.example/https://app.example.org/",
      "https://app.example.org.evil.example/",
      "https://app.example.org@evil.example/",
      "https://app.example.orgy/",
      "http://app.example.org/",
    ].map((sent) => ["Referer", sent, () => sent] as const),
  ];
  test.each(cases)("%s: %s", async (field, sent, seen) => {
    const line = `${field}: ${sent}`;
    const { pass, target } = pairs;
    expect((await received(pass, [line])).all(field)).toEqual([sent]);
    expect((await received(target, [line])).all(field)).toEqual([seen(target)]);
    const named = seen(target).replace(own(target), `http://${NAME}`);
    expect((await received(pairs[NAME], [line])).all(field)).toEqual([named]);
  });

  test("of the page that asks are translated where it was opened by another name than the public one", async () => {
    // `localhost` and `127.0.0.1` while developing.
    const fields = [`Host: localhost:${pairs.target.port}`, `Origin: http://localhost:${pairs.target.port}`];
    await pairs.target.ask("GET /local", fields);
    expect(pairs.target.upstream.to("/local").at(-1)?.one("origin")).toBe(own(pairs.target));
  });

  test.each(["http", "https"])(
    "of a foreign page that has the application's name, over %s, are not its own",
    async (scheme) => {
      for (const mode of ["target", NAME] as const) {
        const name = `${scheme}://${mode === "target" ? hostOf(pairs.target) : NAME}`;
        const request = await received(pairs[mode], [`Origin: ${name}`, `Referer: ${name}/page`]);
        expect([request.all("origin"), request.all("referer")]).toEqual([["null"], []]);
      }
      const name = `${scheme}://${hostOf(pairs.pass)}`;
      const request = await received(pairs.pass, [`Origin: ${name}`, `Referer: ${name}/page`]);
      expect([request.all("origin"), request.all("referer")]).toEqual([[name], [`${name}/page`]]);
    },
  );

  test("of the application's own page stay its own where both have one name", async () => {
    const name = `127.0.0.1:${pairs.target.upstream.port}`;
    await pairs.target.ask("GET /same", [
      `Host: ${name}`,
      `Origin: http://${name}`,
      `Referer: http://${name}/p`,
    ]);
    const request = pairs.target.upstream.to("/same").at(-1);
    expect([request?.one("origin"), request?.one("referer")]).toEqual([`http://${name}`, `http://${name}/p`]);
  });

  test("that Connection names do not come back", async () => {
    const request = await received(pairs.target, ["Connection: origin", `Origin: ${PUBLIC}`]);
    expect(request.one("origin")).toBeUndefined();
  });
});

describe("Location", () => {
  test.each(["pass", "target"] as const)("with %s", async (mode) => {
    const pair = pairs[mode];
    pair.upstream.on("/away", ({ reply }) => reply(302, [`Location: http://${hostOf(pair)}/a?b#c`]));
    pair.upstream.on("/made", ({ reply }) => reply(201, [`Location: //${hostOf(pair)}/new`], "made"));
    for (const [path, sent, translated] of [
      ["/away", `http://${hostOf(pair)}/a?b#c`, `${PUBLIC}/a?b#c`],
      ["/made", `//${hostOf(pair)}/new`, `${PUBLIC}/new`],
    ] as const) {
      const response = await pair.ask(`GET ${path}`, THROUGH_EDGE);
      expect(response.all("location")).toEqual([mode === "pass" ? sent : translated]);
    }
  });

  const name = upstreamName({
    hostHeader: "target",
    target: {
      kind: "tcp",
      origin: "http://127.0.0.1:5000",
      hostname: "127.0.0.1",
      port: 5000,
      tls: false,
    },
    baseUrl: PUBLIC,
  });
  test.each<[location: string, sent: string | undefined]>([
    ["http://127.0.0.1:5000", PUBLIC],
    ["http://127.0.0.1:5000/", `${PUBLIC}/`],
    // It was told that the browser came by https.
    ["https://127.0.0.1:5000/a", `${PUBLIC}/a`],
    ["HTTP://127.0.0.1:5000?a", `${PUBLIC}?a`],
    // Another host's in disguise would be one where the path alone is sent.
    ["http://127.0.0.1:5000//evil.example/", `${PUBLIC}//evil.example/`],
    ["http://127.0.0.1:5000/\\evil.example", `${PUBLIC}/\\evil.example`],
    ["http://127.0.0.1:5000\\@evil.example/", `${PUBLIC}\\@evil.example/`],
    // Not its own.
    ["http://127.0.0.1:5000@evil.example/", undefined],
    ["http://127.0.0.1:50001/", undefined],
    ["http://127.0.0.1/", undefined],
    ["http://127.0.0.1:5000.evil.example/", undefined],
    ["https://evil.example/?http://127.0.0.1:5000/", undefined],
    ["/a", undefined],
    ["a", undefined],
    ["", undefined],
    ["ftp://127.0.0.1:5000/", undefined],
  ])("%j", (location, sent) => {
    expect(name).toBeDefined();
    if (name !== undefined) expect(translateLocation(location, name)).toBe(sent);
  });

  test("is that of an application whose name was chosen", () => {
    const hostHeader: HostHeader = { name: "App.internal" };
    const target = { kind: "unix", path: "/run/app.sock" } as const;
    const chosen = upstreamName({ hostHeader, target, baseUrl: PUBLIC });
    expect(chosen).toEqual({ host: "App.internal", origin: "http://App.internal", publicOrigin: PUBLIC });
    if (chosen !== undefined) {
      expect(translateLocation("http://app.INTERNAL/x", chosen)).toBe(`${PUBLIC}/x`);
    }
  });
});

/** What applications check of the `Host` they were asked by, and of where a page came from, each as it does. */
const LOCAL = /^(?:localhost|127\.0\.0\.1)(?::\d+)?$/;
const isLocal = ({ one }: Received) => LOCAL.test(one("host") ?? "");
const isOwnOrigin = ({ one }: Received) => one("origin") === `http://${one("host")}`;
const has = (request: Received, name: string) => request.one(name) !== undefined;

type StandIn = {
  readonly name: string;
  readonly method: "GET" | "POST" | "WebSocket";
  /** What it refuses a page under the public name with. */
  readonly refusal: number;
  accepts(request: Received): boolean;
};

const applications: readonly StandIn[] = [
  { name: "MLflow's pages", method: "GET", refusal: 403, accepts: isLocal },
  {
    name: "MLflow's API",
    method: "POST",
    refusal: 403,
    accepts: (request) => isLocal(request) && LOCAL.test(request.one("origin")?.slice(7) ?? "localhost"),
  },
  { name: "Vite's development server", method: "GET", refusal: 403, accepts: isLocal },
  { name: "Vite's hot reload", method: "WebSocket", refusal: 400, accepts: isLocal },
  { name: "Syncthing", method: "GET", refusal: 403, accepts: isLocal },
  { name: "Transmission's RPC", method: "POST", refusal: 421, accepts: isLocal },
  { name: "Cockpit's channel", method: "WebSocket", refusal: 403, accepts: isOwnOrigin },
  { name: "JupyterLab's pages", method: "GET", refusal: 403, accepts: isLocal },
  {
    name: "a kernel of Jupyter",
    method: "WebSocket",
    refusal: 403,
    accepts: (request) => isLocal(request) && isOwnOrigin(request),
  },
  { name: "Django's ALLOWED_HOSTS", method: "GET", refusal: 400, accepts: isLocal },
  {
    name: "Django's CSRF check",
    method: "POST",
    refusal: 403,
    accepts: (request) => has(request, "origin") && isOwnOrigin(request),
  },
  {
    name: "one that goes by Referer",
    method: "POST",
    refusal: 403,
    accepts: ({ one }) => one("referer")?.startsWith(`http://${one("host")}/`) === true,
  },
];

describe("works behind a public name with `target`, and not without:", () => {
  async function status(pair: Pair, app: StandIn, page: string): Promise<number> {
    const script: Script = async (conversation) => {
      if (!app.accepts(conversation.request)) return conversation.reply(app.refusal, [], "refused");
      if (app.method !== "WebSocket") return conversation.reply(200, ["Content-Type: text/plain"], "hello");
      await acceptWebSocket(conversation);
    };
    pair.upstream.on("/app", script);
    const fields = [pair.cookie, ...THROUGH_EDGE, `Origin: ${page}`, `Referer: ${page}/page`];
    if (app.method !== "WebSocket") {
      const body = app.method === "POST" ? ["Content-Length: 0"] : [];
      return (await exchange(pair.port, `${app.method} /app`, [...fields, ...body])).status;
    }
    const { head, peer } = await openWebSocket(pair.port, "/app", fields);
    peer.wire.destroy();
    return head.status;
  }

  test.each(applications.map((app) => [app.name, app] as const))("%s", async (_, app) => {
    expect(await status(pairs.pass, app, PUBLIC)).toBe(app.refusal);
    expect(await status(pairs.target, app, PUBLIC)).toBe(app.method === "WebSocket" ? 101 : 200);
  });

  test("a foreign page is as foreign to it as ever", async () => {
    for (const app of applications) {
      if (!["MLflow's API", "Django's CSRF check", "one that goes by Referer"].includes(app.name)) continue;
      expect([app.name, await status(pairs.target, app, "https://evil.example")]).toEqual([app.name, 403]);
    }
  });
});
