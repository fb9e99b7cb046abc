import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { dial, readChunk, readResponse, readResponseHead, requestHead, type Wire } from "../support/raw.ts";
import { responseHead, startUpstream, type Upstream } from "../support/upstream.ts";
import { type ServeProcess, startServe } from "./process.ts";
import { settled, within } from "./support.ts";

setDefaultTimeout(30_000);

/** A gigabyte each way with a slow reader: the sender waits, and memory stays as it was (CONTRACT section 7). */

const GIGABYTE = 1_000_000_000;
const PIECE = new Uint8Array(1_000_000).fill(0x61);
/** Far more than all the buffers on the way hold: the system's, of two connections at both ends, and a few pieces. */
const UNDER_WAY = 128 * 1024 * 1024;
const MAY_GROW = 32 * 1024 * 1024;

let upstream: Upstream;
let gateway: ServeProcess;

beforeAll(async () => {
  upstream = await startUpstream();
  gateway = await startServe(upstream.url);
  // The first bodies make the runtime grow to what it needs for any.
  for (let round = 0; round < 20; round++) {
    const body = PIECE.subarray(0, 500_000);
    await gateway.ask("POST /warm-up", [`Content-Length: ${body.byteLength}`], body);
  }
});

afterAll(async () => {
  await gateway.stop();
  upstream.stop();
});

async function growth(transfer: () => Promise<void>): Promise<number> {
  gateway.forgetPeak();
  const before = gateway.memory();
  await transfer();
  return gateway.peakMemory() - before;
}

describe("a body of many pieces, with a reader that stops now and then", () => {
  const pieces = Array.from({ length: 800 }, (_, index) =>
    Uint8Array.from({ length: 1 + ((index * 7919) % 65536) }, (__, at) => (at * 31 + index) & 0xff),
  );
  const whole = Buffer.concat(pieces);

  async function readHaltingly(wire: Wire, length: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let received = 0; received < length; ) {
      if (parts.length % 20 === 0) {
        wire.stall();
        await Bun.sleep(2);
        wire.resume();
      }
      const part = await wire.readSome();
      if (part === undefined) break;
      parts.push(part);
      received += part.byteLength;
    }
    return Buffer.concat(parts);
  }

  test("comes down byte for byte", async () => {
    upstream.on("/pieces", async ({ wire }) => {
      await wire.write(responseHead(200, [], whole.byteLength));
      for (const piece of pieces) await wire.write(piece);
    });
    const visitor = await dial(gateway.port);
    await visitor.write(requestHead("GET /pieces", [gateway.cookie]));
    await readResponseHead(visitor);
    const received: Buffer[] = [];
    for (let next = await readChunk(visitor); next?.byteLength; next = await readChunk(visitor)) {
      received.push(next);
      if (received.length % 20 !== 0) continue;
      visitor.stall();
      await Bun.sleep(2);
      visitor.resume();
    }
    expect(Buffer.concat(received).equals(whole)).toBe(true);
    visitor.destroy();
  });

  test("goes up byte for byte", async () => {
    let received: Buffer = Buffer.alloc(0);
    upstream.on("/pieces", async ({ wire, reply }) => {
      received = await readHaltingly(wire, whole.byteLength);
      await reply(200, ["Connection: close"]);
      wire.end();
    });
    const visitor = await dial(gateway.port);
    await visitor.write(requestHead("PUT /pieces", [gateway.cookie, `Content-Length: ${whole.byteLength}`]));
    for (const piece of pieces) await visitor.write(piece);
    await readResponse(visitor);
    expect(received.equals(whole)).toBe(true);
    visitor.destroy();
  });
});

describe("a gigabyte", () => {
  test("down to a slow reader is held up at the application", async () => {
    let sent = 0;
    upstream.on("/down", async ({ wire }) => {
      await wire.write(responseHead(200, ["Content-Type: application/octet-stream"], GIGABYTE));
      for (; sent < GIGABYTE; sent += PIECE.byteLength) await wire.write(PIECE);
    });
    const grown = await growth(async () => {
      const visitor = await dial(gateway.port);
      await visitor.write(requestHead("GET /down", [gateway.cookie]));
      await readResponseHead(visitor);
      let received = 0;
      for (const upTo of [0, 100_000_000, 200_000_000]) {
        received += await visitor.skip(upTo - received);
        visitor.stall();
        const stalledAt = await settled(() => sent, 300, 10_000);
        expect(stalledAt).toBeLessThan(upTo + UNDER_WAY);
        visitor.resume();
      }
      // More than the body, for the chunks' sizes and line ends: to the last chunk.
      received += await within(15_000, visitor.skip(GIGABYTE - received));
      expect(received).toBe(GIGABYTE);
      expect((await within(2_000, visitor.readUntil("0\r\n\r\n"))).toString("latin1")).toEndWith(
        "\r\n0\r\n\r\n",
      );
      visitor.destroy();
    });
    expect(grown).toBeLessThan(MAY_GROW);
  }, 20_000);

  test("up to a slow application is held up at the browser", async () => {
    let received = 0;
    const { promise: opened, resolve: open } = Promise.withResolvers<void>();
    upstream.on("/up", async ({ wire, reply }) => {
      wire.stall();
      await opened;
      wire.resume();
      received += await wire.skip(GIGABYTE);
      await reply(200, ["Content-Type: text/plain", "Connection: close"], String(received));
      wire.end();
    });
    const grown = await growth(async () => {
      const visitor = await dial(gateway.port);
      await visitor.write(requestHead("POST /up", [gateway.cookie, `Content-Length: ${GIGABYTE}`]));
      let sent = 0;
      const sending = (async () => {
        for (; sent < GIGABYTE; sent += PIECE.byteLength) await visitor.write(PIECE);
      })();
      expect(await settled(() => sent, 300, 10_000)).toBeLessThan(UNDER_WAY);
      open();
      await within(15_000, sending);
      const response = await within(5_000, readResponse(visitor));
      expect(response.body.toString()).toBe(String(GIGABYTE));
      visitor.destroy();
    });
    expect(grown).toBeLessThan(MAY_GROW);
  }, 20_000);
});
