import { describe, expect, test } from "bun:test";
import { dial, readChunk, readResponse, readResponseHead, requestHead } from "../support/raw.ts";
import { chunk, LAST_CHUNK, responseHead } from "../support/upstream.ts";
import { type Pair, startPair, within } from "./support.ts";
import { acceptWebSocket, COMPRESSED, compress, OPCODE, openWebSocket, type Peer } from "./websocket.ts";

/** What the options about sizes change: RUNEGATE_MAX_BODY, RUNEGATE_MAX_MESSAGE and RUNEGATE_STREAM_RESPONSES. */

async function withPair(env: Record<string, string>, use: (pair: Pair) => Promise<void>): Promise<void> {
  const pair = await startPair({ env });
  try {
    await use(pair);
  } finally {
    await pair.stop();
  }
}

describe("RUNEGATE_MAX_BODY", () => {
  const env = { RUNEGATE_MAX_BODY: "10KiB" };
  const limit = 10 * 1024;

  test("lets bodies through that are no larger, with a length and in chunks", async () => {
    await withPair(env, async ({ ask }) => {
      const body = "x".repeat(limit);
      expect((await ask("POST /up", [`Content-Length: ${limit}`], body)).status).toBe(200);
      const chunks = `${chunk(body).toString()}${LAST_CHUNK}`;
      expect((await ask("POST /up", ["Transfer-Encoding: chunked"], chunks)).status).toBe(200);
    });
  });

  test("refuses a longer one by its length, before the application hears of it", async () => {
    await withPair(env, async ({ ask, upstream }) => {
      const response = await ask("PUT /up", [`Content-Length: ${limit + 1}`], "x".repeat(limit + 1));
      expect(response.status).toBe(413);
      expect(JSON.parse(response.body.toString())).toMatchObject({ error: "body_too_large" });
      expect(upstream.to("/up")).toEqual([]);
    });
  });

  test("cuts a longer one in chunks off when it is over, and the application never sees it whole", async () => {
    await withPair(env, async ({ port, cookie, upstream }) => {
      const { promise: cut, resolve } = Promise.withResolvers<string>();
      upstream.on("/up", async ({ wire }) => {
        resolve((await wire.readToEnd()).toString("latin1"));
      });
      const wire = await dial(port);
      await wire.write(requestHead("POST /up", [cookie, "Transfer-Encoding: chunked"]));
      await wire.write(chunk("x".repeat(limit)));
      await wire.write(chunk("one more"));
      const response = await within(2_000, readResponse(wire));
      expect(response.status).toBe(413);
      const received = await within(2_000, cut);
      expect(received).not.toContain("one more");
      expect(received).not.toContain(LAST_CHUNK);
      wire.destroy();
    });
  });

  test("is unlimited if nothing is said", async () => {
    await withPair({}, async ({ ask }) => {
      const length = 5_000_000;
      const response = await ask("POST /up", [`Content-Length: ${length}`], "x".repeat(length));
      expect(response.status).toBe(200);
      expect(response.body.byteLength).toBeGreaterThan(length);
    });
  });
});

describe("RUNEGATE_MAX_MESSAGE", () => {
  const limit = 10 * 1024;

  /** Both ends of a WebSocket, the sender first. */
  async function withEnds(from: string, use: (from: Peer, to: Peer) => Promise<void>): Promise<void> {
    await withPair({ RUNEGATE_MAX_MESSAGE: "10KiB" }, async ({ port, cookie, upstream }) => {
      const { promise, resolve } = Promise.withResolvers<Peer>();
      upstream.on("/socket", async (handshake) => {
        resolve(await acceptWebSocket(handshake));
        await handshake.wire.ended;
      });
      const offer = "Sec-WebSocket-Extensions: permessage-deflate";
      const { peer: browser } = await openWebSocket(port, "/socket", [cookie, offer]);
      const application = await promise;
      if (from === "browser") await use(browser, application);
      else await use(application, browser);
      browser.wire.destroy();
      application.wire.destroy();
    });
  }

  const MESSAGES: ReadonlyArray<readonly [string, string, number, (bytes: number) => Buffer]> = [
    ["browser", "binary", OPCODE.binary, (bytes) => Buffer.alloc(bytes)],
    ["browser", "text", OPCODE.text, (bytes) => Buffer.alloc(bytes, "x")],
    ["browser", "compressed", OPCODE.text | COMPRESSED, (bytes) => compress(Buffer.alloc(bytes, "x"))],
    ["application", "binary", OPCODE.binary, (bytes) => Buffer.alloc(bytes)],
    ["application", "text", OPCODE.text, (bytes) => Buffer.alloc(bytes, "x")],
    // Counted in bytes, not in characters.
    [
      "application",
      "text beyond ASCII",
      OPCODE.text,
      (bytes) => Buffer.from("\u20ac".repeat(bytes).slice(0, Math.ceil(bytes / 3))),
    ],
  ];
  test.each(MESSAGES)(
    "from the %s, %s: as long passes, longer is closed with 1009",
    async (from, _, opcode, of) => {
      await withEnds(from, async (sender, receiver) => {
        await sender.frame(opcode, of(limit - 2));
        expect("data" in (await within(2_000, receiver.nextMessage()))).toBe(true);
        await sender.frame(opcode, of(limit + 1));
        for (const peer of [receiver, sender]) {
          expect(await within(2_000, peer.nextMessage())).toMatchObject({ kind: "close", code: 1009 });
        }
      });
    },
  );
});

describe("RUNEGATE_STREAM_RESPONSES=false", () => {
  const env = { RUNEGATE_STREAM_RESPONSES: "false" };
  const chunked = (...fields: string[]) => responseHead(200, [...fields, "Transfer-Encoding: chunked"]);

  test("collects a response before it is sent, and gives it a length", async () => {
    await withPair(env, async ({ ask, upstream }) => {
      const body = "x".repeat(2 * 1024 * 1024);
      upstream.on("/down", async ({ wire }) => {
        await wire.write(chunked("Content-Type: text/plain", "ETag: x") + chunk(body).toString());
        await wire.write(LAST_CHUNK);
      });
      const response = await ask("GET /down");
      expect(response).toMatchObject({ status: 200, framing: "length", complete: true });
      expect(response.one("etag")).toBe("x");
      expect(response.body.toString()).toBe(body);
    });
  });

  test("adds no Content-Type to what is collected", async () => {
    await withPair(env, async ({ ask, upstream }) => {
      upstream.on("/down", ({ wire }) => wire.write(chunked() + chunk("hello").toString() + LAST_CHUNK));
      const response = await ask("GET /down");
      expect(response.body.toString()).toBe("hello");
      expect(response.one("content-type")).toBeUndefined();
    });
  });

  test("streams what is larger, whole", async () => {
    await withPair(env, async ({ ask, upstream }) => {
      const pieces = Array.from({ length: 50 }, (_, index) => String(index % 10).repeat(100_000));
      upstream.on("/down", async ({ wire }) => {
        await wire.write(chunked("Content-Type: text/plain"));
        for (const piece of pieces) await wire.write(chunk(piece));
        await wire.write(LAST_CHUNK);
      });
      const response = await ask("GET /down");
      expect(response).toMatchObject({ status: 200, framing: "chunked", complete: true });
      expect(response.body.toString()).toBe(pieces.join(""));
    });
  });

  test("turns a response that breaks off while it is collected into a 502", async () => {
    await withPair(env, async ({ ask, upstream }) => {
      upstream.on("/down", async ({ wire }) => {
        await wire.write(chunked("Content-Type: text/plain") + chunk("hello").toString());
        wire.end();
      });
      expect((await ask("GET /down")).status).toBe(502);
    });
  });

  test("ends the work of the application when the visitor leaves meanwhile", async () => {
    await withPair(env, async ({ port, cookie, upstream }) => {
      const { promise: begun, resolve } = Promise.withResolvers<{ ended: Promise<string> }>();
      upstream.on("/down", async ({ wire }) => {
        await wire.write(chunked("Content-Type: text/plain") + chunk("hello").toString());
        resolve({ ended: wire.ended });
        await wire.ended;
      });
      const visitor = await dial(port);
      await visitor.write(requestHead("GET /down", [cookie]));
      const { ended } = await begun;
      visitor.destroy();
      await within(1_000, ended);
    });
  });

  test("leaves event streams as they are", async () => {
    await withPair(env, async ({ port, cookie, upstream }) => {
      upstream.on("/events", async ({ wire }) => {
        await wire.write(
          chunked("Content-Type: text/event-stream; charset=utf-8") + chunk("data: 1\n\n").toString(),
        );
        await wire.ended;
      });
      const visitor = await dial(port);
      await visitor.write(requestHead("GET /events", [cookie]));
      await within(1_000, readResponseHead(visitor));
      expect((await within(1_000, readChunk(visitor)))?.toString()).toBe("data: 1\n\n");
      visitor.destroy();
    });
  });
});
