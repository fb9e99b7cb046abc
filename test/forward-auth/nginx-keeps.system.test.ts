import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import type { Address } from "../../src/identity/address.ts";
import { HANDSHAKE } from "../proxy/websocket.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { needs } from "../support/needs.ts";
import { freePort, type RunningProcess, startProcess } from "../support/process.ts";
import { exchange } from "../support/raw.ts";
import { startUpstream, type Upstream } from "../support/upstream.ts";
import { configureNginxCache, listening } from "./real-edges.ts";

/** nginx that answers a check by itself for two seconds: what that may not change. Its cache is where no disk is. */

const program = needs("nginx");

describe.skipIf(program === undefined)("nginx keeps what a check says it may", () => {
  let folder: string;
  let port: number;
  let nginx: RunningProcess;
  let upstream: Upstream;
  let gateway: TestGateway;

  beforeAll(async () => {
    folder = mkdtempSync("/dev/shm/runegate-keeps-");
    chmodSync(folder, 0o755);
    port = freePort();
    upstream = await startUpstream();
    gateway = await startGateway({
      env: {
        RUNEGATE_LISTEN: `127.0.0.1:${freePort()}`,
        RUNEGATE_BASE_URL: `http://localhost:${port}`,
        RUNEGATE_SECURE_COOKIE: "false",
      },
      routes: `
        [defaults]
        external = true
        websocket = false
        [[routes]]
        name = "plain"
        host = "localhost"
        [[routes]]
        name = "other"
        host = "other.localhost"
        allow = ["bob@example.org"]
        [[routes]]
        name = "ruled"
        host = "ruled.localhost"
        public_paths = ["/public"]
        [[routes]]
        name = "sockets"
        host = "sockets.localhost"
        websocket = true
      `,
    });
    const place = { folder, port, gateway: gateway.port, application: upstream.port };
    nginx = startProcess([program ?? "nginx", ...configureNginxCache(place)]);
    await listening(nginx, port);
  });
  afterAll(async () => {
    nginx.signal("SIGTERM");
    await nginx.exited;
    await gateway.stop();
    upstream.stop();
    rmSync(folder, { recursive: true });
  });

  async function ask(line: string, fields: readonly string[] = [], host = "localhost") {
    const before = checks();
    const { status } = await exchange(port, line, [`Host: ${host}:${port}`, ...fields]);
    return { status, asked: checks() - before };
  }
  /** Runegate has been asked so often, challenges included. */
  const checks = () => gateway.lines.filter((line) => line.includes("decided for an edge")).length;
  const somebody = async (name: string) => `Cookie: ${await gateway.signIn(`${name}@example.org`)}`;

  test("one check does for all paths of the host, and no other method", async () => {
    const cookie = await somebody("ada");
    expect(await ask("GET /a", [cookie])).toEqual({ status: 200, asked: 1 });
    expect(await ask("GET /b?c", [cookie])).toEqual({ status: 200, asked: 0 });
    expect(await ask("DELETE /a", [cookie])).toEqual({ status: 200, asked: 1 });
    expect(upstream.to("/b").at(-1)?.one("remote-user")).toBe("ada@example.org");
    expect(await ask("GET /a", [`${cookie}; x=1`])).toEqual({ status: 200, asked: 1 });
    expect(upstream.to("/a").at(-1)?.one("cookie")).toBe("x=1");
  });

  test("nobody gets what was kept for another", async () => {
    const [grace, bob] = await Promise.all([somebody("grace"), somebody("bob")]);
    await ask("GET /x", [grace]);
    await ask("GET /x", [bob]);
    expect(upstream.to("/x").map((one) => one.one("remote-user"))).toEqual([
      "grace@example.org",
      "bob@example.org",
    ]);
    expect((await ask("GET /x", [])).status).toBe(401);
    expect((await ask("GET /x", [grace.replace("runegate_id", "Runegate_Id")])).status).toBe(401);
    expect((await ask("GET /x", [`${grace}x`])).status).toBe(401);
    expect((await ask("GET /x", [`Authorization: ${grace.slice("Cookie: ".length)}`])).status).toBe(401);
    expect((await ask("GET /x", [grace], "other.localhost")).status).toBe(403);
    expect((await ask("GET /x", [bob], "OTHER.localhost")).status).toBe(200);
  });

  test("a session that has ended is out within three seconds", async () => {
    const cookie = await somebody("out");
    expect((await ask("GET /out", [cookie])).status).toBe(200);
    await gateway.gateway.sessions.endAll("out@example.org" as Address);
    const ended = performance.now();
    let status = 200;
    while (status === 200) {
      status = (await ask("GET /out", [cookie])).status;
      expect(performance.now() - ended).toBeLessThan(3_000);
    }
    expect(status).toBe(401);
  });

  test("a refusal is never kept", async () => {
    const stranger = await somebody("stranger");
    for (let turn = 0; turn < 2; turn++) {
      // The challenge asks as well.
      expect(await ask("GET /x")).toEqual({ status: 401, asked: 2 });
      expect(await ask("GET /x", [stranger], "other.localhost")).toEqual({ status: 403, asked: 2 });
    }
  });

  test("nothing is, where paths have rules or WebSockets are taken", async () => {
    const cookie = await somebody("ruled");
    for (const host of ["ruled.localhost", "sockets.localhost"]) {
      for (let turn = 0; turn < 2; turn++) {
        expect([host, await ask("GET /x", [cookie], host)]).toEqual([host, { status: 200, asked: 1 }]);
      }
    }
  });

  test("what a visitor says of it means nothing", async () => {
    const cookie = await somebody("says");
    for (const value of ["host", "path", ""]) {
      const said = [cookie, `X-Runegate-Cache: ${value}`];
      expect((await ask("GET /x", said, "ruled.localhost")).asked).toBe(1);
    }
    expect((await ask("GET /x", [cookie, "X-Runegate-Cache: no"])).asked).toBe(1);
    expect((await ask("GET /y", [cookie])).asked).toBe(0);
  });

  test("no WebSocket is opened by what was kept", async () => {
    const cookie = await somebody("socket");
    expect((await ask("GET /x", [cookie])).status).toBe(200);
    await ask("GET /socket", [cookie, "Origin: http://evil.example", ...HANDSHAKE]);
    for (const request of upstream.to("/socket")) expect(request.one("upgrade")).toBeUndefined();
  });
});
