import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Pair, startPair, until, within } from "../proxy/support.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { dial } from "../support/raw.ts";

/**
 * Request smuggling: whatever the bytes, Runegate and the application agree on where a request ends (RFC 9112 §11.2). The
 * application here is lax: it writes down every request line that reaches it.
 */

let pair: Pair;
/** The same visitor in front of an application that parses strictly, which `Bun.serve` does. */
let strict: {
  readonly gateway: TestGateway;
  readonly server: Bun.Server<undefined>;
  readonly cookie: string;
};
/** What the strict application took for requests: path and user. */
const taken: string[] = [];

beforeAll(async () => {
  pair = await startPair();
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      taken.push(`${new URL(request.url).pathname} ${request.headers.get("x-forwarded-user")}`);
      await request.arrayBuffer().catch(() => {});
      return new Response("ok");
    },
  });
  const gateway = await startGateway({ target: `http://127.0.0.1:${server.port}` });
  strict = { gateway, server, cookie: `Cookie: ${await gateway.signIn("ada@example.org")}` };
});
afterAll(async () => {
  await pair.stop();
  await strict.gateway.stop();
  await strict.server.stop(true);
});

/** Sends the bytes and gives the statuses that come back until the gateway closes, as all these requests ask it to. */
async function send(bytes: string, port = pair.port): Promise<number[]> {
  const wire = await dial(port);
  let answer = "";
  try {
    await wire.write(bytes);
    answer = (await within(5_000, wire.readToEnd())).toString("latin1");
  } finally {
    wire.destroy();
  }
  return [...answer.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
}

const SMUGGLED = "/smuggled";

let people = 0;
/** Of each row somebody else: what an earlier one sent may arrive late. */
async function somebody(gateway: TestGateway): Promise<{ readonly email: string; readonly cookie: string }> {
  const email = `row${++people}@example.org`;
  return { email, cookie: `Cookie: ${await gateway.signIn(email)}` };
}

/** `line` and the fields of a signed-in visitor, then more fields, then a body as it is. */
function request(line: string, fields: readonly string[], body = ""): string {
  return `${[`${line} HTTP/1.1`, "Host: app.example.org", pair.cookie, ...withClose(fields)].join("\r\n")}\r\n\r\n${body}`;
}
/** `Connection: close`, unless the row has something to say about that field itself. */
function withClose(fields: readonly string[]): readonly string[] {
  return fields.some((field) => field.startsWith("Connection:")) ? fields : [...fields, "Connection: close"];
}
const second = () => request(`GET ${SMUGGLED}`, []);

/** Framing nobody may guess about: refused before anything reaches the application. */
const REFUSED: ReadonlyArray<readonly [name: string, bytes: () => string]> = [
  [
    "CL.TE: a length and chunks",
    () => request("POST /a", ["Content-Length: 4", "Transfer-Encoding: chunked"], `0\r\n\r\n${second()}`),
  ],
  [
    "TE.CL: chunks and a length",
    () => request("POST /a", ["Transfer-Encoding: chunked", "Content-Length: 9"], `0\r\n\r\n${second()}`),
  ],
  [
    "two lengths that differ",
    () => request("POST /a", ["Content-Length: 2", "Content-Length: 3"], `hi${second()}`),
  ],
  ["a list of lengths", () => request("POST /a", ["Content-Length: 2, 2"], `hi${second()}`)],
  ["a length with a sign", () => request("POST /a", ["Content-Length: +2"], `hi${second()}`)],
  ["a negative length", () => request("POST /a", ["Content-Length: -1"], second())],
  ["a hexadecimal length", () => request("POST /a", ["Content-Length: 0x2"], `hi${second()}`)],
  ["a length that overflows", () => request("POST /a", [`Content-Length: ${"9".repeat(30)}`], second())],
  [
    "an unknown coding that ends in chunked",
    () => request("POST /a", ["Transfer-Encoding: xchunked"], `0\r\n\r\n${second()}`),
  ],
  [
    "chunked that is not last",
    () => request("POST /a", ["Transfer-Encoding: chunked, identity"], `0\r\n\r\n${second()}`),
  ],
  [
    "chunked behind another coding",
    () => request("POST /a", ["Transfer-Encoding: gzip, chunked"], `0\r\n\r\n${second()}`),
  ],
  ["identity as a transfer coding", () => request("POST /a", ["Transfer-Encoding: identity"], second())],
  [
    "chunked and identity in two fields",
    () => request("POST /a", ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"], "0\r\n\r\n"),
  ],
  [
    "a blank before the colon",
    () => request("POST /a", ["Transfer-Encoding : chunked"], `0\r\n\r\n${second()}`),
  ],
  [
    "a vertical tab before the coding",
    () => request("POST /a", ["Transfer-Encoding: \x0bchunked"], `0\r\n\r\n${second()}`),
  ],
  ["a folded field (obs-fold)", () => request("GET /a", ["X-A: 1\r\n Transfer-Encoding: chunked"])],
  ["a folded first field", () => `GET /a HTTP/1.1\r\n X-A: 1\r\nHost: app.example.org\r\n\r\n`],
  ["a bare LF inside a field", () => request("GET /a", ["X-A: 1\nX-Forwarded-User: eve@example.org"])],
  ["a bare CR inside a field", () => request("GET /a", ["X-A: 1\rX-Forwarded-User: eve@example.org"])],
  ["a NUL inside a field", () => request("GET /a", ["X-A: 1\0 2"])],
  ["lines that end in LF alone", () => `GET /a HTTP/1.1\nHost: app.example.org\n${pair.cookie}\n\n`],
  [
    "a chunk size that is no number",
    () => request("POST /a", ["Transfer-Encoding: chunked"], `zz\r\nhi\r\n0\r\n\r\n${second()}`),
  ],
  [
    "a chunk size with 0x",
    () => request("POST /a", ["Transfer-Encoding: chunked"], `0x2\r\nhi\r\n0\r\n\r\n${second()}`),
  ],
  [
    "a negative chunk size",
    () => request("POST /a", ["Transfer-Encoding: chunked"], `-2\r\nhi\r\n0\r\n\r\n${second()}`),
  ],
  [
    "a chunk size that overflows",
    () =>
      request("POST /a", ["Transfer-Encoding: chunked"], `${"f".repeat(17)}2\r\nhi\r\n0\r\n\r\n${second()}`),
  ],
  [
    "a chunk size line that ends in LF",
    () => request("POST /a", ["Transfer-Encoding: chunked"], `2\nhi\r\n0\r\n\r\n${second()}`),
  ],
  [
    "a chunk extension with a bare LF",
    () => request("POST /a", ["Transfer-Encoding: chunked"], `2;\nxx\r\nhi\r\n0\r\n\r\n${second()}`),
  ],
  [
    "a chunk longer than it says",
    () => request("POST /a", ["Transfer-Encoding: chunked"], `2\r\nhiXX0\r\n\r\n${second()}`),
  ],
  [
    "A22: identity smuggled in a trailer",
    () =>
      request(
        "POST /a",
        ["Transfer-Encoding: chunked"],
        `2\r\nhi\r\n0\r\nRemote-User: eve@example.org\r\nX-Forwarded-User: eve@example.org\r\n\r\n`,
      ),
  ],
  ["HTTP/0.9", () => "GET /a\r\n\r\n"],
  ["HTTP/2 without its preface", () => `GET /a HTTP/2.0\r\nHost: app.example.org\r\n${pair.cookie}\r\n\r\n`],
  ["HTTP/1.0 with chunks", () => request("POST /a", ["Transfer-Encoding: chunked"]).replace("1.1", "1.0")],
];

describe("ambiguous framing is refused, and nothing of it is believed", () => {
  test.each([...REFUSED])("%s", async (_, bytes) => {
    const { email, cookie } = await somebody(pair.gateway);
    const statuses = await send(bytes().replaceAll(pair.cookie, cookie));
    expect(statuses.length).toBeGreaterThan(0);
    expect(statuses.every((status) => status >= 400)).toBe(true);
    expect(pair.upstream.to(SMUGGLED)).toHaveLength(0);
    const says = (name: string) =>
      pair.upstream.requests.filter(({ fields }) => fields.some(([, value]) => value.includes(name)));
    // A request whose head was good may have been passed on before its body went wrong; never more than that one.
    expect(says(email).length).toBeLessThanOrEqual(1);
    expect(says("eve@example.org")).toEqual([]);
  });
});

describe("a strict application never sees more than was asked either", () => {
  test.each([...REFUSED])("%s", async (_, bytes) => {
    const { email, cookie } = await somebody(strict.gateway);
    const statuses = await send(bytes().replaceAll(pair.cookie, cookie), strict.gateway.port);
    expect(statuses.every((status) => status >= 400)).toBe(true);
    expect(taken.filter((line) => line.includes(email)).length).toBeLessThanOrEqual(1);
    expect(taken.some((line) => line.includes(SMUGGLED) || line.includes("eve@example.org"))).toBe(false);
  });
});

describe("unusual framing that is clear is passed on in plain form", () => {
  test("two lengths that agree are refused or become one", async () => {
    const before = pair.upstream.requests.length;
    const statuses = await send(request("POST /twice", ["Content-Length: 2", "Content-Length: 2"], "hi"));
    const seen = pair.upstream.requests.slice(before);
    for (const { fields } of seen) {
      expect(fields.filter(([name, value]) => /^content-length$/i.test(name) && value !== "2")).toEqual([]);
    }
    expect(statuses).toEqual(seen.length === 0 ? [400] : [200]);
  });

  test("chunk extensions end here", async () => {
    const statuses = await send(
      request("POST /extension", ["Transfer-Encoding: chunked"], "2;name=value\r\nhi\r\n0\r\n\r\n"),
    );
    expect(statuses).toEqual([200]);
    const [seen] = pair.upstream.to("/extension");
    expect(seen?.text).not.toContain("name=value");
  });

  test("a body on a GET is not read as the next request", async () => {
    const before = pair.upstream.requests.length;
    const statuses = await send(request("GET /with-body", [`Content-Length: ${second().length}`], second()));
    expect(statuses).toEqual([400]);
    expect(pair.upstream.requests).toHaveLength(before);
  });

  test("an upgrade that is no WebSocket's is an ordinary request", async () => {
    const statuses = await send(
      request("GET /h2c", [
        "Connection: close, Upgrade, HTTP2-Settings",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAAQAAP__",
      ]),
    );
    expect(statuses).toEqual([200]);
    const [seen] = pair.upstream.to("/h2c");
    expect(seen?.all("upgrade")).toEqual([]);
    expect(seen?.all("http2-settings")).toEqual([]);
  });

  test("what follows a refused WebSocket handshake is not tunneled", async () => {
    pair.upstream.on("/no-socket", async ({ reply }) => reply(403, [], "no"));
    const wire = await dial(pair.port);
    await wire.write(
      request("GET /no-socket", [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 777",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      ]),
    );
    await wire.readUntil(" 403 ");
    await wire.write(second());
    await until(() => pair.upstream.to(SMUGGLED).length > 0);
    // It reaches the application as a request of its own, with everything a request goes through.
    const [seen] = pair.upstream.to(SMUGGLED);
    expect(seen?.one("x-forwarded-user")).toBe("ada@example.org");
    expect(seen?.one("cookie")).toBeUndefined();
    wire.destroy();
  });
});
