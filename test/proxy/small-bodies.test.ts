import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { testClock } from "../support/clock.ts";
import {
  dial,
  type RawResponse,
  readChunk,
  readResponse,
  readResponseHead,
  requestHead,
  type Wire,
} from "../support/raw.ts";
import { responseHead } from "../support/upstream.ts";
import { type Pair, startPair, until, within } from "./support.ts";

setDefaultTimeout(30_000);

/**
 * A small body of a known length is waited for a moment where it comes after its head, so that it keeps its
 * `Content-Length`; one that takes longer streams. The clock stands still until a test moves it.
 */

const MOMENT_MS = 100;
const LARGEST = 256 * 1024;
const PLAIN = ["Content-Type: text/plain"];

const clock = testClock();
let pair: Pair;

beforeAll(async () => {
  pair = await startPair({ clock });
});

afterAll(() => pair.stop());

/** How often the gateway has had the head of a response for this path. */
const heads = (path: string) =>
  pair.gateway.lines.filter((line) => line.includes("answered") && line.includes(`path=${path} `)).length;

/** Asks for a body that comes in these pieces, the first once the gateway has seen the head. */
async function ask(
  path: string,
  length: number,
  method = "GET",
): Promise<{ visitor: Wire; application: Wire }> {
  const { promise, resolve } = Promise.withResolvers<Wire>();
  pair.upstream.on(path, async ({ wire }) => {
    await wire.write(responseHead(200, PLAIN, length));
    resolve(wire);
    await wire.ended;
  });
  const before = heads(path);
  const visitor = await dial(pair.port);
  await visitor.write(requestHead(`${method} ${path}`, [pair.cookie]));
  await until(() => heads(path) > before);
  return { visitor, application: await promise };
}

describe("a body that comes after its head keeps its Content-Length", () => {
  test.each([
    ["of one byte", [1]],
    ["in one piece", [50_000]],
    ["in several", [20_000, 1, 29_999]],
    ["of 256 KiB", [LARGEST]],
  ])("%s", async (_, pieces) => {
    const length = pieces.reduce((sum, piece) => sum + piece);
    const { visitor, application } = await ask("/after", length);
    for (const piece of pieces) await application.write(Buffer.alloc(piece, "x"));
    const answer: RawResponse = await within(2_000, readResponse(visitor));
    expect(answer).toMatchObject({ status: 200, framing: "length", complete: true });
    expect(answer.one("content-length")).toBe(String(length));
    expect(answer.one("content-type")).toBe("text/plain");
    expect(answer.body).toEqual(Buffer.alloc(length, "x"));
    await until(() => pair.gateway.lines.some((line) => line.includes(`/after 200  bytes=${length} `)));
    visitor.destroy();
    application.destroy();
  });
});

describe("what is not there in a moment streams", () => {
  test("a small body that trickles", async () => {
    const { visitor, application } = await ask("/trickle", 10);
    await application.write("first");
    clock.advance(MOMENT_MS);
    const head = await within(2_000, readResponseHead(visitor));
    expect([head.one("content-length"), head.one("transfer-encoding")]).toEqual([undefined, "chunked"]);
    expect((await within(2_000, readChunk(visitor)))?.toString()).toBe("first");
    await application.write("other");
    expect((await within(2_000, readChunk(visitor)))?.toString()).toBe("other");
    expect(await within(2_000, readChunk(visitor))).toEqual(Buffer.alloc(0));
    visitor.destroy();
    application.destroy();
  });

  test("a larger one, which is not waited for at all", async () => {
    const { visitor, application } = await ask("/larger", LARGEST + 1);
    await application.write("first");
    expect((await within(2_000, readResponseHead(visitor))).one("content-length")).toBeUndefined();
    expect((await within(2_000, readChunk(visitor)))?.toString()).toBe("first");
    visitor.destroy();
    application.destroy();
  });

  test("a small one that breaks off, which never looks whole", async () => {
    for (const how of ["end", "reset"] as const) {
      const { visitor, application } = await ask("/broken", 10);
      await application.write("first");
      application[how]();
      const received = (await within(2_000, visitor.readToEnd())).toString("latin1");
      expect(received).toStartWith("HTTP/1.1 200");
      expect(received).not.toMatch(/^content-length:/im);
      expect(received).not.toEndWith("0\r\n\r\n");
    }
  });

  test("a small one that is left ends the work on it", async () => {
    const { visitor, application } = await ask("/left", 10);
    await application.write("first");
    visitor.destroy();
    clock.advance(MOMENT_MS);
    await within(2_000, application.ended);
    await until(() => pair.gateway.gateway.live.size === 0);
  });
});
