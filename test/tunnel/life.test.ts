import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { PROTOCOL, TUNNEL_PATH, writeService } from "../../src/connect/protocol.ts";
import { API_PREFIX } from "../../src/edge/target.ts";
import { OWN_PREFIX } from "../../src/pages/paths.ts";
import { createSession } from "../../src/yamux/session.ts";
import { openStage, type TunnelStage, until } from "./stage.ts";

/** How tunnels come up, go, come back, and are refused. */

let stage: TunnelStage;
let home: Bun.Server<undefined>;
const to = () => [`http://127.0.0.1:${home.port}`];

beforeEach(async () => {
  home = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("home") });
  stage = await openStage();
});
afterEach(async () => {
  await stage.stop();
  await home.stop(true);
});

const status = async (init?: RequestInit) => (await stage.get("/", init)).status;

describe("while no connector is there", () => {
  test("a page says so, with the time since, and readiness does not change", async () => {
    const navigation = {
      headers: { Accept: "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document" },
    };
    const never = await stage.get("/", navigation);
    expect(never.status).toBe(503);
    expect(await never.text()).toContain("which has not connected yet");
    expect((await fetch(`${stage.gateway.url}/_runegate/health/ready`)).status).toBe(200);

    const connector = await stage.connect(to());
    expect(await status()).toBe(200);
    await connector.stop(0);
    await until(async () => (await status()) === 503);
    const page = await (await stage.get("/", navigation)).text();
    expect(page).toContain("The application is not connected");
    expect(page).toMatch(/not been connected since .*\d{4}-\d\d-\d\d \d\d:\d\d UTC/);
    expect(await (await stage.get("/")).json()).toMatchObject({ error: "tunnel_away" });
  });

  test("a WebSocket is answered the same", async () => {
    const headers = {
      Upgrade: "websocket",
      Connection: "Upgrade",
      Origin: stage.gateway.url,
      "Sec-WebSocket-Version": "13",
      "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    };
    expect(await status({ headers })).toBe(503);
  });
});

describe("two connectors of one tunnel", () => {
  test("share the work, and one goes on where the other ends", async () => {
    const first = await stage.connect(to(), { connections: 1 });
    const second = await stage.connect(to(), { connections: 1 });
    const answers = await Promise.all(Array.from({ length: 40 }, () => status()));
    expect(new Set(answers)).toEqual(new Set([200]));
    expect(first.status().received).toBeGreaterThan(0);
    expect(second.status().received).toBeGreaterThan(0);
    await first.stop(0);
    expect(await status()).toBe(200);
  });
});

describe("a reload of the gateway", () => {
  test("has connectors come anew before the old connection ends, and no request is lost", async () => {
    const connector = await stage.connect(to());
    const answers: number[] = [];
    let going = true;
    const asking = (async () => {
      while (going) answers.push(await status());
    })();
    const asked = stage.gateway.gateway;
    asked.leave("retire");
    await Bun.sleep(0);
    asked.leave("stay");
    const left = () => stage.gateway.lines.filter((line) => line.includes("a connector has left")).length;
    await until(() => left() === 2 && connector.status().connections.length === 2);
    going = false;
    await asking;
    expect(new Set(answers)).toEqual(new Set([200]));
  });
});

/** As a connector is answered. */
async function knock(token: string, name = "home"): Promise<Response> {
  return fetch(`${stage.gateway.url}${OWN_PREFIX}${TUNNEL_PATH}?name=${name}`, {
    headers: {
      ...{ Upgrade: "websocket", Connection: "Upgrade", Authorization: `Bearer ${token}` },
      ...{ "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==" },
      "Sec-WebSocket-Protocol": PROTOCOL,
    },
  });
}

describe("the token", () => {
  test("is good for its tunnel alone, and for nothing else", async () => {
    const other = (await stage.book.create("other", "operator")) ?? "";
    expect((await knock(other)).status).toBe(401);
    expect((await knock(stage.token, "nowhere")).status).toBe(401);
    expect((await knock(stage.token, `home${"x".repeat(5_000)}`)).status).toBe(401);
    expect((await knock(stage.token.replace(/.$/, (last) => (last === "a" ? "b" : "a")))).status).toBe(401);
    const bearer = { headers: { Authorization: `Bearer ${stage.token}`, Cookie: "" } };
    expect((await fetch(`${stage.gateway.url}${API_PREFIX}/tunnels`, bearer)).status).toBe(401);
    expect((await fetch(`${stage.gateway.url}/`, bearer)).status).toBe(401);
  });

  test("refused ones stand in the log, without the token", async () => {
    await knock("rgt_nonsense");
    const lines = stage.gateway.lines.filter((line) => line.includes("tunnel_refused"));
    expect(lines).toHaveLength(1);
    expect(lines[0]).not.toContain("rgt_nonsense");
  });

  test("revoked while an answer streams: that ends within 5 seconds, and nobody gets in with it again", async () => {
    const endless = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: () => new Response(new ReadableStream({ start: (controller) => controller.enqueue("begun") })),
    });
    try {
      await stage.connect([`http://127.0.0.1:${endless.port}`]);
      const reader = ((await stage.get("/")).body as ReadableStream<Uint8Array>).getReader();
      expect((await reader.read()).done).toBe(false);
      const at = performance.now();
      await stage.book.revoke("home");
      await reader.read().catch(() => {});
      expect(performance.now() - at).toBeLessThan(5_000);
      expect(await status()).toBe(503);
      expect((await knock(stage.token)).status).toBe(401);
    } finally {
      await endless.stop(true);
    }
  });

  test("rotated: the one before goes on for the overlap, and no longer", async () => {
    const next = (await stage.book.rotate("home", 60_000)) ?? "";
    expect(next).not.toBe(stage.token);
    await stage.connect(to());
    await stage.connect(to(), { token: next });
    expect(await status()).toBe(200);
    await stage.book.rotate("home", 0);
    expect((await knock(next)).status).toBe(401);
  });

  test("a record that somebody has written into the store opens nothing", async () => {
    const { stores } = stage.gateway;
    const { TUNNELS } = await import("../../src/tunnel/record.ts");
    const records = stores.records(TUNNELS);
    const seen = await records.get("home");
    if (seen === undefined) throw new Error("no record");
    const other = await stage.book.create("other", "operator");
    const theirs = await records.get("other");
    if (theirs === undefined) throw new Error("no record");
    await records.replace(seen, { ...seen.record, token: theirs.record.token, hash: theirs.record.hash });
    expect((await knock(other ?? "")).status).toBe(401);
  });
});

describe("what the connector offers", () => {
  test("is all that can be reached: anything else is reset", async () => {
    const heard: string[] = [];
    const { takeStream, readServices } = await import("../../src/connect/target.ts");
    const out: Uint8Array[] = [];
    const clock = { monotonic: () => performance.now() };
    const transport = { full: () => false, waiting: () => 0 };
    const connector = createSession({
      role: "client",
      transport: { ...transport, send: (bytes) => server.receive(bytes) },
      accept(stream) {
        takeStream(stream, readServices(to()));
        return true;
      },
      closed: () => {},
      most: 10,
      clock,
    });
    const server = createSession({
      role: "server",
      transport: { ...transport, send: (bytes) => void out.push(bytes) },
      closed: () => {},
      most: 10,
      clock,
    });
    const stream = server.open();
    stream?.listen({ data() {}, end() {}, drain() {}, reset: () => void heard.push("reset") });
    stream?.write(writeService("grafana"));
    for (const bytes of out.splice(0)) connector.receive(bytes);
    expect(heard).toEqual(["reset"]);
    expect(connector.size).toBe(0);
  });
});

describe("an answer that is cut at home", () => {
  let raw: Server;
  const sockets: Socket[] = [];
  afterEach(() => {
    raw.close();
    for (const socket of sockets) socket.destroy();
  });

  test("is seen as cut by the visitor", async () => {
    raw = createServer((socket) => {
      sockets.push(socket);
      socket.on("error", () => {});
      socket.once("data", () => {
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\nContent-Type: text/plain\r\n\r\nbegun");
        setTimeout(() => socket.resetAndDestroy(), 50);
      });
    });
    await new Promise<void>((resolve) => raw.listen(0, "127.0.0.1", resolve));
    const address = raw.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    await stage.connect([`http://127.0.0.1:${address.port}`]);
    const read = stage.get("/").then((response) => response.text());
    expect(
      await read.then(
        () => "whole",
        () => "cut",
      ),
    ).toBe("cut");
  });
});

test("administrators see who is connected, programs what the metrics count, and a tunnel is revoked on the page", async () => {
  await stage.stop();
  stage = await openStage({ env: { RUNEGATE_ADMINS: "ada@example.org" } });
  await stage.connect(to());
  const page = await (
    await stage.get("/_runegate/admin/tunnels", { headers: { Accept: "text/html" } })
  ).text();
  expect(page).toContain("Connected now");
  expect(page.match(/127\.0\.0\.1/g)?.length).toBeGreaterThanOrEqual(2);
  const { families } = await stage.gateway.gateway.metrics.measures(true);
  const counted = families.find(({ name }) => name === "runegate_tunnel_connections");
  expect(counted?.samples).toEqual([[["home"], [2]]]);
  const form = new URLSearchParams({ do: "revoke", name: "home" });
  const answer = await stage.get("/_runegate/admin/tunnels", {
    method: "POST",
    body: form,
    redirect: "manual",
    headers: { Origin: stage.gateway.url },
  });
  expect(answer.status).toBe(303);
  expect(await stage.book.get("home")).toBeUndefined();
  await until(async () => (await status()) === 503);
});

test("the socket of a tunnel is for its user alone, and gone with its connector", async () => {
  const directory = stage.gateway.gateway.options.tunnelDirectory;
  const connector = await stage.connect(to());
  const { statSync } = await import("node:fs");
  const [name = ""] = readdirSync(directory);
  expect(readdirSync(directory)).toHaveLength(1);
  expect(statSync(`${directory}/${name}`).mode & 0o777).toBe(0o600);
  expect(statSync(directory).mode & 0o777).toBe(0o700);
  await connector.stop(0);
  await until(() => readdirSync(directory).length === 0);
});
