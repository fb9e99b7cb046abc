import { expect, test } from "bun:test";
import type { Socket } from "bun";
import { examineEdge, type Witness } from "../../src/doctor/examination.ts";
import { type Exchange, exchange } from "../../src/doctor/exchange.ts";
import type { ArrivedProbe } from "../../src/doctor/probes.ts";
import { those } from "./support.ts";

/** What no edge that is at hand does, and what can answer in place of one. */

const ORIGIN = "https://app.example.org";
const PLAIN: ArrivedProbe = {
  ...{ edge: "traefik", problem: null, proto: "https", host: "app.example.org", path: "/", trusted: true },
  ...{ certain: true, client: "203.0.113.9", hops: 2, carried: [], identity: [], upgrade: null },
};
type Sent = Parameters<Exchange>[1];

/** An edge that answers and passes on as it should, but for what is said. */
async function wrongWith(change: {
  answer?: (sent: Sent) => { status: number; location?: string } | undefined;
  arrived?: (sent: Sent, nonce: string) => Partial<ArrivedProbe> | undefined;
  home?: string;
}): Promise<string[]> {
  const nonce = "ab".repeat(16);
  let last: Sent | undefined;
  const witness: Witness = {
    beginProbe: async () => ({ nonce, base_url: change.home ?? ORIGIN }),
    arrivedWith: async () =>
      last === undefined ? [] : [{ ...PLAIN, path: last.target, ...change.arrived?.(last, nonce) }],
  };
  const answer: Exchange = async (_, sent) => {
    last = sent;
    const isPage = sent.lines.includes("Sec-Fetch-Mode: navigate");
    const good = isPage
      ? { status: sent.method === "GET" ? 302 : 303, location: `${ORIGIN}/_runegate/login?next=%2F` }
      : { status: 401, location: undefined };
    return { ...good, ...change.answer?.(sent) };
  };
  const findings = await examineEdge(new URL(ORIGIN), witness, answer, () => {});
  expect(findings.filter(({ state }) => state === "unknown")).toEqual([]);
  return those(findings, "wrong");
}

const has = (sent: Sent, text: string) => sent.lines.some((line) => line.startsWith(text));

test("as it should be", async () => {
  expect(await wrongWith({})).toEqual([]);
});

test.each([
  ["another host", "https://evil.example/_runegate/login"],
  ["another path", `${ORIGIN}/welcome`],
  ["another scheme", "http://app.example.org/_runegate/login"],
  ["nowhere", ""],
])("a login page at %s", async (_, location) => {
  const isPage = (sent: Sent) => sent.method === "GET" && has(sent, "Sec-Fetch-Mode: navigate");
  const found = await wrongWith({ answer: (sent) => (isPage(sent) ? { status: 302, location } : undefined) });
  expect(found).toEqual([`page: 302, to ${JSON.stringify(location)}`]);
});

test("where people sign in may be another host, and is then the only other", async () => {
  const location = "https://login.example.org/_runegate/handoff?request=x";
  const answer = (sent: Sent) =>
    has(sent, "Sec-Fetch-Mode: navigate")
      ? { status: sent.method === "GET" ? 302 : 303, location }
      : undefined;
  expect(await wrongWith({ answer, home: "https://login.example.org" })).toEqual([]);
  expect(await wrongWith({ answer })).toHaveLength(2);
});

test("a trailer field that becomes a header", async () => {
  expect(
    await wrongWith({
      arrived: (sent) => (has(sent, "Trailer:") ? { carried: ["remote-user"] } : undefined),
    }),
  ).toEqual(["trailer: a trailer field arrives as a header"]);
});

test("an edge that speaks HTTP/2 with what is behind it, unseen", async () => {
  expect(
    await wrongWith({ answer: (sent) => (has(sent, "Upgrade: h2c") ? { status: 101 } : undefined) }),
  ).toEqual(["h2c: the edge passes HTTP/2 on, unseen"]);
});

test("a WebSocket that opens for anybody", async () => {
  expect(
    await wrongWith({ answer: (sent) => (has(sent, "Upgrade: websocket") ? { status: 101 } : undefined) }),
  ).toEqual(["websocket: 101 in place of 401"]);
});

test.each([
  ["X-Forwarded-Uri", (nonce: string) => ({ path: `/${nonce}` })],
  ["X-Forwarded-Host", (nonce: string) => ({ host: `${nonce}.invalid` })],
  ["X-Forwarded-For", () => ({ client: "198.51.100.77" })],
  ["X-Forwarded-Prefix", (nonce: string) => ({ path: `/${nonce}/x` })],
  ["X-Original-URI", (nonce: string) => ({ path: `/${nonce}` })],
] as const)("a visitor's %s that is believed", async (name, change) => {
  const found = await wrongWith({
    arrived: (sent, nonce) => (has(sent, `${name}:`) ? change(nonce) : undefined),
  });
  expect(found).toEqual([`${name}: a visitor's is believed`]);
});

async function answeredBy(bytes: string): Promise<unknown> {
  const say = (socket: Socket) => void socket.end(bytes);
  using server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: say } });
  const sent = { method: "GET", target: "/a//%2e?b", lines: ["X_y: 1"] };
  return await exchange(new URL(`http://127.0.0.1:${server.port}`), sent).catch(
    (error: Error) => error.message,
  );
}

test.each([
  [
    "interim answers",
    "HTTP/1.1 103 Early Hints\r\nLocation: /x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    { status: 200, location: undefined },
  ],
  ["a header in any case", "HTTP/1.0 302 \r\nLOCATION:  /y \r\n\r\n", { status: 302, location: "/y" }],
  ["something else than HTTP", "220 mail.example.org ESMTP\r\n", "what answers does not speak HTTP/1.1"],
  ["nothing", "", "the connection was closed without an answer"],
  ["half a head", "HTTP/1.1 200 OK\r\n", "the connection was closed without an answer"],
  ["a head without end", `HTTP/1.1 200 OK\r\nX: ${"x".repeat(70_000)}`, "the answer has no end to its head"],
])("%s", async (_, bytes, expected) => {
  expect(await answeredBy(bytes)).toEqual(expected);
});

test("a request goes out as it was written", async () => {
  const { promise, resolve } = Promise.withResolvers<string>();
  using server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(socket, bytes) {
        resolve(bytes.toString("latin1"));
        socket.end("HTTP/1.1 204 No Content\r\n\r\n");
      },
    },
  });
  const sent = {
    method: "POST",
    target: "/a//%2e/../b?c",
    lines: ["X_y: 1", "X_y: 2"],
    body: "0\r\nT: 1\r\n\r\n",
  };
  await exchange(new URL(`http://127.0.0.1:${server.port}/ignored`), sent);
  expect(await promise).toBe(
    `POST /a//%2e/../b?c HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nX_y: 1\r\nX_y: 2\r\n\r\n0\r\nT: 1\r\n\r\n`,
  );
});
