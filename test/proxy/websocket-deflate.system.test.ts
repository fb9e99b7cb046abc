import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { startUpstream, type Upstream } from "../support/upstream.ts";
import { type ServeProcess, startServe } from "./process.ts";
import { until, within } from "./support.ts";
import {
  acceptWebSocket,
  type Came,
  COMPRESSED,
  compress,
  frameOf,
  OPCODE,
  openWebSocket,
  type Peer,
} from "./websocket.ts";

setDefaultTimeout(60_000);

/** Compressed messages (RFC 7692) on the browser's side; to the application there is none. */

const MIB = 1024 * 1024;
const OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits";

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

type Ends = { readonly browser: Peer; readonly application: Peer; readonly agreed: string | undefined };

async function open(fields: readonly string[] = [OFFER], cookie = gateway.cookie): Promise<Ends> {
  const { promise, resolve } = Promise.withResolvers<Peer>();
  upstream.on("/socket", async (handshake) => {
    resolve(await acceptWebSocket(handshake));
    await new Promise(() => {});
  });
  const { head, peer } = await within(5_000, openWebSocket(gateway.port, "/socket", [cookie, ...fields]));
  expect(head.status).toBe(101);
  return { browser: peer, application: await promise, agreed: head.one("sec-websocket-extensions") };
}

function shut(...all: readonly Ends[]): void {
  for (const { browser, application } of all) {
    browser.wire.destroy();
    application.wire.destroy();
  }
}

describe("the agreement", () => {
  test("is made with a browser that offers it, and nothing is taken over between messages", async () => {
    const ends = await open();
    expect(ends.agreed).toContain("permessage-deflate");
    // What is kept from message to message costs memory, and makes lengths tell of contents.
    expect(ends.agreed).toContain("server_no_context_takeover");
    expect(ends.agreed).toContain("client_no_context_takeover");
    shut(ends);
  });

  test("is not made with one that does not, nor offered to the application", async () => {
    const ends = await open([]);
    expect(ends.agreed).toBeUndefined();
    shut(ends, await open());
    expect(upstream.to("/socket").at(-1)?.one("sec-websocket-extensions")).toBeUndefined();
  });
});

describe("messages from the browser", () => {
  const text = Buffer.from("the same again, ä €😀. ".repeat(2_000));

  test.each([
    ["text", OPCODE.text, text],
    ["empty text", OPCODE.text, Buffer.alloc(0)],
    ["binary", OPCODE.binary, crypto.getRandomValues(Buffer.alloc(60_000))],
  ])("reach the application as they were: %s", async (_, opcode, content) => {
    const ends = await open();
    await ends.browser.frame(opcode | COMPRESSED, compress(content));
    const came = await within(5_000, ends.application.nextMessage());
    expect(came).toEqual({ kind: opcode === OPCODE.text ? "text" : "binary", data: content });
    shut(ends);
  });

  test("in fragments, and among others that are not compressed, too", async () => {
    const ends = await open();
    const whole = compress(text);
    await ends.browser.frame(OPCODE.text | COMPRESSED, whole.subarray(0, 50), false);
    await ends.browser.frame(OPCODE.continuation, whole.subarray(50));
    await ends.browser.text("plain");
    await ends.browser.frame(OPCODE.text | COMPRESSED, whole);
    for (const data of [text, Buffer.from("plain"), text]) {
      expect(await within(5_000, ends.application.nextMessage())).toEqual({ kind: "text", data });
    }
    shut(ends);
  });

  test("that are not what they say end the connection", async () => {
    const ends = await open();
    await ends.browser.frame(OPCODE.text | COMPRESSED, Buffer.alloc(100, 0xff));
    expect(["close", "gone"]).toContain((await within(5_000, ends.browser.nextMessage())).kind);
    expect((await within(5_000, ends.application.nextMessage())).kind).not.toBe("text");
    shut(ends);
  });

  test("may have 64 MiB uncompressed; a longer one is closed with 1009, and never takes its space", async () => {
    const ends = await open();
    await ends.browser.frame(OPCODE.binary | COMPRESSED, compress(Buffer.alloc(64 * MIB)));
    const came = await within(20_000, ends.application.nextMessage());
    expect("data" in came && came.data.byteLength).toBe(64 * MIB);
    gateway.forgetPeak();
    const before = gateway.memory();
    await ends.browser.frame(OPCODE.binary | COMPRESSED, compress(Buffer.alloc(500 * MIB)));
    expect(await within(20_000, ends.browser.nextMessage())).toMatchObject({ kind: "close", code: 1009 });
    expect(await within(20_000, ends.application.nextMessage())).toMatchObject({ kind: "close", code: 1009 });
    expect(gateway.peakMemory() - before).toBeLessThan(100 * MIB);
    shut(ends);
  });

  test("of which very many fit into one read from the system do not pile up for an application that waits", async () => {
    const ends = await open();
    ends.application.wire.stall();
    const bomb = frameOf(OPCODE.binary | COMPRESSED, compress(Buffer.alloc(16 * MIB)), { masked: true });
    const all = 40;
    gateway.forgetPeak();
    const before = gateway.memory();
    void ends.browser.wire.write(Buffer.concat(Array.from({ length: all }, () => bomb)));
    let peak = 0;
    let since = performance.now();
    await until(() => {
      const now = gateway.peakMemory();
      if (now > peak) since = performance.now();
      peak = Math.max(peak, now);
      return performance.now() - since > 1_000;
    }, 20_000);
    // 640 MB in all.
    expect(peak - before).toBeLessThan(450 * MIB);
    ends.application.wire.resume();
    for (let count = 0; count < all; count++) {
      const came = await within(20_000, ends.application.nextMessage());
      expect("data" in came && came.data.byteLength).toBe(16 * MIB);
    }
    shut(ends);
  });
});

describe("messages to the browser", () => {
  const line = Buffer.from("2026-01-02 03:04:05 INFO step 1 of 60000: loss=0.12345 lr=0.001\n".repeat(500));

  async function send(ends: Ends, count: number): Promise<void> {
    for (let index = 0; index < count; index++) await ends.application.frame(OPCODE.text, line);
  }

  async function receive(ends: Ends, count: number): Promise<Came[]> {
    const all: Came[] = [];
    for (let index = 0; index < count; index++) {
      const came = await within(20_000, ends.browser.nextMessage());
      expect("data" in came && came.data.equals(line)).toBe(true);
      all.push(came);
    }
    return all;
  }

  const compressed = (came: Came) => "compressed" in came && came.compressed === true;

  test("are as they were where the line is quick", async () => {
    const ends = await open();
    for (let count = 0; count < 20; count++) {
      await send(ends, 1);
      expect((await receive(ends, 1)).filter(compressed)).toEqual([]);
    }
    shut(ends);
  });

  test.each([
    ["that offered it, are compressed", [OFFER], true],
    ["that did not offer it, never are", [], false],
  ])("over a slow line, to a browser %s", async (_, fields, expected) => {
    const ends = await open(fields);
    const count = 1_000;
    ends.browser.wire.stall();
    const sending = send(ends, count);
    let unsent = -1;
    let since = performance.now();
    await until(() => {
      if (ends.application.wire.unsent() !== unsent) since = performance.now();
      unsent = ends.application.wire.unsent();
      return performance.now() - since > 500;
    }, 20_000);
    ends.browser.wire.resume();
    const all = await receive(ends, count);
    await sending;
    const few = all.filter(compressed).length;
    if (expected) expect(few).toBeGreaterThan(100);
    else expect(few).toBe(0);
    // What would not become shorter is not compressed.
    await ends.application.text("short");
    expect(await within(5_000, ends.browser.nextMessage())).toEqual({
      kind: "text",
      data: Buffer.from("short"),
    });
    shut(ends);
  });
});

test("a WebSocket that rests takes less than 30 KB, compressed messages behind it", async () => {
  // Small, because the runtime keeps the room of the longest one.
  const content = Buffer.from("the same again, ä €😀. ".repeat(40));
  const use = async ({ browser, application }: Ends) => {
    await browser.frame(OPCODE.text | COMPRESSED, compress(content));
    await within(5_000, application.nextMessage());
    await application.frame(OPCODE.text, content);
    await within(5_000, browser.nextMessage());
  };
  const cookies: string[] = [];
  for (let index = 0; index < 5; index++) cookies.push(await gateway.signIn(`resting${index}@example.org`));
  const some = async (count: number) => {
    const all: Ends[] = [];
    for (let index = 0; index < count; index++) {
      const ends = await open([OFFER], cookies[index % cookies.length]);
      await use(ends);
      all.push(ends);
    }
    return all;
  };
  // The first ones make the runtime grow to what it needs for any.
  const warm = await some(200);
  const before = gateway.memory();
  const all = await some(1_000);
  expect((gateway.memory() - before) / all.length).toBeLessThan(30_000);
  shut(...warm, ...all);
});
