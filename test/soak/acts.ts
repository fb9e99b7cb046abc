import { createHash, randomInt } from "node:crypto";
import { dial, type Wire } from "../support/raw.ts";
import { Mishap, Wrong } from "./ledger.ts";
import { expectStatus, headersOf, read, reasonOf, send, type Visitor } from "./visitor.ts";

/** What people do who are signed in. Each ends by itself within some seconds. */
export type Act = { readonly name: string; readonly do: (visitor: Visitor) => Promise<void> };

const KB = 1000;
const MB = 1000 * KB;

export const ACTS: readonly Act[] = [
  { name: "page", do: page },
  { name: "identity", do: identity },
  { name: "assets", do: assets },
  { name: "error page", do: errorPage },
  { name: "broken page", do: brokenPage },
  { name: "small upload", do: (visitor) => upload(visitor, randomInt(1, 60 * KB), false) },
  { name: "large upload", do: (visitor) => upload(visitor, randomInt(MB, 4 * MB), false) },
  { name: "chunked upload", do: (visitor) => upload(visitor, randomInt(KB, MB), true) },
  { name: "upload left in the middle", do: leaveUpload },
  { name: "small download", do: (visitor) => download(visitor, randomInt(1, 60 * KB)) },
  { name: "large download", do: (visitor) => download(visitor, randomInt(2 * MB, 8 * MB)) },
  { name: "download left in the middle", do: leaveDownload },
  { name: "slow reader", do: readSlowly },
  { name: "slow reader who leaves", do: readSlowlyAndLeave },
  { name: "left while waiting", do: leaveWhileWaiting },
  { name: "event stream", do: listen },
  { name: "event stream cut off", do: cutStream },
  { name: "WebSocket", do: converse },
  { name: "WebSocket cut off", do: cutSocket },
  { name: "WebSocket closed by the application", do: beClosed },
];

async function page(visitor: Visitor): Promise<void> {
  const response = await send(visitor, "/", { headers: { Accept: "text/html" } });
  await expectStatus(response, 200, "the page");
  const text = Buffer.from(await read(response)).toString();
  if (!text.includes(visitor.email)) throw new Wrong("a page that does not name its user");
}

async function identity(visitor: Visitor): Promise<void> {
  const forged = { "X-Forwarded-User": `somebody-else@example.org`, "Remote-User": "root" };
  const response = await send(visitor, "/whoami?a=b", { method: "PUT", headers: forged, body: "x" });
  await expectStatus(response, 200, "whoami");
  const { identity: who } = JSON.parse(Buffer.from(await read(response)).toString()) as {
    identity: { user?: string };
  };
  if (who.user !== visitor.email) throw new Wrong(`${visitor.email} was taken for ${who.user}`);
}

async function assets(visitor: Visitor): Promise<void> {
  await Promise.all(
    ["/app.css", "/app.js", "/logo.svg", "/healthz"].map(async (path) => {
      const response = await send(visitor, path, { keepalive: path !== "/healthz" });
      await expectStatus(response, 200, path);
      await read(response);
    }),
  );
  await expectStatus(await send(visitor, "/cookies/set"), 302, "two cookies");
  const head = await send(visitor, "/", { method: "HEAD" });
  await expectStatus(head, 200, "HEAD /");
}

/** What a page fetches in the background, and most requests are: small and one after the other. */
export async function browse(visitor: Visitor): Promise<void> {
  for (let left = randomInt(5, 15); left > 0; left--) {
    const response = await send(visitor, "/healthz");
    await expectStatus(response, 200, "a small request");
    await read(response);
  }
}

async function errorPage(visitor: Visitor): Promise<void> {
  const response = await send(visitor, "/error?status=503");
  await expectStatus(response, 503, "an error page");
  await read(response);
  const missing = await send(visitor, "/nowhere");
  await expectStatus(missing, 404, "a page that is not there");
  await read(missing);
}

/** An answer that breaks off must never look whole. */
async function brokenPage(visitor: Visitor): Promise<void> {
  const wire = await begin(visitor, "GET /broken", ["Connection: close"]);
  try {
    const answer = (await wire.readToEnd()).toString("latin1");
    // Both parts may come in one piece, the second being the end: then there is no answer at all.
    if (/^HTTP\/1\.1 502/.test(answer)) throw new Mishap("502", "the broken page");
    if (!/^(?:HTTP\/1\.1 200|$)/.test(answer)) throw new Wrong(`the broken page: ${answer.slice(0, 300)}`);
    if (/\r\n0\r\n\r\n$/.test(answer)) throw new Wrong("an answer that broke off looks whole");
  } finally {
    wire.destroy();
  }
}

async function upload(visitor: Visitor, size: number, chunked: boolean): Promise<void> {
  const bytes = Buffer.alloc(size, visitor.email);
  const body = chunked ? inPieces(bytes) : bytes;
  const response = await send(visitor, "/upload?name=soak", { method: "POST", body });
  await expectStatus(response, 200, "an upload");
  const received = JSON.parse(Buffer.from(await read(response)).toString()) as {
    bytes: number;
    sha256: string;
  };
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  if (received.bytes !== size || received.sha256 !== sha256)
    throw new Wrong("an upload that arrived otherwise");
}

function inPieces(bytes: Buffer): ReadableStream<Uint8Array> {
  const PIECE = 64 * 1024;
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      controller.enqueue(new Uint8Array(bytes.subarray(at, at + PIECE)));
      at += PIECE;
      if (at >= bytes.byteLength) controller.close();
    },
  });
}

async function download(visitor: Visitor, size: number): Promise<void> {
  const response = await send(visitor, `/download?size=${size}`);
  await expectStatus(response, 200, "a download");
  const { byteLength } = await read(response);
  if (byteLength !== size) throw new Wrong(`a download of ${byteLength} instead of ${size} bytes`);
}

async function leaveDownload(visitor: Visitor): Promise<void> {
  const abort = new AbortController();
  const response = await send(visitor, "/download?size=50MB&rate=5MB", { signal: abort.signal });
  await expectStatus(response, 200, "a download");
  const reader = response.body?.getReader();
  try {
    await reader?.read();
    await Bun.sleep(randomInt(1, 200));
  } catch (error) {
    throw new Mishap("broken off", reasonOf(error));
  } finally {
    abort.abort();
  }
  // Aborting breaks what is read: that is the point.
  reader?.closed.catch(() => {});
}

async function leaveWhileWaiting(visitor: Visitor): Promise<void> {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), randomInt(1, 300));
  try {
    const response = await send(visitor, "/slow?seconds=5", { signal: abort.signal });
    await expectStatus(response, 200, "a slow page");
  } catch (error) {
    if (!abort.signal.aborted) throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** A connection of one's own, for what `fetch` would not do. */
async function begin(visitor: Visitor, line: string, fields: readonly string[] = []): Promise<Wire> {
  const wire = await dial(visitor.world.gateway.port);
  const own = Object.entries(headersOf(visitor)).map(([name, value]) => `${name}: ${value}`);
  const host = `Host: 127.0.0.1:${visitor.world.gateway.port}`;
  await wire.write(`${[`${line} HTTP/1.1`, host, ...own, ...fields].join("\r\n")}\r\n\r\n`);
  return wire;
}

async function leaveUpload(visitor: Visitor): Promise<void> {
  const wire = await begin(visitor, "POST /upload?name=left", [`Content-Length: ${10 * MB}`]);
  try {
    await wire.write(Buffer.alloc(randomInt(1, 300 * KB), "x"));
    await Bun.sleep(randomInt(1, 200));
  } finally {
    if (randomInt(2) === 0) wire.reset();
    else wire.destroy();
  }
}

/** A download whose reader stops reading for a while, so that everything on the way fills up. */
async function stall(visitor: Visitor): Promise<Wire> {
  const wire = await begin(visitor, "GET /download?size=6MB");
  try {
    const head = (await wire.readUntil("\r\n\r\n")).toString("latin1");
    if (/^HTTP\/1\.1 502/.test(head)) throw new Mishap("502", "a download");
    if (!/^HTTP\/1\.1 200/.test(head)) throw new Wrong(`a download: ${head}`);
    wire.stall();
    await Bun.sleep(randomInt(500, 2000));
    return wire;
  } catch (error) {
    wire.destroy();
    if (error instanceof Mishap || error instanceof Wrong) throw error;
    throw new Mishap("broken off", reasonOf(error));
  }
}

async function readSlowly(visitor: Visitor): Promise<void> {
  const wire = await stall(visitor);
  wire.resume();
  try {
    await wire.readUntil("\r\n0\r\n\r\n");
  } catch (error) {
    throw new Mishap("broken off", reasonOf(error));
  } finally {
    wire.destroy();
  }
}

async function readSlowlyAndLeave(visitor: Visitor): Promise<void> {
  const wire = await stall(visitor);
  wire.reset();
}

async function openStream(visitor: Visitor, signal: AbortSignal) {
  const headers = { Accept: "text/event-stream" };
  const response = await send(visitor, "/events", { headers, signal });
  await expectStatus(response, 200, "an event stream");
  visitor.world.opened.streams++;
  if (response.body === null) throw new Wrong("an event stream without a body");
  return response.body.getReader();
}

async function listen(visitor: Visitor): Promise<void> {
  const abort = new AbortController();
  const reader = await openStream(visitor, abort.signal);
  try {
    for (let events = 0; events < 3; events++) {
      const { done } = await reader.read();
      if (done) throw new Mishap("broken off", "an event stream ended");
    }
  } catch (error) {
    throw error instanceof Mishap ? error : new Mishap("broken off", reasonOf(error));
  } finally {
    abort.abort();
  }
  reader.closed.catch(() => {});
}

async function cutStream(visitor: Visitor): Promise<void> {
  const wire = await begin(visitor, "GET /events", ["Accept: text/event-stream"]);
  try {
    const head = (await wire.readUntil("\r\n\r\n")).toString("latin1");
    if (/^HTTP\/1\.1 502/.test(head)) throw new Mishap("502", "an event stream");
    if (!/^HTTP\/1\.1 200/.test(head)) throw new Wrong(`an event stream: ${head}`);
    visitor.world.opened.streams++;
    await Bun.sleep(randomInt(1, 1500));
  } catch (error) {
    if (error instanceof Mishap || error instanceof Wrong) throw error;
    throw new Mishap("broken off", reasonOf(error));
  } finally {
    wire.reset();
  }
}

/** An event stream that stays until the gateway ends it. */
export type OpenStream = { readonly ended: Promise<void>; close(): void };

export async function stayOnStream(visitor: Visitor): Promise<OpenStream> {
  const abort = new AbortController();
  const reader = await openStream(visitor, abort.signal);
  const ended = (async () => {
    try {
      while (!(await reader.read()).done);
    } catch {
      // Broken off: how a stream that has no end of its own is ended.
    }
  })();
  return { ended, close: () => abort.abort() };
}

function openSocket(visitor: Visitor): Promise<WebSocket> {
  const { port } = visitor.world.gateway;
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/ws/echo`, { headers: headersOf(visitor) });
    socket.binaryType = "nodebuffer";
    socket.onopen = () => {
      visitor.world.opened.sockets++;
      resolve(socket);
    };
    socket.onerror = (event) =>
      reject(new Mishap("WebSocket refused", "message" in event ? String(event.message) : ""));
  });
}

const ECHO_PATIENCE_MS = 10_000;

/** What comes back, be it a message or the close. */
function answerTo(socket: WebSocket, message: string | Buffer): Promise<string | Buffer | CloseEvent> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Wrong("a message was not answered")), ECHO_PATIENCE_MS);
    const settle = (answer: string | Buffer | CloseEvent) => {
      clearTimeout(timer);
      resolve(answer);
    };
    socket.onmessage = ({ data }: MessageEvent<string | Buffer>) => settle(data);
    socket.onclose = settle;
    socket.send(message);
  });
}

async function say(socket: WebSocket, message: string | Buffer): Promise<void> {
  if (socket.readyState !== WebSocket.OPEN) throw new Mishap("WebSocket closed", "between two messages");
  const answer = await answerTo(socket, message);
  if (typeof answer !== "string" && !Buffer.isBuffer(answer)) {
    throw new Mishap("WebSocket closed", String(answer.code));
  }
  if (!Buffer.from(answer as string).equals(Buffer.from(message as string))) {
    throw new Wrong("a WebSocket message came back otherwise");
  }
}

async function converse(visitor: Visitor): Promise<void> {
  const socket = await openSocket(visitor);
  try {
    for (let turn = 0; turn < 10; turn++) {
      await say(socket, `${visitor.email} ${turn}`);
      await Bun.sleep(randomInt(1, 50));
    }
    await say(socket, Buffer.alloc(randomInt(1, 500 * KB), visitor.email));
  } finally {
    socket.close(1000, "done");
  }
}

async function cutSocket(visitor: Visitor): Promise<void> {
  const socket = await openSocket(visitor);
  try {
    await say(socket, "hello");
    socket.send(Buffer.alloc(300 * KB));
  } finally {
    socket.terminate();
  }
}

async function beClosed(visitor: Visitor): Promise<void> {
  const socket = await openSocket(visitor);
  const answer = await answerTo(socket, "/close 4001 as asked");
  if (typeof answer === "string" || Buffer.isBuffer(answer)) throw new Wrong("a message instead of a close");
  if (answer.code !== 4001) throw new Mishap("WebSocket closed", `${answer.code} instead of 4001`);
}
