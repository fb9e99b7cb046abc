import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { dial, readChunk, readResponseHead, requestHead, type Wire } from "../support/raw.ts";
import { chunk, LAST_CHUNK, responseHead } from "../support/upstream.ts";
import { type Pair, startPair, until, within } from "./support.ts";
import { HANDSHAKE } from "./websocket.ts";

setDefaultTimeout(30_000);

/** A visitor who leaves ends the work upstream, and the other way round (CONTRACT section 7, "Time"). */

let pair: Pair;

beforeAll(async () => {
  pair = await startPair();
});

afterAll(() => pair.stop());

/** Promptly, on a machine that has other things to do. */
const PROMPT_MS = 1_000;

/** The application's side of the one request to `path`. */
function work(path: string, begin: (wire: Wire) => Promise<void> | void): Promise<{ wire: Wire }> {
  return new Promise((resolve) => {
    pair.upstream.on(path, async ({ wire }) => {
      await begin(wire);
      resolve({ wire });
      await wire.ended;
    });
  });
}

const ways: ReadonlyArray<readonly [string, (wire: Wire) => void]> = [
  ["closes the connection", (wire) => wire.destroy()],
  ["resets the connection", (wire) => wire.reset()],
];

describe.each(ways)("a visitor who %s", (_, leave) => {
  test("before the response has begun ends the work on it", async () => {
    const working = work("/before", () => {});
    const visitor = await dial(pair.port);
    await visitor.write(requestHead("GET /before", [pair.cookie]));
    const { wire } = await within(PROMPT_MS, working);
    leave(visitor);
    await within(PROMPT_MS, wire.ended);
  });

  test.each([
    ["in the middle of a body", "Content-Type: text/plain"],
    ["in the middle of an event stream", "Content-Type: text/event-stream"],
  ])("%s ends it", async (__, type) => {
    const working = work("/middle", (wire) =>
      wire.write(responseHead(200, [type, "Transfer-Encoding: chunked"]) + chunk("data: 1\n\n")),
    );
    const visitor = await dial(pair.port);
    await visitor.write(requestHead("GET /middle", [pair.cookie]));
    await readResponseHead(visitor);
    await readChunk(visitor);
    const { wire } = await working;
    leave(visitor);
    await within(PROMPT_MS, wire.ended);
  });

  test("in the middle of an unread body ends it, however much is under way", async () => {
    const working = work("/unread", async (wire) => {
      await wire.write(responseHead(200, ["Content-Type: text/plain", "Content-Length: 1000000000"]));
      void wire.write(Buffer.alloc(30_000_000));
    });
    const visitor = await dial(pair.port);
    await visitor.write(requestHead("GET /unread", [pair.cookie]));
    await readResponseHead(visitor);
    visitor.stall();
    const { wire } = await working;
    leave(visitor);
    await within(PROMPT_MS, wire.ended);
  });

  test.each([
    ["a length", "Content-Length: 1000", "some"],
    ["chunks", "Transfer-Encoding: chunked", chunk("some")],
  ])("in the middle of an upload with %s never lets it look whole", async (__, framing, sent) => {
    const working = work("/upload", async (wire) => void (await wire.readUntil("some")));
    const visitor = await dial(pair.port);
    await visitor.write(requestHead("POST /upload", [pair.cookie, framing]));
    await visitor.write(sent);
    const { wire } = await within(PROMPT_MS, working);
    leave(visitor);
    await within(PROMPT_MS, wire.ended);
    expect((await wire.readToEnd()).toString()).not.toContain(LAST_CHUNK);
  });

  test("while a WebSocket is being opened ends it, and nobody blames the application", async () => {
    const working = work("/opening", () => {});
    const visitor = await dial(pair.port);
    await visitor.write(requestHead("GET /opening", [...HANDSHAKE, pair.cookie]));
    const { wire } = await within(PROMPT_MS, working);
    leave(visitor);
    await within(PROMPT_MS, wire.ended);
    await until(() => pair.gateway.lines.some((line) => line.includes("GET /opening 499 ")));
    expect(pair.gateway.lines.filter((line) => line.includes("did not take the WebSocket"))).toEqual([]);
  });

  test("leaves nothing behind in the list of open streams", async () => {
    const working = work("/listed", (wire) =>
      wire.write(
        responseHead(200, ["Content-Type: text/event-stream", "Transfer-Encoding: chunked"]) +
          chunk("data: 1\n\n"),
      ),
    );
    const { live } = pair.gateway.gateway;
    await until(() => live.size === 0);
    const visitor = await dial(pair.port);
    await visitor.write(requestHead("GET /listed", [pair.cookie]));
    await readResponseHead(visitor);
    await working;
    expect(live.size).toBe(1);
    leave(visitor);
    await until(() => live.size === 0);
  });
});

describe("an application that leaves", () => {
  test("in the middle of an upload ends it for the visitor", async () => {
    const working = work("/cut", async (wire) => {
      await wire.readUntil("some");
      wire.reset();
    });
    const visitor = await dial(pair.port);
    await visitor.write(requestHead("POST /cut", [pair.cookie, "Content-Length: 1000000"]));
    await visitor.write("some");
    await working;
    expect((await within(PROMPT_MS, readResponseHead(visitor))).status).toBe(502);
    visitor.destroy();
  });

  test.each(["end", "reset"] as const)(
    "in the middle of a body, by %s, ends it for the visitor",
    async (how) => {
      const working = work("/cut", (wire) =>
        wire.write(
          responseHead(200, ["Content-Type: text/plain", "Transfer-Encoding: chunked"]) + chunk("some"),
        ),
      );
      const visitor = await dial(pair.port);
      await visitor.write(requestHead("GET /cut", [pair.cookie]));
      await readResponseHead(visitor);
      expect((await readChunk(visitor))?.toString()).toBe("some");
      (await working).wire[how]();
      expect(await within(PROMPT_MS, readChunk(visitor))).toBeUndefined();
      const reported = () => pair.gateway.lines.some((line) => line.includes("the response broke off"));
      await until(reported);
    },
  );
});

describe("a reader who leaves a stream", () => {
  test("is one line in the request log", async () => {
    const pair = await startPair();
    pair.upstream.on("/endless", async ({ wire }) => {
      await wire.write("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n");
      await wire.write("5\r\nhello\r\n");
      await wire.ended;
    });
    const wire = await dial(pair.port);
    await wire.write(requestHead("GET /endless", [pair.cookie]));
    await wire.readUntil("hello");
    wire.reset();
    const lines = () => pair.gateway.lines.filter((line) => line.includes("GET /endless"));
    await until(() => lines().length > 0);
    await pair.ask("GET /after");
    expect(lines()).toHaveLength(1);
    await pair.stop();
  });
});
