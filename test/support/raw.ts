import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

/**
 * A TCP connection whose bytes are in the test's hands: what is sent is exactly what was written, what is read is exactly
 * what came. Texts are Latin-1, a character a byte.
 */
export type Wire = {
  readonly socket: Socket;
  /** Resolves once the system has taken the bytes, or the connection is gone; so it waits while the peer does not read. */
  write(bytes: string | Uint8Array): Promise<void>;
  /** Everything up to and including `mark`. */
  readUntil(mark: string): Promise<Buffer>;
  read(length: number): Promise<Buffer>;
  /** Whatever has come; undefined at the end. */
  readSome(): Promise<Buffer | undefined>;
  readToEnd(): Promise<Buffer>;
  /** Reads and forgets up to `length` bytes; gives how many there were. */
  skip(length: number): Promise<number>;
  /** Reads nothing more from the system until `resume`. */
  stall(): void;
  resume(): void;
  /** Bytes written that the system has not taken yet. */
  unsent(): number;
  /** Sends FIN and goes on reading. */
  end(): void;
  /** Sends RST. */
  reset(): void;
  destroy(): void;
  /** How the peer's side ended, when it does. */
  readonly ended: Promise<WireEnd>;
};

export type WireEnd = "fin" | "broken";

/** The connection ended before what was waited for had come. */
export class WireEnded extends Error {
  readonly how: WireEnd;
  readonly rest: Buffer;
  constructor(how: WireEnd, rest: Buffer) {
    super(`the connection ended (${how}) after ${JSON.stringify(rest.toString("latin1").slice(0, 200))}`);
    this.how = how;
    this.rest = rest;
  }
}

/** More than this unread, and no more is taken from the system: the peer then feels that nobody reads. */
const HIGH_WATER = 256 * 1024;

export function wireOf(socket: Socket): Wire {
  let chunks: Buffer[] = [];
  let unread = 0;
  let stalled = false;
  let how: WireEnd | undefined;
  let wake: (() => void) | undefined;
  const { promise: ended, resolve: end } = Promise.withResolvers<WireEnd>();

  const news = () => {
    wake?.();
    wake = undefined;
  };
  const finish = (with_: WireEnd) => {
    how ??= with_;
    end(how);
    news();
  };
  socket.setNoDelay(true);
  socket.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    unread += chunk.byteLength;
    if (unread > HIGH_WATER) socket.pause();
    news();
  });
  socket.on("end", () => finish("fin"));
  socket.on("error", () => finish("broken"));
  socket.on("close", () => finish("broken"));

  const take = (length: number): Buffer => {
    const all = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
    const taken = all.subarray(0, length);
    chunks = all.byteLength > length ? [all.subarray(length)] : [];
    unread = all.byteLength - taken.byteLength;
    if (unread <= HIGH_WATER && !stalled) socket.resume();
    return taken;
  };
  /** Waits for more; false at the end. */
  const more = async (): Promise<boolean> => {
    if (how !== undefined) return false;
    if (!stalled) socket.resume();
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
    return true;
  };

  const wire: Wire = {
    socket,
    ended,
    write(bytes) {
      return new Promise((resolve) => {
        if (socket.destroyed || !socket.writable) return resolve();
        socket.once("close", resolve);
        socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes, () => {
          socket.off("close", resolve);
          resolve();
        });
      });
    },
    async readUntil(mark) {
      for (;;) {
        const all = Buffer.concat(chunks);
        chunks = [all];
        const at = all.indexOf(mark, 0, "latin1");
        if (at !== -1) return take(at + mark.length);
        if (!(await more())) throw new WireEnded(how ?? "broken", all);
      }
    },
    async read(length) {
      while (unread < length) {
        if (unread > HIGH_WATER && !stalled) socket.resume();
        if (!(await more())) throw new WireEnded(how ?? "broken", Buffer.concat(chunks));
      }
      return take(length);
    },
    async readSome() {
      while (unread === 0) if (!(await more())) return undefined;
      return take(unread);
    },
    async readToEnd() {
      const parts: Buffer[] = [];
      for (;;) {
        const part = await wire.readSome();
        if (part === undefined) return Buffer.concat(parts);
        parts.push(part);
      }
    },
    async skip(length) {
      let skipped = 0;
      while (skipped < length) {
        while (unread === 0) if (!(await more())) return skipped;
        skipped += take(Math.min(unread, length - skipped)).byteLength;
      }
      return skipped;
    },
    stall() {
      stalled = true;
      socket.pause();
    },
    resume() {
      stalled = false;
      socket.resume();
    },
    unsent: () => socket.writableLength,
    end: () => void socket.end(),
    reset: () => void socket.resetAndDestroy(),
    destroy: () => void socket.destroy(),
  };
  return wire;
}

/** @param address a port, or the path of a unix socket. */
export function dial(address: number | string, hostname = "127.0.0.1"): Promise<Wire> {
  return new Promise((resolve, reject) => {
    const where = typeof address === "number" ? { host: hostname, port: address } : { path: address };
    const socket = connect({ ...where, allowHalfOpen: true });
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(wireOf(socket));
    });
  });
}

/** HTTP/1.1 within TLS. @param name whom the certificate must be for. */
export function dialTls(port: number, name: string, authority: string): Promise<Wire> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({
      ...{ host: "127.0.0.1", port, servername: name, ca: authority },
      ALPNProtocols: ["http/1.1"],
    });
    socket.once("error", reject);
    socket.once("secureConnect", () => {
      socket.off("error", reject);
      resolve(wireOf(socket));
    });
  });
}

/** A message head as it was on the wire. */
export type Head = {
  /** All of it, without the empty line. */
  readonly text: string;
  readonly startLine: string;
  /** In order, names as sent. */
  readonly fields: ReadonlyArray<readonly [string, string]>;
  /** Values of a field in order, by name in any case. */
  all(name: string): string[];
  /** The only value of a field; undefined if it was not sent. @throws if it was sent more than once. */
  one(name: string): string | undefined;
};

export function parseHead(bytes: Buffer): Head {
  const text = bytes.toString("latin1").replace(/\r\n\r\n$/, "");
  const [startLine = "", ...lines] = text.split("\r\n");
  const fields = lines.map((line): readonly [string, string] => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon), line.slice(colon + 1).replace(/^[ \t]*|[ \t]*$/g, "")];
  });
  const all = (name: string) =>
    fields.filter(([field]) => field.toLowerCase() === name.toLowerCase()).map(([, value]) => value);
  return {
    text,
    startLine,
    fields,
    all,
    one(name) {
      const values = all(name);
      if (values.length > 1)
        throw new Error(`${name} was sent ${values.length} times: ${values.join(" | ")}`);
      return values[0];
    },
  };
}

export type RawResponse = Head & {
  readonly status: number;
  readonly reason: string;
  readonly body: Buffer;
  /** Whether the body came to the end that its framing announced. */
  readonly complete: boolean;
  readonly framing: Framing;
};

export type Framing = "none" | "length" | "chunked" | "close";

export async function readResponseHead(wire: Wire): Promise<Head & { status: number; reason: string }> {
  const head = parseHead(await wire.readUntil("\r\n\r\n"));
  const [, status = "", reason = ""] = /^HTTP\/1\.1 (\d{3}) ?(.*)$/.exec(head.startLine) ?? [];
  return { ...head, status: Number(status), reason };
}

export function framingOf(head: Head, status: number, method = "GET"): Framing {
  if (method === "HEAD" || status === 204 || status === 304 || status < 200) return "none";
  if (head.one("transfer-encoding")?.toLowerCase() === "chunked") return "chunked";
  return head.one("content-length") === undefined ? "close" : "length";
}

export async function readResponse(wire: Wire, method = "GET"): Promise<RawResponse> {
  const head = await readResponseHead(wire);
  const framing = framingOf(head, head.status, method);
  const { body, complete } = await readBody(wire, head, framing);
  return { ...head, framing, body, complete };
}

async function readBody(
  wire: Wire,
  head: Head,
  framing: Framing,
): Promise<{ body: Buffer; complete: boolean }> {
  if (framing === "none") return { body: Buffer.alloc(0), complete: true };
  if (framing === "close") return { body: await wire.readToEnd(), complete: (await wire.ended) === "fin" };
  if (framing === "chunked") return readChunks(wire);
  try {
    return { body: await wire.read(Number(head.one("content-length"))), complete: true };
  } catch (error) {
    if (error instanceof WireEnded) return { body: error.rest, complete: false };
    throw error;
  }
}

async function readChunks(wire: Wire): Promise<{ body: Buffer; complete: boolean }> {
  const chunks: Buffer[] = [];
  for (;;) {
    const chunk = await readChunk(wire);
    if (chunk === undefined) return { body: Buffer.concat(chunks), complete: false };
    if (chunk.byteLength === 0) return { body: Buffer.concat(chunks), complete: true };
    chunks.push(chunk);
  }
}

/** One chunk of a chunked body (RFC 9112 §7.1): empty at its end, undefined if the body broke off. */
export async function readChunk(wire: Wire): Promise<Buffer | undefined> {
  try {
    const size = Number.parseInt((await wire.readUntil("\r\n")).toString("latin1"), 16);
    const chunk = await wire.read(size);
    await wire.readUntil("\r\n");
    return chunk;
  } catch (error) {
    if (error instanceof WireEnded) return undefined;
    throw error;
  }
}

/** A request head from lines, `Host` included. */
export function requestHead(line: string, fields: readonly string[] = []): string {
  const host = fields.some((field) => /^host:/i.test(field)) ? [] : ["Host: app.example.org"];
  return `${[`${line} HTTP/1.1`, ...host, ...fields].join("\r\n")}\r\n\r\n`;
}

/** One request over a connection of its own. */
export async function exchange(
  address: number | string,
  line: string,
  fields: readonly string[] = [],
  body: string | Uint8Array = "",
): Promise<RawResponse> {
  return exchangeOver(await dial(address), line, fields, body);
}

/** One request over a connection, which is closed then. */
export async function exchangeOver(
  wire: Wire,
  line: string,
  fields: readonly string[] = [],
  body: string | Uint8Array = "",
): Promise<RawResponse> {
  try {
    const sending = wire.write(Buffer.concat([bytesOf(requestHead(line, fields)), bytesOf(body)]));
    const response = await readResponse(wire, line.split(" ", 1)[0]);
    await sending;
    return response;
  } finally {
    wire.destroy();
  }
}

export function bytesOf(content: string | Uint8Array): Uint8Array {
  return typeof content === "string" ? Buffer.from(content, "latin1") : content;
}
