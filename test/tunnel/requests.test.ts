import { afterEach, beforeEach, expect, test } from "bun:test";
import { openStage, type TunnelStage, until } from "./stage.ts";

/** Requests to an application behind a tunnel, from the front door to the machine at home and back. */

let stage: TunnelStage;
let home: ReturnType<typeof startHome>;
const tick = Promise.withResolvers<void>();

function startHome() {
  return Bun.serve<undefined>({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request, server) {
      const { pathname } = new URL(request.url);
      if (pathname === "/ws")
        return server.upgrade(request) ? undefined : new Response(null, { status: 400 });
      if (pathname === "/upload") return new Response(`${(await request.bytes()).byteLength}`);
      if (pathname === "/large") return new Response(new Uint8Array(8 * 1024 * 1024).fill(65));
      if (pathname === "/stream") {
        return new Response(
          new ReadableStream({
            async start(controller) {
              controller.enqueue("data: one\n\n");
              await tick.promise;
              controller.enqueue("data: two\n\n");
              controller.close();
            },
          }),
          { headers: { "Content-Type": "text/event-stream" } },
        );
      }
      return new Response(`hello ${request.headers.get("x-remote-user") ?? request.method}`);
    },
    websocket: {
      message(socket, message) {
        socket.send(message);
      },
    },
  });
}

beforeEach(async () => {
  home = startHome();
  stage = await openStage();
});
afterEach(async () => {
  await stage.stop();
  await home.stop(true);
});

test("a request, an upload, a large answer, a stream and a WebSocket pass", async () => {
  await stage.connect([`http://127.0.0.1:${home.port}`]);
  const { get } = stage;
  expect((await get("/")).status).toBe(200);
  const body = new Uint8Array(5 * 1024 * 1024);
  expect(await (await get("/upload", { method: "POST", body })).text()).toBe(`${body.byteLength}`);
  expect((await (await get("/large")).bytes()).byteLength).toBe(8 * 1024 * 1024);

  const reader = ((await get("/stream")).body as ReadableStream<Uint8Array>).getReader();
  expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe("data: one\n\n");
  tick.resolve();
  expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe("data: two\n\n");
  expect((await reader.read()).done).toBe(true);

  const socket = new WebSocket(`${stage.gateway.url.replace("http", "ws")}/ws`, {
    headers: { Cookie: stage.cookie, Origin: stage.gateway.url },
  } as Bun.WebSocketOptions);
  const { promise: heard, resolve } = Promise.withResolvers<unknown>();
  socket.onopen = () => socket.send("there and back");
  socket.onmessage = ({ data }) => resolve(data);
  expect(await heard).toBe("there and back");
  socket.close();
});

test("who is not signed in does not get as far as the tunnel", async () => {
  const connector = await stage.connect([`http://127.0.0.1:${home.port}`]);
  const before = connector.status().received;
  expect((await fetch(`${stage.gateway.url}/`)).status).toBe(401);
  expect(connector.status().received).toBe(before);
});

test("nothing is left of a request once it is over", async () => {
  const connector = await stage.connect([`http://127.0.0.1:${home.port}`]);
  await Promise.all(Array.from({ length: 100 }, async () => (await stage.get("/")).text()));
  await until(() => connector.status().connections.every(({ streams }) => streams === 0));
});
