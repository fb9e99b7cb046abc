import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { bytesOf, type Head, parseHead, readChunk, type Wire, WireEnded, wireOf } from "./raw.ts";

/**
 * An application that can misbehave in every way TCP allows: each path has a script, which writes its bytes itself. What
 * has no script is answered with what was received.
 */
export type Upstream = {
  readonly url: string;
  readonly port: number;
  /** Answers requests for `path` (without its query) by `script`. */
  on(path: string, script: Script): void;
  /** Everything received, in order. */
  readonly requests: readonly Received[];
  /** Requests for a path. */
  to(path: string): Received[];
  /** Connections ever accepted, the newest last. */
  readonly connections: readonly Wire[];
  stop(): void;
};

export type Received = Head & {
  readonly method: string;
  /** As on the request line. */
  readonly target: string;
};

export type Exchange = {
  readonly request: Received;
  readonly wire: Wire;
  /** Number of the request on its connection, from 1. */
  readonly turn: number;
  /** Reads the whole body. */
  body(): Promise<Buffer>;
  /** Writes a response with a `Content-Length`. */
  reply(status: number, fields?: readonly string[], body?: string | Uint8Array): Promise<void>;
};

/** Returns when it is done with the request; the connection then waits for the next one. */
export type Script = (exchange: Exchange) => Promise<void> | void;

export type UpstreamSettings = {
  /** Listens here in place of a port. */
  readonly unix?: string;
  /** That of one which has been stopped; by default a free one. */
  readonly port?: number;
  /** With an authority, clients have to show a certificate of it. */
  readonly tls?: { readonly key: string; readonly cert: string; readonly ca?: string };
};

export async function startUpstream(settings: UpstreamSettings = {}): Promise<Upstream> {
  const scripts = new Map<string, Script>();
  const requests: Received[] = [];
  const connections: Wire[] = [];

  async function converse(wire: Wire): Promise<void> {
    for (let turn = 1; ; turn++) {
      const head = parseHead(await wire.readUntil("\r\n\r\n"));
      const [method = "", target = ""] = head.startLine.split(" ");
      const request: Received = { ...head, method, target };
      requests.push(request);
      let read: Promise<Buffer> | undefined;
      const body = () => {
        read ??= readRequestBody(wire, head);
        return read;
      };
      const reply: Exchange["reply"] = (status, fields = [], content = "") => {
        const bytes = bytesOf(content);
        return wire.write(Buffer.concat([bytesOf(responseHead(status, fields, bytes.byteLength)), bytes]));
      };
      const script = scripts.get(target.split("?", 1)[0] ?? "") ?? echo;
      await script({ request, wire, turn, body, reply });
      await body();
    }
  }

  const accept = (socket: Socket) => {
    const wire = wireOf(socket);
    connections.push(wire);
    converse(wire).catch((error: unknown) => {
      if (!(error instanceof WireEnded)) throw error;
      wire.end();
    });
  };
  const server: Server =
    settings.tls === undefined
      ? createServer({ allowHalfOpen: true }, accept)
      : createTlsServer(
          { ...settings.tls, requestCert: settings.tls.ca !== undefined, allowHalfOpen: true },
          accept,
        );
  const where =
    settings.unix === undefined ? { port: settings.port ?? 0, host: "127.0.0.1" } : { path: settings.unix };
  await new Promise<void>((resolve) => server.listen(where, resolve));
  const address = server.address();
  const port = address !== null && typeof address === "object" ? address.port : 0;
  const url =
    settings.unix === undefined
      ? `${settings.tls === undefined ? "http" : "https"}://127.0.0.1:${port}`
      : `unix:${settings.unix}`;

  return {
    url,
    port,
    requests,
    connections,
    on: (path, script) => void scripts.set(path, script),
    to: (path) => requests.filter(({ target }) => target.split("?", 1)[0] === path),
    stop() {
      server.close();
      for (const wire of connections) wire.destroy();
    },
  };
}

export function responseHead(status: number, fields: readonly string[], length?: number): string {
  const framing = length === undefined ? [] : [`Content-Length: ${length}`];
  return `${[`HTTP/1.1 ${status} Fine`, ...fields, ...framing].join("\r\n")}\r\n\r\n`;
}

export function chunk(content: string | Uint8Array): Buffer {
  const bytes = bytesOf(content);
  return Buffer.concat([bytesOf(`${bytes.byteLength.toString(16)}\r\n`), bytes, bytesOf("\r\n")]);
}

export const LAST_CHUNK = "0\r\n\r\n";

/** What {@link startUpstream} answers where no script does. */
export type Echo = { readonly method: string; readonly target: string; readonly body: string };

const echo: Script = async ({ request, body, reply }) => {
  const { method, target } = request;
  const received: Echo = { method, target, body: (await body()).toString("latin1") };
  await reply(200, ["Content-Type: application/json"], method === "HEAD" ? "" : JSON.stringify(received));
};

async function readRequestBody(wire: Wire, head: Head): Promise<Buffer> {
  if (head.one("transfer-encoding")?.toLowerCase() === "chunked") {
    const chunks: Buffer[] = [];
    for (;;) {
      const next = await readChunk(wire);
      if (next === undefined) throw new WireEnded(await wire.ended, Buffer.concat(chunks));
      if (next.byteLength === 0) return Buffer.concat(chunks);
      chunks.push(next);
    }
  }
  return wire.read(Number(head.one("content-length") ?? 0));
}

/** A port where nothing listens. */
export async function deadPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("not a TCP server");
  return address.port;
}
