import { dial, readResponse, requestHead } from "../support/raw.ts";
import type { Stage } from "./stage.ts";

/** What takes its time: uploads, downloads, event streams and WebSockets, through a gateway. */

type Front = Pick<Stage, "port">;

/** A download that takes about this long. */
export async function dripped({ port }: Front, cookie: string, ms: number): Promise<"whole" | "cut"> {
  const wire = await dial(port);
  const pieces = Math.round(ms / 100);
  await wire.write(requestHead(`GET /drip?n=${pieces}&ms=100`, [`Cookie: ${cookie}`]));
  const { body, complete, status } = await readResponse(wire);
  wire.destroy();
  return status === 200 && complete && body.byteLength === pieces * 1000 ? "whole" : "cut";
}

/** An upload that takes about this long. */
export async function slowUpload({ port }: Front, cookie: string, ms: number): Promise<"whole" | "cut"> {
  const wire = await dial(port);
  const pieces = Math.round(ms / 100);
  await wire.write(requestHead("POST /upload", [`Cookie: ${cookie}`, `Content-Length: ${pieces * 1000}`]));
  for (let i = 0; i < pieces; i++) {
    await wire.write(Buffer.alloc(1000, 120));
    await Bun.sleep(100);
  }
  const { body, status } = await readResponse(wire);
  wire.destroy();
  return status === 200 && body.toString() === String(pieces * 1000) ? "whole" : "cut";
}

export type OpenSocket = {
  echo(text: string): Promise<string>;
  /** The code that the server closed it with. */
  readonly closed: Promise<number>;
  close(): void;
};

/** @param who a cookie, or what else lets somebody in. @param below the path of one of several applications. */
export async function openSocket(
  { port }: Front,
  who: string | Readonly<Record<string, string>>,
  below = "",
): Promise<OpenSocket> {
  const shown = typeof who === "string" ? { Cookie: who } : who;
  const socket = new WebSocket(`ws://127.0.0.1:${port}${below}/socket`, {
    headers: { ...shown, Origin: `http://127.0.0.1:${port}` },
  } as unknown as string);
  const closed = Promise.withResolvers<number>();
  const opened = Promise.withResolvers<void>();
  let answered: ((text: string) => void) | undefined;
  socket.onopen = () => opened.resolve();
  socket.onmessage = ({ data }) => answered?.(String(data));
  socket.onclose = ({ code }) => {
    closed.resolve(code);
    opened.reject(new Error(`the WebSocket was not opened: ${code}`));
  };
  opened.promise.catch(() => {});
  await opened.promise;
  return {
    echo(text) {
      const { promise, resolve } = Promise.withResolvers<string>();
      answered = resolve;
      socket.send(text);
      return promise;
    },
    closed: closed.promise,
    close: () => socket.close(),
  };
}

export type OpenEvents = {
  /** When the stream came to its end. */
  readonly ended: Promise<void>;
  close(): void;
};

export async function openEvents({ port }: Front, cookie: string, below = ""): Promise<OpenEvents> {
  const wire = await dial(port);
  const fields = [`Host: 127.0.0.1:${port}`, `Cookie: ${cookie}`, "Accept: text/event-stream"];
  await wire.write(requestHead(`GET ${below}/events`, fields));
  await wire.readUntil("data: hello");
  return { ended: wire.readToEnd().then(() => {}), close: () => wire.destroy() };
}
