import { once } from "node:events";
import { connect, type TLSSocket } from "node:tls";

/** HTTP/2 (RFC 9113) by its frames, so that a test can send what no client would. */

export const FRAME = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;
const END_STREAM = 1;
const END_HEADERS = 4;
const ACK = 1;

/** What came of one request: a status, or the error code by which stream (RFC 9113 §7) or connection ended. */
export type Outcome = { readonly status?: number; readonly reset?: number; readonly goAway?: number };

export type Field = readonly [name: string, value: string];

export type H2 = {
  /** Sends a frame. */
  send(type: number, flags: number, stream: number, payload?: Uint8Array): void;
  /** A request. @param end without a body. @returns its stream */
  request(fields: readonly Field[], end?: boolean): number;
  data(stream: number, text: string, end?: boolean): void;
  /** Waits for what comes of it; `{}` where the connection ends without a word. */
  outcome(stream: number): Promise<Outcome>;
  close(): void;
};

export async function openH2(port: number, servername = "localhost"): Promise<H2> {
  const socket: TLSSocket = connect({
    ...{ host: "127.0.0.1", port, servername, rejectUnauthorized: false, ALPNProtocols: ["h2"] },
  });
  socket.on("error", () => {});
  await once(socket, "secureConnect");
  if (socket.alpnProtocol !== "h2") throw new Error(`it speaks ${socket.alpnProtocol}`);
  const outcomes = new Map<number, Outcome>();
  const waiting = new Set<() => void>();
  let ended: Outcome | undefined;
  let next = 1;
  let unread = Buffer.alloc(0);

  const tell = (stream: number, outcome: Outcome) => {
    outcomes.set(stream, { ...outcomes.get(stream), ...outcome });
    for (const look of waiting) look();
  };
  const end = (outcome: Outcome) => {
    ended ??= outcome;
    for (const look of waiting) look();
  };
  socket.on("close", () => end({}));
  socket.on("data", (bytes: Buffer) => {
    unread = Buffer.concat([unread, bytes]);
    while (unread.length >= 9) {
      const length = unread.readUIntBE(0, 3);
      if (unread.length < 9 + length) return;
      const [type, flags, stream] = [unread[3] ?? 0, unread[4] ?? 0, unread.readUInt32BE(5) & 0x7fffffff];
      const payload = unread.subarray(9, 9 + length);
      unread = unread.subarray(9 + length);
      if (type === FRAME.settings && (flags & ACK) === 0) send(FRAME.settings, ACK, 0);
      if (type === FRAME.headers) tell(stream, { status: statusIn(payload) });
      if (type === FRAME.reset) tell(stream, { reset: payload.readUInt32BE(0) });
      if (type === FRAME.goAway) end({ goAway: payload.readUInt32BE(4) });
    }
  });

  function send(type: number, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): void {
    const head = Buffer.alloc(9);
    head.writeUIntBE(payload.length, 0, 3);
    head.writeUInt8(type, 3);
    head.writeUInt8(flags, 4);
    head.writeUInt32BE(stream, 5);
    socket.write(Buffer.concat([head, payload]));
  }

  socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  send(FRAME.settings, 0, 0);

  return {
    send,
    request(fields, isWhole = true) {
      const stream = next;
      next += 2;
      const block = encodeFields(fields);
      const pieces = Array.from({ length: Math.ceil(block.length / MOST) }, (_, i) =>
        block.subarray(i * MOST, (i + 1) * MOST),
      );
      pieces.forEach((piece, i) => {
        const last = i === pieces.length - 1 ? END_HEADERS : 0;
        if (i === 0) send(FRAME.headers, last | (isWhole ? END_STREAM : 0), stream, piece);
        else send(FRAME.continuation, last, stream, piece);
      });
      return stream;
    },
    data: (stream, text, isLast = true) =>
      send(FRAME.data, isLast ? END_STREAM : 0, stream, Buffer.from(text)),
    async outcome(stream) {
      const { promise, resolve } = Promise.withResolvers<Outcome>();
      const look = () => {
        const found = outcomes.get(stream) ?? ended;
        if (found !== undefined) resolve(found);
      };
      waiting.add(look);
      look();
      const outcome = await promise;
      waiting.delete(look);
      return outcome;
    },
    close: () => void socket.destroy(),
  };
}

/** The largest frame that everybody takes (RFC 9113 §4.2). */
const MOST = 16_384;

/** Literal fields without indexing and without Huffman (RFC 7541 §6.2.2). */
function encodeFields(fields: readonly Field[]): Buffer {
  return Buffer.concat(
    fields.flatMap(([name, value]) => [Buffer.from([0]), encodeText(name), encodeText(value)]),
  );
}

function encodeText(text: string): Buffer {
  const bytes = Buffer.from(text, "latin1");
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const rest: number[] = [];
  for (let left = bytes.length - 127; ; left >>= 7) {
    if (left < 128) {
      rest.push(left);
      break;
    }
    rest.push((left & 127) | 128);
  }
  return Buffer.concat([Buffer.from([127, ...rest]), bytes]);
}

/** RFC 7541, appendix A: entries 8 to 14. */
const KNOWN = [200, 204, 206, 304, 400, 404, 500];
/** RFC 7541, appendix B. */
const DIGITS = [
  "00000",
  "00001",
  "00010",
  "011001",
  "011010",
  "011011",
  "011100",
  "011101",
  "011110",
  "011111",
];

/** The first field of an answer's block is its status (RFC 9113 §8.3). */
function statusIn(block: Buffer): number {
  const [first = 0, length = 0] = block;
  if (first & 0x80) return KNOWN[(first & 0x7f) - 8] ?? 0;
  const value = block.subarray(2, 2 + (length & 0x7f));
  if ((length & 0x80) === 0) return Number(value.toString("latin1"));
  let bits = [...value].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  let digits = "";
  for (let i = 0; i < 3; i++) {
    const digit = DIGITS.findIndex((code) => bits.startsWith(code));
    digits += digit;
    bits = bits.slice(DIGITS[digit]?.length ?? 0);
  }
  return Number(digits);
}
