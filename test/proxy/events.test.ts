import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { testClock } from "../support/clock.ts";
import { dial, exchange, readChunk, readResponseHead, requestHead, type Wire } from "../support/raw.ts";
import { chunk, LAST_CHUNK, responseHead } from "../support/upstream.ts";
import { type Pair, startPair, within } from "./support.ts";

setDefaultTimeout(30_000);

/** Event streams: at once, for ever, and no longer than the session (CONTRACT sections 3 and 7). */

const clock = testClock();
let pair: Pair;

beforeAll(async () => {
  pair = await startPair({ clock });
});

afterAll(() => pair.stop());

const EVENTS = responseHead(200, ["Content-Type: text/event-stream", "Transfer-Encoding: chunked"]);

/** Opens an event stream; gives both ends of it. */
async function open(cookie = pair.cookie, head = EVENTS): Promise<{ visitor: Wire; application: Wire }> {
  const { promise, resolve } = Promise.withResolvers<{ application: Wire }>();
  pair.upstream.on("/events", async ({ wire }) => {
    await wire.write(head);
    resolve({ application: wire });
    await wire.ended;
  });
  const visitor = await dial(pair.port);
  await visitor.write(requestHead("GET /events", [cookie, "Accept: text/event-stream"]));
  const { application } = await within(1_000, promise);
  return { visitor, application };
}

/** The same, after a first event. */
async function opened(cookie = pair.cookie): Promise<{ visitor: Wire; application: Wire }> {
  const ends = await open(cookie);
  await ends.application.write(chunk("data: 0\n\n"));
  const received = await within(1_000, readResponseHead(ends.visitor));
  expect(received.status).toBe(200);
  expect(received.one("content-type")).toBe("text/event-stream");
  expect((await within(1_000, readChunk(ends.visitor)))?.toString()).toBe("data: 0\n\n");
  return ends;
}

describe("an event", () => {
  test.each([
    ["in chunks", EVENTS, (event: string) => chunk(event)],
    ["until the connection ends", responseHead(200, ["Content-Type: text/event-stream"]), Buffer.from],
  ] as const)("is at the browser before the next is written (%s)", async (_, head, framed) => {
    const { visitor, application } = await open(pair.cookie, head);
    for (let count = 0; count < 20; count++) {
      const event = `id: ${count}\ndata: ${"x".repeat(count * 50)}\n\n`;
      await application.write(framed(event));
      if (count === 0) await within(1_000, readResponseHead(visitor));
      expect((await within(1_000, readChunk(visitor)))?.toString()).toBe(event);
    }
    visitor.destroy();
  });

  test.each([1, 2])("need not have come for the stream to open (stream %d)", async () => {
    const { visitor, application } = await open();
    expect((await within(1_500, readResponseHead(visitor))).status).toBe(200);
    // A comment, because the head cannot be sent without a body.
    expect((await within(1_000, readChunk(visitor)))?.toString()).toBe(":\n\n");
    for (const event of ["data: 1\n\n", "data: 2\n\n"]) {
      await application.write(chunk(event));
      expect((await within(1_000, readChunk(visitor)))?.toString()).toBe(event);
    }
    await application.write(LAST_CHUNK);
    application.end();
    expect(await within(1_000, readChunk(visitor))).toEqual(Buffer.alloc(0));
    visitor.destroy();
  });

  test("never comes and the stream breaks off: so it does for the browser", async () => {
    const { visitor, application } = await open();
    // As much of the head as is sent before the body.
    await within(1_000, visitor.readUntil("\r\n"));
    application.reset();
    await within(1_000, visitor.ended);
    expect((await visitor.readToEnd()).toString()).not.toContain(LAST_CHUNK);
  });

  test("in several pieces arrives piece by piece", async () => {
    const { visitor, application } = await opened();
    for (const piece of ["da", "ta: ", "1", "\n\n"]) {
      await application.write(chunk(piece));
      expect((await within(1_000, readChunk(visitor)))?.toString()).toBe(piece);
    }
    visitor.destroy();
  });

  test("of another kind of stream is as quick", async () => {
    const { promise, resolve } = Promise.withResolvers<{ application: Wire }>();
    pair.upstream.on("/ndjson", async ({ wire }) => {
      await wire.write(responseHead(200, ["Transfer-Encoding: chunked"]));
      resolve({ application: wire });
      await wire.ended;
    });
    const visitor = await dial(pair.port);
    await visitor.write(requestHead("POST /ndjson", [pair.cookie, "Content-Length: 0"]));
    const { application } = await promise;
    for (let count = 0; count < 10; count++) {
      await application.write(chunk(`{"count":${count}}\n`));
      if (count === 0) await within(1_000, readResponseHead(visitor));
      expect((await within(1_000, readChunk(visitor)))?.toString()).toBe(`{"count":${count}}\n`);
    }
    visitor.destroy();
  });
});

describe("a stream", () => {
  test("ends cleanly when the application ends it", async () => {
    const { visitor, application } = await opened();
    await application.write(LAST_CHUNK);
    application.end();
    expect(await within(1_000, readChunk(visitor))).toEqual(Buffer.alloc(0));
    visitor.destroy();
  });

  test("stays while the session does, however long nothing comes", async () => {
    const { visitor, application } = await opened();
    for (let hour = 0; hour < 80; hour++) {
      clock.advance(60 * 60 * 1000);
      // Something else the visitor does, which keeps the session from idling out.
      expect((await pair.ask("GET /")).status).toBe(200);
      await pair.gateway.gateway.live.sweep();
    }
    await application.write(chunk("data: still here\n\n"));
    expect((await within(1_000, readChunk(visitor)))?.toString()).toBe("data: still here\n\n");
    visitor.destroy();
  });
});

describe("the end of the session ends the stream, visibly, on both sides", () => {
  async function expectEnded(visitor: Wire, application: Wire): Promise<void> {
    expect(await within(5_000, readChunk(visitor))).toBeUndefined();
    await within(5_000, application.ended);
  }

  test("by logging out", async () => {
    const cookie = `Cookie: ${await pair.gateway.signIn("out@example.org")}`;
    const { visitor, application } = await opened(cookie);
    const out = await exchange(pair.port, "POST /_runegate/logout", [cookie, "Content-Length: 0"]);
    expect(out.status).toBe(200);
    await expectEnded(visitor, application);
  });

  test("by an operator", async () => {
    const cookie = `Cookie: ${await pair.gateway.signIn("revoked@example.org")}`;
    const { visitor, application } = await opened(cookie);
    const sessions = await pair.gateway.gateway.sessions.list();
    const found = sessions.find(({ email }) => email === "revoked@example.org");
    await pair.gateway.gateway.sessions.end(found?.id ?? "");
    await expectEnded(visitor, application);
  });

  test("by expiry, at the next sweep", async () => {
    const cookie = `Cookie: ${await pair.gateway.signIn("late@example.org")}`;
    const { visitor, application } = await opened(cookie);
    clock.advance(14 * 24 * 60 * 60 * 1000);
    await pair.gateway.gateway.live.sweep();
    await expectEnded(visitor, application);
  });

  test("by idling, which receiving events does not prevent", async () => {
    const cookie = `Cookie: ${await pair.gateway.signIn("idle@example.org")}`;
    const { visitor, application } = await opened(cookie);
    await application.write(chunk("data: 1\n\n"));
    expect((await readChunk(visitor))?.toString()).toBe("data: 1\n\n");
    clock.advance(3 * 24 * 60 * 60 * 1000);
    await pair.gateway.gateway.live.sweep();
    await expectEnded(visitor, application);
  });

  test("and nobody else's", async () => {
    const hers = `Cookie: ${await pair.gateway.signIn("hers@example.org")}`;
    const his = `Cookie: ${await pair.gateway.signIn("his@example.org")}`;
    const one = await opened(hers);
    const other = await opened(his);
    await exchange(pair.port, "POST /_runegate/logout", [hers, "Content-Length: 0"]);
    await expectEnded(one.visitor, one.application);
    await other.application.write(chunk("data: 1\n\n"));
    expect((await within(1_000, readChunk(other.visitor)))?.toString()).toBe("data: 1\n\n");
    other.visitor.destroy();
  });
});
