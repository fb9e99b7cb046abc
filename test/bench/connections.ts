import type { Socket } from "bun";
import { BenchError } from "./stage.ts";

/** Thousands of connections that somebody holds open, as cheaply as a client can. */

export type HeldConnections = {
  readonly count: number;
  /** How many the other side has closed since they were opened. */
  lost(): number;
  close(): void;
};

export type HoldSettings = {
  readonly port: number;
  readonly count: number;
  /** The whole request of the one with that number, with its empty line. */
  readonly request: (index: number) => string;
  /** What has come once the connection is as it should be. */
  readonly ready: string;
};

/** How many are on their way at once: more would overflow the queue of those who listen. */
const AT_ONCE = 64;
const PATIENCE_MS = 20_000;

type Waiting = { received: string; readonly settle: (problem?: string) => void };

/** @throws {BenchError} if one is not as it should be in time; the others are closed then. */
export async function holdConnections({
  port,
  count,
  request,
  ready,
}: HoldSettings): Promise<HeldConnections> {
  const sockets = new Set<Socket<Waiting>>();
  let lost = 0;
  let closing = false;

  const handler: Bun.SocketHandler<Waiting> = {
    data({ data }, bytes) {
      // Once it is there nobody reads what else comes.
      if (data.received === ready) return;
      data.received += bytes.toString("latin1");
      if (!data.received.includes(ready)) return;
      data.received = ready;
      data.settle();
    },
    close(socket) {
      sockets.delete(socket);
      if (!closing) lost++;
      socket.data.settle(
        `A connection to be held was closed after ${JSON.stringify(socket.data.received.slice(0, 200))}.`,
      );
    },
    error() {
      // `close` follows.
    },
  };

  async function open(index: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(() => reject(new BenchError("A connection was not answered.")), PATIENCE_MS);
    const settle = (problem?: string) => {
      clearTimeout(timer);
      if (problem === undefined) resolve();
      else reject(new BenchError(problem));
    };
    const socket = await Bun.connect<Waiting>({
      hostname: "127.0.0.1",
      port,
      data: { received: "", settle },
      socket: handler,
    });
    sockets.add(socket);
    socket.write(request(index));
    await promise;
  }

  const close = () => {
    closing = true;
    for (const socket of sockets) socket.terminate();
  };
  let left = count;
  const opener = async () => {
    while (left > 0) {
      left--;
      await open(left);
    }
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, opener));
  } catch (error) {
    left = 0;
    close();
    throw error;
  }
  return { count, lost: () => lost, close };
}

/** The request for an event stream. */
export function streamRequest(port: number, path: string, cookie: string): string {
  return requestOf(port, path, [`Cookie: ${cookie}`, "Accept: text/event-stream"]);
}

/**
 * The handshake of a WebSocket (RFC 6455 §4.1), with the key of its example: nobody here looks at the answer's. It offers
 * compression, as every browser does.
 */
export function handshakeRequest(port: number, path: string, cookie: string): string {
  return requestOf(port, path, [
    `Cookie: ${cookie}`,
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
  ]);
}

function requestOf(port: number, path: string, fields: readonly string[]): string {
  return `${[`GET ${path} HTTP/1.1`, `Host: 127.0.0.1:${port}`, ...fields].join("\r\n")}\r\n\r\n`;
}
