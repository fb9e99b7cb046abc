import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeCertificate } from "../support/certificate.ts";
import { type Echo, startUpstream, type Upstream } from "../support/upstream.ts";
import { type ServeProcess, startServe } from "./process.ts";
import { startPair, VISITOR, within } from "./support.ts";
import { acceptWebSocket, openWebSocket } from "./websocket.ts";

/** Where the application can be: behind a unix socket, behind TLS, and never behind a forward proxy (CONTRACT section 9). */

type Front = Pick<ServeProcess, "port" | "cookie" | "ask">;

async function expectHttp(front: Front, upstream: Upstream): Promise<void> {
  const response = await within(
    3_000,
    front.ask("POST /a%20b?q=1", ["Content-Length: 5", "X-A: 1"], "hello"),
  );
  expect(response.status).toBe(200);
  expect(JSON.parse(response.body.toString()) as Echo).toEqual({
    method: "POST",
    target: "/a%20b?q=1",
    body: "hello",
  });
  const received = upstream.requests.at(-1);
  expect(received?.one("host")).toBe("app.example.org");
  expect(received?.one("x-a")).toBe("1");
  expect(received?.one("x-forwarded-user")).toBe(VISITOR);
}

async function expectWebSocket(front: Front, upstream: Upstream): Promise<void> {
  upstream.on("/socket", async (handshake) => {
    const peer = await acceptWebSocket(handshake);
    const came = await peer.nextMessage();
    await peer.text("data" in came ? `you said ${came.data}` : came.kind);
    await new Promise(() => {});
  });
  const { head, peer } = await within(3_000, openWebSocket(front.port, "/socket?q=1", [front.cookie]));
  expect(head.status).toBe(101);
  await peer.text("hello");
  expect(await within(2_000, peer.nextMessage())).toEqual({
    kind: "text",
    data: Buffer.from("you said hello"),
  });
  const received = upstream.to("/socket").at(-1);
  expect(received?.target).toBe("/socket?q=1");
  expect(received?.one("host")).toBe("app.example.org");
  peer.wire.destroy();
}

describe("an application behind a unix socket", () => {
  test("is reached by HTTP and by WebSocket, and found missing", async () => {
    const directory = mkdtempSync(join(tmpdir(), "runegate-unix-"));
    const pair = await startPair({ upstream: { unix: join(directory, "app.sock") } });
    await expectHttp(pair, pair.upstream);
    await expectWebSocket(pair, pair.upstream);
    pair.upstream.stop();
    rmSync(directory, { recursive: true });
    const response = await within(3_000, pair.ask("GET /"));
    expect(response.status).toBe(502);
    expect(response.body.toString()).not.toContain("app.sock");
    const { head, peer } = await within(3_000, openWebSocket(pair.port, "/socket", [pair.cookie]));
    expect(head.status).toBe(502);
    peer.wire.destroy();
    await pair.gateway.stop();
  });
});

describe("an application behind TLS", () => {
  test("is reached by HTTP and by WebSocket if its certificate is trusted, and is a 502 if not", async () => {
    const directory = mkdtempSync(join(tmpdir(), "runegate-tls-"));
    const certificate = makeCertificate({ names: ["app.internal", "localhost"] });
    const path = join(directory, "ca.pem");
    writeFileSync(path, certificate.cert);
    const upstream = await startUpstream({ tls: certificate });
    const [trusting, distrusting] = await Promise.all([
      startServe(upstream.url, { NODE_EXTRA_CA_CERTS: path }),
      startServe(upstream.url),
    ]);
    await expectHttp(trusting, upstream);
    await expectWebSocket(trusting, upstream);
    const received = upstream.requests.length;
    expect((await within(3_000, distrusting.ask("GET /"))).status).toBe(502);
    const { head, peer } = await within(
      3_000,
      openWebSocket(distrusting.port, "/socket", [distrusting.cookie]),
    );
    expect(head.status).toBe(502);
    expect(upstream.requests.length).toBe(received);
    peer.wire.destroy();
    await Promise.all([trusting.stop(), distrusting.stop()]);
    upstream.stop();
    rmSync(directory, { recursive: true });
  }, 15_000);
});

describe("a forward proxy in the environment", () => {
  test("is not asked, for HTTP or for WebSockets", async () => {
    const upstream = await startUpstream();
    const proxy = await startUpstream();
    const variables = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"].flatMap((name) => [
      name,
      name.toLowerCase(),
    ]);
    const gateway = await startServe(
      upstream.url,
      Object.fromEntries(variables.map((name) => [name, proxy.url])),
    );
    await expectHttp(gateway, upstream);
    await expectWebSocket(gateway, upstream);
    expect(proxy.connections).toHaveLength(0);
    await gateway.stop();
    upstream.stop();
    proxy.stop();
  }, 15_000);
});
