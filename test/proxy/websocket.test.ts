import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { testClock } from "../support/clock.ts";
import { startGateway } from "../support/gateway.ts";
import { dial, exchange, readResponse, requestHead } from "../support/raw.ts";
import { deadPort } from "../support/upstream.ts";
import { type Pair, startPair, until, VISITOR, within } from "./support.ts";
import { acceptWebSocket, frameOf, HANDSHAKE, OPCODE, openWebSocket, type Peer } from "./websocket.ts";

setDefaultTimeout(30_000);

/** WebSockets pass both ways, frame for message (CONTRACT section 7). */

const clock = testClock();
let pair: Pair;

beforeAll(async () => {
  pair = await startPair({ clock });
});

afterAll(() => pair.stop());

type Ends = { readonly browser: Peer; readonly application: Peer };

/** A WebSocket through the gateway; gives both ends. */
async function open(fields: readonly string[] = [], cookie = pair.cookie): Promise<Ends> {
  const { promise, resolve } = Promise.withResolvers<Peer>();
  pair.upstream.on("/socket", async (handshake) => {
    resolve(await acceptWebSocket(handshake));
    await new Promise(() => {});
  });
  const { head, peer } = await within(2_000, openWebSocket(pair.port, "/socket?q=1", [cookie, ...fields]));
  expect(head.status).toBe(101);
  return { browser: peer, application: await promise };
}

function shut({ browser, application }: Ends): void {
  browser.wire.destroy();
  application.wire.destroy();
}

/** Either direction, by name. */
const directions: ReadonlyArray<readonly [string, (ends: Ends) => readonly [Peer, Peer]]> = [
  ["from the browser to the application", ({ browser, application }) => [browser, application]],
  ["from the application to the browser", ({ browser, application }) => [application, browser]],
];

describe("the handshake", () => {
  test.each([400, 401, 403, 404, 426, 500, 503])("refused with %d is a %d here", async (status) => {
    pair.upstream.on("/refused", ({ reply }) => reply(status, ["Content-Type: text/plain"], "no"));
    const { head, peer } = await within(2_000, openWebSocket(pair.port, "/refused", [pair.cookie]));
    expect(head.status).toBe(status);
    peer.wire.destroy();
  });

  test.each([301, 302, 303, 307])("answered with a redirect (%d) is not followed", async (status) => {
    pair.upstream.on("/moved", ({ reply }) => reply(status, [`Location: ${pair.upstream.url}/socket`]));
    const before = pair.upstream.requests.length;
    const { head, peer } = await within(2_000, openWebSocket(pair.port, "/moved", [pair.cookie]));
    expect(head.status).toBe(status);
    expect(pair.upstream.requests.length).toBe(before + 1);
    peer.wire.destroy();
  });

  test.each([200, 204])("answered with %d, which is neither yes nor no, is a 502", async (status) => {
    pair.upstream.on("/page", ({ reply }) => reply(status, ["Content-Type: text/html"], ""));
    const { head, peer } = await within(2_000, openWebSocket(pair.port, "/page", [pair.cookie]));
    expect(head.status).toBe(502);
    peer.wire.destroy();
  });

  test("with a wrong Sec-WebSocket-Accept is a 502", async () => {
    pair.upstream.on("/wrong", ({ wire }) =>
      wire.write(
        "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: wrong\r\n\r\n",
      ),
    );
    const { head, peer } = await within(2_000, openWebSocket(pair.port, "/wrong", [pair.cookie]));
    expect(head.status).toBe(502);
    peer.wire.destroy();
  });

  test("cut off is a 502", async () => {
    pair.upstream.on("/cut", ({ wire }) => wire.reset());
    const { head, peer } = await within(2_000, openWebSocket(pair.port, "/cut", [pair.cookie]));
    expect(head.status).toBe(502);
    peer.wire.destroy();
  });

  test("with nobody there is a 502 with a request id", async () => {
    const port = await deadPort();
    const gateway = await startGateway({ target: `http://127.0.0.1:${port}` });
    const response = await exchange(gateway.port, "GET /", [
      `Cookie: ${await gateway.signIn()}`,
      ...HANDSHAKE,
    ]);
    expect(response.status).toBe(502);
    const answer = response.body.toString();
    expect(JSON.parse(answer)).toMatchObject({
      error: "upstream_unreachable",
      request_id: expect.any(String),
    });
    expect(answer).not.toContain(String(port));
    await gateway.stop();
  });

  test("that is never answered is a 504", async () => {
    const slow = await startPair({ env: { RUNEGATE_RESPONSE_TIMEOUT: "200ms" } });
    slow.upstream.on("/silent", async ({ wire }) => void (await wire.ended));
    const { head, peer } = await within(3_000, openWebSocket(slow.port, "/silent", [slow.cookie]));
    expect(head.status).toBe(504);
    peer.wire.destroy();
    await slow.stop();
  });

  test("is given up when the browser leaves meanwhile", async () => {
    const { promise, resolve } = Promise.withResolvers<{ ended: Promise<string> }>();
    pair.upstream.on("/left", async ({ wire }) => {
      resolve({ ended: wire.ended });
      await wire.ended;
    });
    const browser = await dial(pair.port);
    await browser.write(requestHead("GET /left", [...HANDSHAKE, pair.cookie]));
    const { ended } = await within(1_000, promise);
    browser.destroy();
    await within(1_000, ended);
    // Which is no failure of the application's.
    await until(() => pair.gateway.lines.some((line) => line.includes("/left") && line.includes(" 499 ")));
    expect(
      pair.gateway.lines.filter((line) => line.includes("did not take") && line.includes("/left")),
    ).toEqual([]);
  });

  test("reaches the application with identity and cookies, and without ours", async () => {
    const ends = await open(["Cookie: a=1", "X-Forwarded-User: forged", "X_Runegate_User: forged"]);
    const request = pair.upstream.to("/socket").at(-1);
    expect(request?.target).toBe("/socket?q=1");
    expect(request?.one("cookie")).toBe("a=1");
    expect(request?.one("host")).toBe("app.example.org");
    expect(request?.one("x-forwarded-user")).toBe(VISITOR);
    expect(request?.one("x-runegate-user")).toBe(VISITOR);
    expect(request?.one("x_runegate_user")).toBeUndefined();
    expect(request?.one("remote-email")).toBe(VISITOR);
    expect(request?.one("x-forwarded-for")).toBe("127.0.0.1");
    expect(request?.one("upgrade")?.toLowerCase()).toBe("websocket");
    expect(request?.one("sec-websocket-version")).toBe("13");
    expect(request?.one("sec-websocket-extensions")).toBeUndefined();
    expect(request?.one("sec-websocket-protocol")).toBeUndefined();
    shut(ends);
  });

  test("sends no Cookie header if only ours came", async () => {
    const ends = await open();
    expect(pair.upstream.to("/socket").at(-1)?.one("cookie")).toBeUndefined();
    shut(ends);
  });

  test("keeps odd text in headers and cookies byte for byte", async () => {
    const text = "caf\xc3\xa9 \xff";
    const ends = await open([`X-Text: ${text}`, `Cookie: a=${text}`, "User-Agent: Browser/1"]);
    const request = pair.upstream.to("/socket").at(-1);
    expect(request?.one("x-text")).toBe(text);
    expect(request?.one("cookie")).toBe(`a=${text}`);
    expect(request?.one("user-agent")).toBe("Browser/1");
    shut(ends);
  });

  test("reaches /proxy with the prefix removed", async () => {
    pair.upstream.on("/inner", async (handshake) => void (await acceptWebSocket(handshake)));
    const { head, peer } = await openWebSocket(pair.port, "/proxy/inner?x", [pair.cookie]);
    expect(head.status).toBe(101);
    expect(pair.upstream.to("/inner").at(-1)?.target).toBe("/inner?x");
    peer.wire.destroy();
  });
});

describe("the sub-protocol", () => {
  const cases: ReadonlyArray<readonly [string, string | undefined, string | undefined, string | undefined]> =
    [
      ["chosen by the application is the browser's", "chat, superchat", "superchat", "superchat"],
      ["chosen alone is too", "graphql-ws", "graphql-ws", "graphql-ws"],
      ["is none if the application chose none", "chat, superchat", undefined, undefined],
      ["is none if none was offered", undefined, undefined, undefined],
    ];
  test.each(cases)("%s", async (_, offered, chosen, expected) => {
    const chose = chosen === undefined ? [] : [`Sec-WebSocket-Protocol: ${chosen}`];
    pair.upstream.on("/protocol", async (handshake) => void (await acceptWebSocket(handshake, chose)));
    const offer = offered === undefined ? [] : [`Sec-WebSocket-Protocol: ${offered}`];
    const before = pair.upstream.to("/protocol").length;
    const { head, peer } = await within(
      2_000,
      openWebSocket(pair.port, "/protocol", [pair.cookie, ...offer]),
    );
    expect(head.status).toBe(101);
    expect(head.one("sec-websocket-protocol")).toBe(expected);
    const sent = pair.upstream.to("/protocol")[before]?.one("sec-websocket-protocol");
    expect(sent?.replace(/\s/g, "")).toBe(offered?.replace(/\s/g, ""));
    peer.wire.destroy();
  });

  test.each(["a b", "chat,,", ",", "chat, chat", "caf\xe9"])("offered as %p does no harm", async (offer) => {
    pair.upstream.on("/protocol", async (handshake) => void (await acceptWebSocket(handshake)));
    const opened = await within(
      2_000,
      openWebSocket(pair.port, "/protocol", [pair.cookie, `Sec-WebSocket-Protocol: ${offer}`]),
    );
    expect([101, 400]).toContain(opened.head.status);
    opened.peer.wire.destroy();
    expect((await pair.ask("GET /")).status).toBe(200);
  });
});

describe("who may open one", () => {
  const foreign = "Origin: https://evil.example";

  test("nobody without a session", async () => {
    const before = pair.upstream.requests.length;
    const response = await exchange(pair.port, "GET /socket", [...HANDSHAKE, "Sec-Fetch-Mode: websocket"]);
    expect(response.status).toBe(401);
    expect(response.one("upgrade")).toBeUndefined();
    expect(pair.upstream.requests.length).toBe(before);
  });

  test("no page of another origin", async () => {
    const before = pair.upstream.requests.length;
    for (const origin of [
      foreign,
      "Origin: null",
      "Origin: https://127.0.0.1",
      `Origin: ${pair.gateway.url}.evil.example`,
    ]) {
      const { head, peer } = await openWebSocket(pair.port, "/socket", [pair.cookie, origin]);
      expect(head.status).toBe(403);
      peer.wire.destroy();
    }
    expect(pair.upstream.requests.length).toBe(before);
  });

  test("pages of the base URL, and programs, which have no origin", async () => {
    const ends = await open([`Origin: ${pair.gateway.url}`]);
    expect(pair.upstream.to("/socket").at(-1)?.one("origin")).toBe(pair.gateway.url);
    shut(ends);
    shut(await open());
  });

  test("pages of the origins that were allowed, or of all", async () => {
    for (const allowed of ["https://app.example.org,https://evil.example", "*"]) {
      const env = { RUNEGATE_BASE_URL: "https://app.example.org", RUNEGATE_ALLOWED_ORIGINS: allowed };
      const other = await startPair({ env });
      other.upstream.on("/socket", async (handshake) => void (await acceptWebSocket(handshake)));
      const { head, peer } = await openWebSocket(other.port, "/socket", [other.cookie, foreign]);
      expect(head.status).toBe(101);
      peer.wire.destroy();
      await other.stop();
    }
  });
});

describe.each(directions)("messages %s", (_, ends) => {
  test.each([
    ["text", OPCODE.text, Buffer.from("hello, ä €😀")],
    ["empty text", OPCODE.text, Buffer.alloc(0)],
    ["binary", OPCODE.binary, Buffer.from([0, 1, 2, 0xfe, 0xff])],
    ["empty binary", OPCODE.binary, Buffer.alloc(0)],
    ["125 bytes", OPCODE.binary, Buffer.alloc(125, 1)],
    ["126 bytes", OPCODE.binary, Buffer.alloc(126, 1)],
    ["65,535 bytes", OPCODE.binary, Buffer.alloc(65_535, 1)],
    ["65,536 bytes", OPCODE.binary, Buffer.alloc(65_536, 1)],
  ])("pass: %s", async (__, opcode, content) => {
    const both = await open();
    const [from, to] = ends(both);
    await from.frame(opcode, content);
    const came = await within(2_000, to.nextMessage());
    expect(came.kind).toBe(opcode === OPCODE.text ? "text" : "binary");
    expect("data" in came && came.data.equals(content)).toBe(true);
    shut(both);
  });

  test("pass when they come in fragments, with a ping in between", async () => {
    const both = await open();
    const [from, to] = ends(both);
    await from.frame(OPCODE.text, "one ", false);
    await from.frame(OPCODE.ping, "?");
    await from.frame(OPCODE.continuation, "two ", false);
    await from.frame(OPCODE.continuation, "three", true);
    expect(await within(2_000, to.nextMessage())).toEqual({
      kind: "text",
      data: Buffer.from("one two three"),
    });
    shut(both);
  });

  test("of 30 MB pass, and so does what follows at once", async () => {
    const both = await open();
    const [from, to] = ends(both);
    const large = Buffer.alloc(30_000_000, "0123456789");
    const sending = from.binary(large).then(() => from.text("after"));
    const came = await within(5_000, to.nextMessage());
    expect("data" in came && came.data.equals(large)).toBe(true);
    expect(await within(2_000, to.nextMessage())).toEqual({ kind: "text", data: Buffer.from("after") });
    await sending;
    shut(both);
  });

  test("longer than 64 MiB close the connection with 1009, on both sides", async () => {
    const both = await open();
    const [from, to] = ends(both);
    const sending = from.binary(Buffer.alloc(64 * 1024 * 1024 + 1));
    expect(await within(5_000, to.nextMessage())).toMatchObject({ kind: "close", code: 1009 });
    expect(await within(5_000, from.nextMessage())).toMatchObject({ kind: "close", code: 1009 });
    await sending;
    shut(both);
  });

  test("of 64 MiB pass", async () => {
    const both = await open();
    const [from, to] = ends(both);
    const sending = from.binary(Buffer.alloc(64 * 1024 * 1024, 7));
    const came = await within(8_000, to.nextMessage());
    expect("data" in came && came.data.byteLength).toBe(64 * 1024 * 1024);
    await sending;
    shut(both);
  });

  test("keep their order under load", async () => {
    const both = await open();
    const [from, to] = ends(both);
    const count = 3_000;
    const sending = (async () => {
      for (let index = 0; index < count; index++) {
        const text = `${index}:${"x".repeat((index * 37) % 2_000)}`;
        const frame = frameOf(index % 2 === 0 ? OPCODE.text : OPCODE.binary, Buffer.from(text), {
          masked: from === both.browser,
        });
        await from.wire.write(frame);
      }
    })();
    for (let index = 0; index < count; index++) {
      const came = await within(5_000, to.nextMessage());
      expect("data" in came && Number.parseInt(came.data.toString(), 10)).toBe(index);
    }
    await sending;
    shut(both);
  });

  test("pings pass, with what they carry, and are answered", async () => {
    const both = await open();
    const [from, to] = ends(both);
    await from.frame(OPCODE.ping, "are you there?");
    expect(await within(2_000, to.next())).toEqual({ kind: "ping", data: Buffer.from("are you there?") });
    expect(await within(2_000, from.next())).toEqual({ kind: "pong", data: Buffer.from("are you there?") });
    await from.frame(OPCODE.ping);
    expect(await within(2_000, to.next())).toEqual({ kind: "ping", data: Buffer.alloc(0) });
    shut(both);
  });
});

describe("messages at the start", () => {
  test("that came in one piece with the application's 101 are not lost, and keep their order", async () => {
    const hello = ["one", "two", "three"].map((text) => frameOf(OPCODE.text, Buffer.from(text)));
    pair.upstream.on("/greets", async (handshake) => {
      const peer = await acceptWebSocket(handshake, [], Buffer.concat(hello));
      await peer.text("four");
      await new Promise(() => {});
    });
    for (let round = 0; round < 10; round++) {
      const { head, peer } = await openWebSocket(pair.port, "/greets", [pair.cookie]);
      expect(head.status).toBe(101);
      for (const text of ["one", "two", "three", "four"]) {
        expect(await within(2_000, peer.nextMessage())).toEqual({ kind: "text", data: Buffer.from(text) });
      }
      peer.wire.destroy();
    }
  });

  test("and an end that came with them are passed on too", async () => {
    const all = Buffer.concat([
      frameOf(OPCODE.text, Buffer.from("bye")),
      frameOf(
        OPCODE.close,
        Buffer.concat([Buffer.from([3001 >> 8, 3001 & 0xff]), Buffer.from("that was it")]),
      ),
    ]);
    pair.upstream.on("/short", async (handshake) => void (await acceptWebSocket(handshake, [], all)));
    for (let round = 0; round < 10; round++) {
      const { peer } = await openWebSocket(pair.port, "/short", [pair.cookie]);
      expect(await within(2_000, peer.nextMessage())).toEqual({ kind: "text", data: Buffer.from("bye") });
      expect(await within(2_000, peer.nextMessage())).toEqual({
        kind: "close",
        code: 3001,
        reason: "that was it",
      });
      peer.wire.destroy();
    }
  });
});

describe.each(directions)("an end %s", (_, ends) => {
  test.each([
    [1000, "done"],
    [1000, ""],
    [1001, "going"],
    [1003, "unsupported"],
    [1008, "policy"],
    [1011, "broken"],
    [1012, "restarting"],
    [3000, "ours"],
    [4000, "ä €"],
    [4999, "x".repeat(123)],
  ])("with code %d and reason %p arrives", async (code, reason) => {
    const both = await open();
    const [from, to] = ends(both);
    await from.close(code, reason);
    expect(await within(2_000, from.nextMessage())).toMatchObject({ kind: "close", code });
    // The server ends the connection (RFC 6455 §7.1.1); until then it is not closed for the gateway, its client.
    if (from === both.application) from.wire.end();
    expect(await within(2_000, to.nextMessage())).toEqual({ kind: "close", code, reason });
    await to.close(code, reason);
    if (to === both.application) to.wire.end();
    await within(2_000, Promise.all([to.wire.ended, from.wire.ended]));
    shut(both);
  });

  test("without a code arrives without one", async () => {
    const both = await open();
    const [from, to] = ends(both);
    await from.close();
    expect(await within(2_000, from.nextMessage())).toMatchObject({ kind: "close" });
    from.wire.end();
    expect(await within(2_000, to.nextMessage())).toEqual({ kind: "close", code: undefined, reason: "" });
    shut(both);
  });

  test.each(["end", "reset", "destroy"] as const)(
    "without a closing handshake (%s) is not hidden",
    async (how) => {
      const both = await open();
      const [from, to] = ends(both);
      from.wire[how]();
      const came = await within(2_000, to.nextMessage());
      // 1006 stands for "no close frame came" and may not be sent (RFC 6455 §7.4.1).
      if (to === both.browser) expect(came).toMatchObject({ kind: "close", code: 1011 });
      else expect(came.kind === "gone" || (came.kind === "close" && came.code !== 1000)).toBe(true);
      await within(2_000, to.wire.ended);
      shut(both);
    },
  );

  test("after a frame that no peer may send is not hidden", async () => {
    const both = await open();
    const [from, to] = ends(both);
    await from.frame(0xb, "what is this?");
    const came = await within(2_000, to.nextMessage());
    expect(came.kind === "gone" || came.kind === "close").toBe(true);
    await within(2_000, to.wire.ended);
    shut(both);
  });

  test("leaves nothing behind in the list of open connections", async () => {
    const { live } = pair.gateway.gateway;
    await until(() => live.size === 0);
    const both = await open();
    await until(() => live.size === 1);
    ends(both)[0].wire.destroy();
    await until(() => live.size === 0);
    shut(both);
  });
});

describe("the end of the session", () => {
  test("closes the WebSocket with 1008 on both sides", async () => {
    const cookie = `Cookie: ${await pair.gateway.signIn("out@example.org")}`;
    const both = await open([], cookie);
    await exchange(pair.port, "POST /_runegate/logout", [cookie, "Content-Length: 0"]);
    for (const peer of [both.browser, both.application]) {
      expect(await within(5_000, peer.nextMessage())).toMatchObject({ kind: "close", code: 1008 });
    }
    shut(both);
  });

  test("by expiry closes it too, however busy it is", async () => {
    const cookie = `Cookie: ${await pair.gateway.signIn("late@example.org")}`;
    const both = await open([], cookie);
    await both.browser.text("busy");
    await both.application.nextMessage();
    clock.advance(14 * 24 * 60 * 60 * 1000);
    await pair.gateway.gateway.live.sweep();
    for (const peer of [both.browser, both.application]) {
      expect(await within(5_000, peer.nextMessage())).toMatchObject({ kind: "close", code: 1008 });
    }
    shut(both);
  });

  test("does not come by idling while the user sends", async () => {
    const cookie = `Cookie: ${await pair.gateway.signIn("busy@example.org")}`;
    const both = await open([], cookie);
    for (let hour = 0; hour < 80; hour++) {
      await both.browser.text("busy");
      await within(1_000, both.application.nextMessage());
      clock.advance(60 * 60 * 1000);
      await pair.gateway.gateway.live.sweep();
    }
    await both.application.text("still here");
    expect(await within(1_000, both.browser.nextMessage())).toMatchObject({ kind: "text" });
    shut(both);
  });

  test("comes by idling when only the application sends", async () => {
    const cookie = `Cookie: ${await pair.gateway.signIn("idle@example.org")}`;
    const both = await open([], cookie);
    clock.advance(3 * 24 * 60 * 60 * 1000);
    await both.application.text("news");
    expect(await within(1_000, both.browser.nextMessage())).toMatchObject({ kind: "text" });
    await pair.gateway.gateway.live.sweep();
    expect(await within(5_000, both.browser.nextMessage())).toMatchObject({ kind: "close", code: 1008 });
    shut(both);
  });
});

test("a plain request with an Upgrade that is no WebSocket's is a plain request", async () => {
  const cookie = `Cookie: ${await pair.gateway.signIn("plain@example.org")}`;
  const wire = await dial(pair.port);
  await wire.write(requestHead("GET /plain", [cookie, "Connection: Upgrade", "Upgrade: h2c"]));
  expect((await within(2_000, readResponse(wire))).status).toBe(200);
  wire.destroy();
});
