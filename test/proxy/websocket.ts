import { createHash } from "node:crypto";
import { constants, deflateRawSync, inflateRawSync } from "node:zlib";
import {
  bytesOf,
  dial,
  type Head,
  readResponseHead,
  requestHead,
  type Wire,
  WireEnded,
} from "../support/raw.ts";
import { type Exchange, responseHead } from "../support/upstream.ts";

/** WebSockets frame by frame (RFC 6455), for either end of a connection. */

export type Peer = {
  readonly wire: Wire;
  text(content: string): Promise<void>;
  binary(content: Uint8Array): Promise<void>;
  /** A frame as told, sensible or not. */
  frame(opcode: number, payload?: string | Uint8Array, fin?: boolean): Promise<void>;
  close(code?: number, reason?: string): Promise<void>;
  /** The next thing that came, pieces of a message put together. */
  next(): Promise<Came>;
  /** The next thing that is not a ping or pong. */
  nextMessage(): Promise<Came>;
};

export type Came =
  | {
      readonly kind: "text" | "binary" | "ping" | "pong";
      readonly data: Buffer;
      /** It came compressed (RFC 7692), `data` being what it was before. */
      readonly compressed?: true;
    }
  /** `code` is undefined in a close frame without one. */
  | { readonly kind: "close"; readonly code: number | undefined; readonly reason: string }
  /** The connection ended without a close frame. */
  | { readonly kind: "gone" };

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;
/** With an opcode: the message is compressed (RFC 7692 §6). */
export const COMPRESSED = 0x40;

/** RFC 7692 §7.2.1, with nothing taken over from the message before. */
export function compress(content: string | Uint8Array): Buffer {
  return deflateRawSync(content, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
}

/** RFC 7692 §7.2.2. */
function decompress(content: Buffer): Buffer {
  const whole = Buffer.concat([content, Buffer.from([0, 0, 0xff, 0xff])]);
  return inflateRawSync(whole, { finishFlush: constants.Z_SYNC_FLUSH });
}

/** @param side only a client masks what it sends (RFC 6455 §5.3). */
export function peerOf(wire: Wire, side: "client" | "server"): Peer {
  const send = (opcode: number, payload: string | Uint8Array = "", fin = true) =>
    wire.write(frameOf(opcode, bytesOf(payload), { fin, masked: side === "client" }));

  const peer: Peer = {
    wire,
    text: (content) => send(OPCODE.text, Buffer.from(content, "utf8")),
    binary: (content) => send(OPCODE.binary, content),
    frame: send,
    close(code, reason = "") {
      if (code === undefined) return send(OPCODE.close);
      const payload = Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(reason, "utf8")]);
      return send(OPCODE.close, payload);
    },
    async next() {
      try {
        return await read();
      } catch (error) {
        if (error instanceof WireEnded) return { kind: "gone" };
        throw error;
      }
    },
    async nextMessage() {
      for (;;) {
        const came = await peer.next();
        if (came.kind !== "ping" && came.kind !== "pong") return came;
      }
    },
  };

  let started: { kind: "text" | "binary"; compressed: boolean; parts: Buffer[] } | undefined;

  async function read(): Promise<Came> {
    for (;;) {
      const { fin, compressed, opcode, payload } = await readFrame(wire);
      if (opcode === OPCODE.ping) return { kind: "ping", data: payload };
      if (opcode === OPCODE.pong) return { kind: "pong", data: payload };
      if (opcode === OPCODE.close) {
        const code = payload.byteLength < 2 ? undefined : payload.readUInt16BE(0);
        return { kind: "close", code, reason: payload.subarray(2).toString("utf8") };
      }
      if (opcode !== OPCODE.continuation) {
        started = { kind: opcode === OPCODE.text ? "text" : "binary", compressed, parts: [] };
      }
      if (started === undefined) throw new Error("a continuation of nothing");
      started.parts.push(payload);
      if (!fin) continue;
      const { kind, parts } = started;
      const data = Buffer.concat(parts);
      const whole: Came = started.compressed
        ? { kind, data: decompress(data), compressed: true }
        : { kind, data };
      started = undefined;
      return whole;
    }
  }

  return peer;
}

type Frame = {
  readonly fin: boolean;
  readonly compressed: boolean;
  readonly opcode: number;
  readonly payload: Buffer;
};

async function readFrame(wire: Wire): Promise<Frame> {
  const [first = 0, second = 0] = await wire.read(2);
  let length = second & 0x7f;
  if (length === 126) length = (await wire.read(2)).readUInt16BE(0);
  else if (length === 127) length = Number((await wire.read(8)).readBigUInt64BE(0));
  const key = (second & 0x80) === 0 ? undefined : await wire.read(4);
  const payload = await wire.read(length);
  return {
    fin: (first & 0x80) !== 0,
    compressed: (first & COMPRESSED) !== 0,
    opcode: first & 0x0f,
    payload: key === undefined ? payload : mask(payload, key),
  };
}

export function frameOf(
  opcode: number,
  payload: Uint8Array,
  { fin = true, masked = false }: { fin?: boolean; masked?: boolean } = {},
): Buffer {
  const length = payload.byteLength;
  const head = [(fin ? 0x80 : 0) | opcode];
  if (length < 126) head.push(length);
  else if (length < 65536) head.push(126, length >> 8, length & 0xff);
  else head.push(127, 0, 0, 0, 0, ...[24, 16, 8, 0].map((shift) => (length >>> shift) & 0xff));
  if (!masked) return Buffer.concat([Buffer.from(head), payload]);
  head[1] = (head[1] ?? 0) | 0x80;
  // A key of zeros is a key, and saves time on what is large.
  const key = length > 100_000 ? Buffer.alloc(4) : Buffer.from([0x12, 0xab, 0x00, 0xff]);
  return Buffer.concat([Buffer.from(head), key, mask(payload, key)]);
}

function mask(payload: Uint8Array, key: Buffer): Buffer {
  // Copied, so that it starts where words may start.
  const masked = new Uint8Array(Math.ceil(payload.byteLength / 4) * 4);
  masked.set(payload);
  const word = new Uint32Array(Uint8Array.from(key).buffer)[0] ?? 0;
  const words = new Uint32Array(masked.buffer);
  if (word !== 0)
    for (let index = 0; index < words.length; index++) words[index] = (words[index] ?? 0) ^ word;
  return Buffer.from(masked.buffer, 0, payload.byteLength);
}

const KEY = "dGhlIHNhbXBsZSBub25jZQ==";

export const HANDSHAKE = [
  "Connection: Upgrade",
  "Upgrade: websocket",
  "Sec-WebSocket-Version: 13",
  `Sec-WebSocket-Key: ${KEY}`,
];

export type Opened = { readonly head: Head & { readonly status: number }; readonly peer: Peer };

/** A handshake as a browser makes it, over a connection of its own or the one given; whoever calls looks at the status. */
export async function openWebSocket(
  to: number | string | Wire,
  target: string,
  fields: readonly string[],
): Promise<Opened> {
  const wire = typeof to === "object" ? to : await dial(to);
  await wire.write(requestHead(`GET ${target}`, [...HANDSHAKE, ...fields]));
  return { head: await readResponseHead(wire), peer: peerOf(wire, "client") };
}

/** RFC 6455 §4.2.2. */
export function acceptOf(key: string): string {
  return createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
}

/** Takes a handshake on the application's side. `at once` goes out in one piece with it. */
export async function acceptWebSocket(
  { wire, request }: Exchange,
  fields: readonly string[] = [],
  atOnce: Uint8Array = Buffer.alloc(0),
): Promise<Peer> {
  const head = responseHead(101, [
    "Upgrade: websocket",
    "Connection: Upgrade",
    `Sec-WebSocket-Accept: ${acceptOf(request.one("sec-websocket-key") ?? "")}`,
    ...fields,
  ]);
  await wire.write(Buffer.concat([bytesOf(head), atOnce]));
  return peerOf(wire, "server");
}
