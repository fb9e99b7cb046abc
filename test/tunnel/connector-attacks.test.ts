import { afterEach, beforeEach, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { PROTOCOL, TUNNEL_PATH } from "../../src/connect/protocol.ts";
import { OWN_PREFIX } from "../../src/pages/paths.ts";
import { writeFrame } from "../../src/yamux/frame.ts";
import { openStage, type TunnelStage, until } from "./stage.ts";

/** A connector that has a good token and means ill. */

const AWAY = 3;

let stage: TunnelStage;
const sockets: Socket[] = [];

beforeEach(async () => {
  stage = await openStage();
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await stage.stop();
});

const log = () => stage.gateway.lines.join("\n");
/** The bytes of a WebSocket in the test's hands (RFC 6455 §5.2); the key of the mask is 0. */
function webSocketFrame(opcode: number, body: Uint8Array): Uint8Array {
  const head = new Uint8Array(8);
  head.set([0x80 | opcode, 0x80 | 126, body.byteLength >> 8, body.byteLength & 255]);
  if (body.byteLength >= 126) return Buffer.concat([head, body]);
  return Buffer.concat([Uint8Array.of(0x80 | opcode, 0x80 | body.byteLength, 0, 0, 0, 0), body]);
}

async function knockRaw(extra = ""): Promise<{ socket: Socket; head: string }> {
  const socket = connect(stage.gateway.port, "127.0.0.1");
  sockets.push(socket);
  socket.on("error", () => {});
  socket.write(
    [
      `GET ${OWN_PREFIX}${TUNNEL_PATH}?name=home HTTP/1.1`,
      `Host: 127.0.0.1:${stage.gateway.port}`,
      ...["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"],
      ...["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", `Sec-WebSocket-Protocol: ${PROTOCOL}`],
      `Authorization: Bearer ${stage.token}`,
      `${extra}\r\n`,
    ].join("\r\n") + (extra === "" ? "" : "\r\n"),
  );
  const head = await new Promise<string>((resolve) => socket.once("data", (bytes) => resolve(`${bytes}`)));
  return { socket, head };
}

test("a message that is larger than any of ours ends it", async () => {
  const { socket, opened, closed } = stage.knock();
  await opened;
  socket.send(new Uint8Array(65 * 1024));
  await closed;
  expect(log()).toContain("sends too large a message");
});

test("messages are not compressed, whatever it asks for: a few bytes could be a great deal of work", async () => {
  const { head } = await knockRaw("Sec-WebSocket-Extensions: permessage-deflate");
  expect(head).toStartWith("HTTP/1.1 101 ");
  expect(head.toLowerCase()).not.toContain("permessage-deflate");
});

test("one that pings the WebSocket and reads no answer is left before its answers fill the memory", async () => {
  const { socket } = await knockRaw();
  socket.pause();
  const closed = new Promise((resolve) => socket.once("close", resolve));
  const pings = Buffer.concat(Array(8_000).fill(webSocketFrame(9, new Uint8Array(125).fill(120))));
  const left = () => log().includes("a connector has left");
  for (let sent = 0; sent < 64 && !left(); sent++) {
    await new Promise((resolve) => socket.write(pings, resolve));
  }
  await until(left);
  expect(log()).toContain("reads nothing");
  socket.resume();
  await closed;
});

test("a storm of go-aways is one", async () => {
  const { socket, opened } = stage.knock();
  await opened;
  await until(() => log().includes("tunnel_connected"));
  const { sockets: paths } = stage.gateway.gateway.tunnels;
  let changes = 0;
  const { changed } = paths;
  Object.assign(paths, {
    changed(own: ReadonlyMap<string, string>) {
      changes++;
      changed(own);
    },
  });
  const storm = Buffer.concat(Array(5_000).fill(writeFrame({ type: AWAY, flags: 0, id: 0, length: 0 })));
  socket.send(storm);
  await until(() => changes > 0);
  expect(changes).toBe(1);
});

test("one that comes and goes all the time is noted so often, and then has to wait", async () => {
  const heads: string[] = [];
  for (let count = 0; count < 70; count++) {
    const { socket, head } = await knockRaw();
    heads.push(head.slice(9, 12));
    socket.destroy();
    await until(
      () => log().split("a connector has left").length - 1 === heads.filter((one) => one === "101").length,
    );
  }
  expect(heads.slice(0, 60)).toEqual(Array(60).fill("101"));
  expect(heads.at(-1)).toBe("429");
});

test("no more are there at once than a tunnel may have, however close together they come", async () => {
  const heads = await Promise.all(
    Array.from({ length: 30 }, async () => (await knockRaw()).head.slice(9, 12)),
  );
  expect(heads.filter((one) => one === "101")).toHaveLength(16);
});
