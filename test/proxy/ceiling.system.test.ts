import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { skipBecause } from "../support/needs.ts";
import { dial, exchange, readChunk, readResponseHead, requestHead, type Wire } from "../support/raw.ts";
import { chunk, responseHead, startUpstream, type Upstream } from "../support/upstream.ts";
import { type ServeProcess, startServe } from "./process.ts";
import { acceptWebSocket, openWebSocket, type Peer } from "./websocket.ts";

setDefaultTimeout(30_000);

/** No hidden ceiling: `fetch` by itself would stop at 256 requests and let everybody wait. */

const EACH = 1_000;
/** Two ends of two connections for each, half of them in this process. */
const FILES_NEEDED = 2 * EACH * 2 + 200;

const files = Number(/^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1]);
const enough = files >= FILES_NEEDED;
if (!enough) skipBecause(`it takes ${FILES_NEEDED} open files, and \`ulimit -n\` allows ${files}`);

let upstream: Upstream;
let gateway: ServeProcess;

beforeAll(async () => {
  upstream = await startUpstream();
  gateway = await startServe(upstream.url);
});

afterAll(async () => {
  await gateway.stop();
  upstream.stop();
});

/** A few at a time, as visitors come. */
async function open<T>(count: number, one: () => Promise<T>): Promise<T[]> {
  const opened: T[] = [];
  while (opened.length < count) {
    opened.push(...(await Promise.all(Array.from({ length: Math.min(50, count - opened.length) }, one))));
  }
  return opened;
}

async function openStream(): Promise<Wire> {
  const wire = await dial(gateway.port);
  await wire.write(requestHead("GET /events", [gateway.cookie]));
  expect((await readResponseHead(wire)).status).toBe(200);
  expect((await readChunk(wire))?.toString()).toBe("data: hello\n\n");
  return wire;
}

async function openSocket(cookie: string): Promise<Peer> {
  const { head, peer } = await openWebSocket(gateway.port, "/socket", [cookie]);
  expect(head.status).toBe(101);
  return peer;
}

describe("a thousand event streams and a thousand WebSockets", () => {
  test.skipIf(!enough)(
    "are open at once, and others are still answered",
    async () => {
      const applications: Wire[] = [];
      const sockets: Peer[] = [];
      upstream.on("/events", async ({ wire }) => {
        const head = responseHead(200, ["Content-Type: text/event-stream", "Transfer-Encoding: chunked"]);
        await wire.write(head + chunk("data: hello\n\n").toString());
        applications.push(wire);
        await wire.ended;
      });
      upstream.on("/socket", async (handshake) => {
        sockets.push(await acceptWebSocket(handshake));
        await handshake.wire.ended;
      });
      const streams = await open(EACH, openStream);
      // A session has a ceiling of its own, of 256.
      const peers: Peer[] = [];
      for (const email of ["", "bob@example.org", "cyd@example.org", "dan@example.org"]) {
        const cookie = email === "" ? gateway.cookie : await gateway.signIn(email);
        peers.push(...(await open(EACH / 4, () => openSocket(cookie))));
      }

      // A ceiling would let them wait for a stream to end, and none does.
      for (let count = 0; count < 10; count++) {
        expect((await exchange(gateway.port, "GET /ordinary", [gateway.cookie])).status).toBe(200);
        expect((await exchange(gateway.port, "GET /_runegate/health")).status).toBe(200);
      }

      // And every one of them is alive.
      for (const wire of applications) await wire.write(chunk("data: news\n\n"));
      for (const peer of sockets) await peer.text("news");
      for (const wire of streams) expect((await readChunk(wire))?.toString()).toBe("data: news\n\n");
      for (const peer of peers) expect(await peer.nextMessage()).toMatchObject({ kind: "text" });
      for (const wire of [...streams, ...peers.map((peer) => peer.wire)]) wire.destroy();
    },
    120_000,
  );
});
