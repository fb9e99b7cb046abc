import { afterAll, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStage, type Stage, until } from "../process/stage.ts";
import { makeCertificate } from "../support/certificate.ts";
import { needs } from "../support/needs.ts";
import { freePort } from "../support/process.ts";
import { shown, signIn } from "./client.ts";
import { type Field, FRAME, type Outcome, openH2 } from "./h2.ts";

/** What nobody well-behaved sends, over TLS and HTTP/2, by somebody who is signed in: the application never sees it. */

setDefaultTimeout(60_000);

/** Error codes (RFC 9113 §7). */
const PROTOCOL_ERROR = 1;
const CANCEL = 8;
const ENHANCE_YOUR_CALM = 11;

const curl = needs("curl");
const folder = mkdtempSync(join(tmpdir(), "runegate-h2-"));
const [port, httpPort] = [freePort(), freePort()];
const host = `localhost:${port}`;
const origin = `https://${host}`;
/** What came to the application, with as much of its body as there was. */
let seen: string[] = [];
let bodies: string[] = [];
const application = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  async fetch(request) {
    seen.push(`${request.method} ${new URL(request.url).pathname}`);
    bodies.push(await request.text().catch(() => "broken"));
    const { pathname } = new URL(request.url);
    const headers = { "Content-Type": "text/plain" };
    const [, size] = /^\/of\/(\d+)$/.exec(pathname) ?? [];
    if (size !== undefined) return new Response("x".repeat(Number(size)), { headers });
    const [, status] = /^\/status\/(\d+)$/.exec(pathname) ?? [];
    if (status !== undefined) return new Response(null, { status: Number(status) });
    return new Response("hello");
  },
});
let stage: Stage;
let cookie = "";

beforeAll(async () => {
  const { cert, key } = makeCertificate();
  writeFileSync(join(folder, "localhost.crt"), cert);
  writeFileSync(join(folder, "localhost.key"), key, { mode: 0o600 });
  stage = await openStage({
    options: {
      RUNEGATE_LISTEN: `127.0.0.1:${port}`,
      RUNEGATE_HTTP_LISTEN: `127.0.0.1:${httpPort}`,
      RUNEGATE_BASE_URL: origin,
      RUNEGATE_TARGET_SERVICE: application.url.origin,
      RUNEGATE_TLS: "files",
      RUNEGATE_TLS_CERT: folder,
    },
  });
  [cookie = ""] = (await signIn(stage, origin)).split(";");
});
afterAll(async () => {
  await stage?.[Symbol.asyncDispose]();
  application.stop(true);
  rmSync(folder, { recursive: true });
});
beforeEach(() => {
  seen = [];
  bodies = [];
});

const pseudo = (changes: Readonly<Record<string, string | undefined>> = {}): Field[] =>
  Object.entries({
    ":method": "GET",
    ":scheme": "https",
    ":authority": host,
    ":path": "/hello",
    ...changes,
  }).flatMap(([name, value]): Field[] => (value === undefined ? [] : [[name, value]]));

/** One request on a connection of its own, signed in. */
async function sent(fields: readonly Field[], body?: string): Promise<Outcome> {
  const h2 = await openH2(port);
  const stream = h2.request([...fields, ["cookie", cookie]], body === undefined);
  if (body !== undefined) h2.data(stream, body);
  const outcome = await h2.outcome(stream);
  h2.close();
  return outcome;
}

/** Whoever was served before is served after, whatever somebody else sends. */
async function serves(): Promise<void> {
  expect(await sent(pseudo())).toEqual({ status: 200 });
}

test.each<[string, Field[]]>([
  ["plain", pseudo()],
  ["`host` that says the same as `:authority`", [...pseudo(), ["host", host]]],
  ["`host` in place of `:authority`", [...pseudo({ ":authority": undefined }), ["host", host]]],
  ["`te: trailers`", [...pseudo(), ["te", "trailers"]]],
])("served: %s", async (_, fields) => {
  expect(await sent(fields)).toEqual({ status: 200 });
  expect(seen).toEqual(["GET /hello"]);
});

test.each<[string, Field[]]>([
  ["another `host` than `:authority`", [...pseudo(), ["host", "evil.test"]]],
  ["another `:authority` than `host`", [...pseudo({ ":authority": "evil.test" }), ["host", host]]],
  ["neither", pseudo({ ":authority": undefined })],
  ["two `host`", [...pseudo(), ["host", host], ["host", "evil.test"]]],
  ["two `:authority`", [...pseudo(), [":authority", "evil.test"]]],
  ["a name and password in `:authority`", pseudo({ ":authority": `ada:x@${host}` })],
  ["two `:path`", [...pseudo(), [":path", "/other"]]],
  ["a pseudo-field behind a field", [...pseudo({ ":path": undefined }), ["x-a", "1"], [":path", "/hello"]]],
  ["a pseudo-field that there is none of", [...pseudo(), [":status", "200"]]],
  ["an absolute `:path`", pseudo({ ":path": "https://evil.test/hello" })],
  ["an empty `:path`", pseudo({ ":path": "" })],
  ["a `:path` without a slash", pseudo({ ":path": "hello" })],
  ["a space in `:path`", pseudo({ ":path": "/hello HTTP/1.1" })],
  ["`transfer-encoding`", [...pseudo(), ["transfer-encoding", "chunked"]]],
  ["`connection`", [...pseudo(), ["connection", "x-a"]]],
  ["`upgrade`", [...pseudo(), ["upgrade", "websocket"]]],
  ["`te` of another kind", [...pseudo(), ["te", "gzip"]]],
  ["a name in capitals", [...pseudo(), ["X-A", "1"]]],
  ["a space in a name", [...pseudo(), ["x a", "1"]]],
  ["a colon in a name", [...pseudo(), ["x:a", "1"]]],
  ["a line's end in a value", [...pseudo(), ["x-a", "1\r\nremote-user: eve"]]],
  ["a zero byte in a value", [...pseudo(), ["x-a", "1\0"]]],
  ["a content-length, and no body", [...pseudo(), ["content-length", "5"]]],
  ["CONNECT in its newer form", [...pseudo({ ":method": "CONNECT" }), [":protocol", "websocket"]]],
])("refused as no HTTP: %s", async (_, fields) => {
  expect(await sent(fields)).toEqual({ reset: PROTOCOL_ERROR });
  expect(seen).toEqual([]);
  await serves();
});

test("CONNECT is not found", async () => {
  expect(
    await sent([
      [":method", "CONNECT"],
      [":authority", host],
    ]),
  ).toEqual({ status: 404 });
  expect(seen).toEqual([]);
});

test.each(["3", "30", "+5", "5, 6"])(
  "a content-length of %s for five bytes: the request ends there, and its body is never whole",
  async (length) => {
    const fields: Field[] = [...pseudo({ ":method": "POST" }), ["content-length", length]];
    expect(await sent(fields, "hello")).toEqual({ reset: PROTOCOL_ERROR });
    await serves();
    await until("what began has ended", () => bodies.length === seen.length);
    expect(bodies.filter((body) => body !== "")).toEqual(seen.length === 1 ? [] : ["broken"]);
  },
);

test("a body that a GET brings is not taken for another request", async () => {
  expect(await sent(pseudo(), `GET /smuggled HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).toEqual({ status: 200 });
  await serves();
  expect(seen).toEqual(["GET /hello", "GET /hello"]);
});

test("a thousand fields, and a block that never ends: the connection is closed", async () => {
  const many = Array.from({ length: 1_000 }, (_, i): Field => [`x-${i}`, "1"]);
  expect(await sent([...pseudo(), ...many])).toEqual({ goAway: ENHANCE_YOUR_CALM });
  const h2 = await openH2(port);
  const stream = h2.request(pseudo(), false);
  h2.send(FRAME.headers, 0, stream + 2, Buffer.from([0, 1, 97, 1, 98]));
  for (let i = 0; i < 1_000; i++) h2.send(FRAME.continuation, 0, stream + 2, Buffer.alloc(16_000));
  expect((await h2.outcome(stream + 2)).goAway).toBeDefined();
  expect(seen).toEqual([]);
  await serves();
});

test("streams opened and reset, 20,000 of them: the connection is closed, and others are served", async () => {
  const h2 = await openH2(port);
  const code = Buffer.from([0, 0, 0, CANCEL]);
  for (let i = 0; i < 20_000; i++) {
    h2.send(FRAME.reset, 0, h2.request([...pseudo({ ":path": "/_runegate/health" })]), code);
  }
  expect(await h2.outcome(h2.request(pseudo()))).toEqual({ goAway: ENHANCE_YOUR_CALM });
  h2.close();
  await serves();
});

test("settings and pings without end, and a window that overflows: others are served", async () => {
  const h2 = await openH2(port);
  for (let i = 0; i < 10_000; i++) {
    h2.send(FRAME.settings, 0, 0);
    h2.send(FRAME.ping, 0, 0, Buffer.alloc(8));
  }
  h2.send(FRAME.windowUpdate, 0, 0, Buffer.from([0x7f, 0xff, 0xff, 0xff]));
  expect((await h2.outcome(h2.request(pseudo()))).goAway).toBeDefined();
  h2.close();
  await serves();
});

test("http on the port of https, and https on the port of http: closed, without a word of ours", async () => {
  const plain = await new Promise<string>((resolve) => {
    let text = "";
    const socket = connect(port, "127.0.0.1", () =>
      socket.write(`GET /hello HTTP/1.1\r\nHost: ${host}\r\n\r\n`),
    );
    socket.on("data", (bytes) => {
      text += bytes.toString("latin1");
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(text));
  });
  expect(plain).not.toMatch(/HTTP|hello|localhost/);
  expect(shown(httpPort, "localhost")).rejects.toThrow();
  expect(seen).toEqual([]);
});

test("a name of TLS that is not the request's decides nothing", async () => {
  const h2 = await openH2(port, "elsewhere.test");
  expect(await h2.outcome(h2.request([...pseudo(), ["cookie", cookie]]))).toEqual({ status: 200 });
  h2.close();
});

/** What a browser shows a total of. */
describe.skipIf(curl === undefined).each(["--http1.1", "--http2"])(
  "Content-Length, by curl %s",
  (version) => {
    test.each<[string, string[], length: string | undefined]>([
      ["/of/0", [], "0"],
      ["/of/5", [], "5"],
      ["/of/262144", [], "262144"],
      // Bun sends what streams without (see Known limits in the README).
      ["/of/5000000", [], undefined],
      ["/of/5", ["--head"], "5"],
      ["/of/5000000", ["--head"], "5000000"],
      ["/status/204", [], undefined],
      ["/status/304", [], undefined],
    ])("of %s %p is %p, and all of it comes", async (path, args, length) => {
      const asked = Bun.spawn([
        ...["curl", "-sk", version, ...args, "-H", `Cookie: ${cookie}`, "-D", "-", "-o", "/dev/null"],
        ...["-w", "%{http_version} %{size_download}", origin + path],
      ]);
      const lines = (await asked.stdout.text()).split("\r\n");
      const fields = lines.map((line) => line.toLowerCase().split(": "));
      expect(fields.find(([name]) => name === "content-length")?.[1]).toBe(length);
      const size = args.length > 0 ? 0 : Number(/\d+$/.exec(path)?.[0]);
      const [protocol, came] = lines.at(-1)?.split(" ") ?? [];
      expect(protocol).toBe(version.slice("--http".length));
      expect(Number(came)).toBe(path.startsWith("/status") ? 0 : size);
      expect(await asked.exited).toBe(0);
    });
  },
);
