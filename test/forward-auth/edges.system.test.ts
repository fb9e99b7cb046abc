import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Address } from "../../src/identity/address.ts";
import { acceptWebSocket, HANDSHAKE, peerOf } from "../proxy/websocket.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { needs } from "../support/needs.ts";
import { freePort, type RunningProcess, startProcess } from "../support/process.ts";
import { dial, exchange, readResponseHead, requestHead } from "../support/raw.ts";
import { startUpstream, type Upstream } from "../support/upstream.ts";
import { configureCaddy, configureNginx, listening, type Place } from "./real-edges.ts";
import { errorOf, FETCH, NAVIGATION } from "./support.ts";

/** Edges that ask, as they really are: what a browser gets through them, and what the application is told. */

type RealEdge = {
  readonly name: string;
  /** Writes its configuration. @returns what runs it, but for the program. */
  configure(place: Place): readonly string[];
  /** What it answers where a check is not answered as it should be. */
  readonly withoutRunegate: number;
  /** What becomes of a request that says who it is from: it is refused, or that is taken out before the check. */
  readonly forged: "refused" | "taken out";
};

const NGINX: RealEdge = { name: "nginx", configure: configureNginx, withoutRunegate: 500, forged: "refused" };
const CADDY: RealEdge = {
  name: "caddy",
  configure: configureCaddy,
  withoutRunegate: 502,
  forged: "taken out",
};

describe.each([NGINX, CADDY])("$name asks", (edge) => {
  const program = needs(edge.name);
  if (program === undefined) return;
  let place: Place;
  let process: RunningProcess;
  let upstream: Upstream;
  let gateway: TestGateway;
  let ada: string;
  let bob: string;

  beforeAll(async () => {
    const folder = mkdtempSync(join(tmpdir(), "runegate-asks-"));
    chmodSync(folder, 0o755);
    const port = freePort();
    upstream = await startUpstream();
    gateway = await startGateway({
      env: {
        RUNEGATE_LISTEN: `127.0.0.1:${freePort()}`,
        RUNEGATE_BASE_URL: `http://localhost:${port}`,
        RUNEGATE_LANDING_PATH: "/start",
        RUNEGATE_SECURE_COOKIE: "false",
      },
      routes: `
        [[routes]]
        name = "app"
        host = "localhost"
        external = true
        allow = ["ada@example.org"]
        public_paths = ["/public/*"]
        [[routes]]
        name = "other"
        host = "other.localhost"
        external = true
        allow = ["bob@example.org"]
      `,
    });
    place = { folder, port, gateway: gateway.port, application: upstream.port };
    process = startProcess([program, ...edge.configure(place)], { HOME: folder, XDG_DATA_HOME: folder });
    await listening(process, port);
    [ada, bob] = await Promise.all([gateway.signIn("ada@example.org"), gateway.signIn("bob@example.org")]);
  });
  afterAll(async () => {
    process.signal("SIGTERM");
    await process.exited;
    await gateway.stop();
    upstream.stop();
    rmSync(place.folder, { recursive: true });
  });

  const host = () => `Host: localhost:${place.port}`;
  const ask = (line: string, fields: readonly string[] = [], body = "") =>
    exchange(place.port, line, [host(), ...fields], body);
  const as = (cookie: string, ...fields: string[]) => [`Cookie: ${cookie}`, ...fields];

  test("the application is told who is asking, and gets no cookie of Runegate's", async () => {
    const fields = [`Cookie: a=1; ${ada}; b=${"x".repeat(6000)}`, "Authorization: Basic eDp5"];
    expect((await ask("GET /told?a=1", fields)).status).toBe(200);
    const [request] = upstream.to("/told");
    expect(request?.target).toBe("/told?a=1");
    expect(request?.one("remote-user")).toBe("ada@example.org");
    expect(request?.one("x-runegate-user")).toBe("ada@example.org");
    expect(request?.one("cookie")).toBe(`a=1; b=${"x".repeat(6000)}`);
    expect(request?.one("authorization")).toBe("Basic eDp5");
    expect(request?.one("host")).toStartWith("localhost");
  });

  test("a page leads to signing in, on the same host, and back", async () => {
    const answer = await ask("GET /page?a=1", NAVIGATION);
    const login = `http://localhost:${place.port}/_runegate/login`;
    expect([answer.status, answer.one("location")]).toEqual([302, `${login}?next=%2Fpage%3Fa%3D1`]);
    expect((await ask("GET /_runegate/login?next=%2Fpage", NAVIGATION)).status).toBe(200);
    expect(upstream.to("/page")).toEqual([]);
  });

  test("a script gets 401 and JSON, a form 303, a stranger 403, and a WebSocket 401", async () => {
    const script = await ask("GET /refused", FETCH);
    expect([script.status, errorOf(script)]).toEqual([401, "unauthenticated"]);
    const form = await ask("POST /refused", [...NAVIGATION, "Content-Length: 5"], "hello");
    expect([form.status, form.one("location")]).toEqual([
      303,
      `http://localhost:${place.port}/_runegate/login?next=%2Fstart`,
    ]);
    const stranger = await ask("GET /refused", as(bob, ...NAVIGATION));
    expect([stranger.status, stranger.one("location")]).toEqual([403, undefined]);
    expect(stranger.body.toString()).toContain("not open to you");
    expect((await ask("GET /refused", HANDSHAKE)).status).toBe(401);
    expect(upstream.to("/refused")).toEqual([]);
  });

  test.each([
    ["of a length", ["Content-Length: 100000"], "x".repeat(100_000)],
    ["in chunks", ["Transfer-Encoding: chunked"], `186A0\r\n${"x".repeat(100_000)}\r\n0\r\n\r\n`],
  ] as const)("a body %s arrives whole", async (_, fields, body) => {
    let length = 0;
    upstream.on("/body", async ({ body: read, reply }) => {
      length = (await read()).byteLength;
      await reply(200);
    });
    expect((await ask("POST /body", as(ada, ...fields), body)).status).toBe(200);
    expect(length).toBe(100_000);
  });

  test("a WebSocket opens and echoes", async () => {
    upstream.on("/socket", async (one) => {
      const peer = await acceptWebSocket(one);
      const came = await peer.nextMessage();
      if (came.kind === "text") await peer.text(`${came.data}, and back`);
    });
    const wire = await dial(place.port);
    const origin = `Origin: http://localhost:${place.port}`;
    await wire.write(requestHead("GET /socket", [host(), ...as(ada, origin), ...HANDSHAKE]));
    expect((await readResponseHead(wire)).status).toBe(101);
    const peer = peerOf(wire, "client");
    await peer.text("there");
    expect(await peer.nextMessage()).toMatchObject({ kind: "text", data: Buffer.from("there, and back") });
    wire.destroy();
    const elsewhere = await ask("GET /socket", as(ada, "Origin: http://evil.example", ...HANDSHAKE));
    expect(elsewhere.status).toBe(403);
  });

  test("A1: what a visitor says was asked for counts for nothing", async () => {
    const forged = [
      `X-Original-URL: http://localhost:${place.port}/public/x`,
      "X-Original-Method: GET",
      "X-Original-URI: /public/x",
      "X-Forwarded-Uri: /public/x",
      "X-Forwarded-Method: GET",
      "X-Forwarded-Host: other.localhost",
      "X-Forwarded-Proto: https",
      "X-Forwarded-Prefix: /public",
      "X-Auth-Request-Redirect: /public/x",
    ];
    expect((await ask("GET /forged", [...FETCH, ...forged])).status).toBe(401);
    expect((await ask("GET /forged", as(bob, ...FETCH, ...forged))).status).toBe(403);
    expect((await ask("GET /public/x", forged)).status).toBe(200);
    expect(upstream.to("/forged")).toEqual([]);
  });

  test("A4: what a visitor says of who is asking does not get through", async () => {
    const names = ["Remote-User", "Remote-Groups", "X-Runegate-User", "X-Runegate-Actor", "X-Forwarded-User"];
    for (const name of names) {
      const before = upstream.to("/public/forged").length;
      const answer = await ask("GET /public/forged", [`${name}: eve@example.org`]);
      const received = upstream.to("/public/forged").slice(before);
      expect(received.flatMap(({ fields }) => fields.map(([, value]) => value))).not.toContain(
        "eve@example.org",
      );
      if (edge.forged === "refused") expect([name, answer.status, received.length]).toEqual([name, 500, 0]);
    }
  });

  test("A17: nobody gets out of a public path", async () => {
    for (const path of ["/public/../secret", "/public/%2e%2e/secret", "/public//x", "/public/..%2fsecret"]) {
      expect([path, (await ask(`GET ${path}`, FETCH)).status]).toEqual([path, 401]);
    }
    // A fragment is no part of a request; whatever the edge makes of one, it is not let through.
    expect([400, 401, 500]).toContain((await ask("GET /public/x#/..", FETCH)).status);
  });

  test("A20: nobody outside asks", async () => {
    const described = [`X-Original-URL: http://localhost:${place.port}/`, "X-Original-Method: GET"];
    for (const path of [
      "nginx",
      "caddy",
      "traefik",
      "envoy",
      "haproxy",
      "envoy/x",
      "other",
      "../check/nginx",
    ]) {
      const answer = await ask(`GET /_runegate/check/${path}`, as(ada, ...described));
      expect([path, answer.status, answer.all("remote-user")]).toEqual([path, 404, []]);
    }
    if (edge === NGINX)
      expect((await ask("GET /_runegate/challenge", as(ada, ...described))).status).toBe(404);
  });

  test("a session that has ended lets nobody pass from then on", async () => {
    const cookie = await gateway.signIn("ada@example.org");
    expect((await ask("GET /ended", as(cookie))).status).toBe(200);
    await gateway.gateway.sessions.endAll("ada@example.org" as Address);
    expect((await ask("GET /ended", as(cookie))).status).toBe(401);
    ada = await gateway.signIn("ada@example.org");
  });

  test("A21: with Runegate stopped, the application is not reached", async () => {
    await gateway.stop();
    const before = upstream.requests.length;
    const answer = await ask("GET /stopped", as(ada));
    expect(answer.status).toBe(edge.withoutRunegate);
    expect(upstream.requests.length).toBe(before);
  });
});
