import { describe, expect, test } from "bun:test";
import { startPair, within } from "./support.ts";

describe("a flood of WebSocket pings at an application that does not read", () => {
  test("ends the connection instead of growing memory", async () => {
    const pair = await startPair();
    pair.upstream.on("/deaf", async ({ request, wire }) => {
      const key = request.one("sec-websocket-key") ?? "";
      const accept = new Bun.CryptoHasher("sha1")
        .update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
        .digest("base64");
      await wire.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
      );
      wire.stall();
      await new Promise(() => {});
    });
    const socket = new WebSocket(`${pair.gateway.url.replace("http", "ws")}/deaf`, {
      headers: { Cookie: pair.cookie.replace("Cookie: ", "") },
    });
    const closed = Promise.withResolvers<number>();
    socket.onclose = ({ code }) => closed.resolve(code);
    await new Promise((resolve) => {
      socket.onopen = resolve;
    });
    const payload = Buffer.alloc(125, "x");
    let sent = 0;
    // Four times what may wait, and a bound on the time it may take to notice.
    while (socket.readyState === WebSocket.OPEN && sent < 120 * 2 ** 20) {
      for (let count = 0; count < 2_000; count++) socket.ping(payload);
      sent += 2_000 * payload.byteLength;
      await Bun.sleep(0);
    }
    expect(await within(10_000, closed.promise)).toBe(1013);
    await pair.stop();
  });
});
