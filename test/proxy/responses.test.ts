import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import { dial, requestHead } from "../support/raw.ts";
import { chunk, LAST_CHUNK, responseHead } from "../support/upstream.ts";
import { type Pair, startPair, within } from "./support.ts";

/** Responses arrive as the application sent them (CONTRACT section 7). */

let pair: Pair;

beforeAll(async () => {
  pair = await startPair();
});

afterAll(() => pair.stop());

/** Lets the application answer `path` with these bytes. */
function answers(path: string, ...bytes: readonly (string | Uint8Array)[]): void {
  pair.upstream.on(path, async ({ wire }) => {
    for (const piece of bytes) await wire.write(piece);
  });
}

const BIG = "0123456789abcdef".repeat(16 * 1024);

describe("status", () => {
  test.each([200, 201, 202, 203, 206, 207, 226, 400, 402, 404, 409, 410, 418, 422, 451, 500, 501, 503, 511])(
    "%d arrives with its body",
    async (status) => {
      answers("/status", responseHead(status, ["Content-Type: text/plain"], 4), "body");
      const response = await pair.ask("GET /status");
      expect(response).toMatchObject({ status, complete: true });
      expect(response.body.toString()).toBe("body");
    },
  );

  test("204 and 304 arrive without a body, and 304 with its headers", async () => {
    answers("/204", "HTTP/1.1 204 No Content\r\nX-Kept: yes\r\n\r\n");
    expect(await pair.ask("DELETE /204")).toMatchObject({ status: 204, framing: "none" });
    answers(
      "/304",
      'HTTP/1.1 304 Not Modified\r\nETag: "v1"\r\nContent-Length: 1234\r\nVary: Accept\r\n\r\n',
    );
    const unchanged = await pair.ask("GET /304", ['If-None-Match: "v1"']);
    expect(unchanged.status).toBe(304);
    expect(unchanged.one("etag")).toBe('"v1"');
    expect(unchanged.one("vary")).toBe("Accept");
    expect(pair.upstream.to("/304").at(-1)?.one("if-none-match")).toBe('"v1"');
  });

  test.each([
    ["a 204 with a length", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 204],
    ["a 304 with chunks", "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", 304],
    ["a 205 with a body", "HTTP/1.1 205 Reset Content\r\nContent-Length: 5\r\n\r\nhello", 205],
  ])("%s is passed on as that status, whatever it says", async (_, bytes, status) => {
    pair.upstream.on("/odd", async ({ wire }) => {
      await wire.write(bytes);
      wire.end();
    });
    for (const method of ["GET", "HEAD"]) expect((await pair.ask(`${method} /odd`)).status).toBe(status);
  });

  test.each([600, 999])("%d, which is no status of HTTP, is a 502", async (status) => {
    answers("/no-status", responseHead(status, ["Content-Type: text/plain"], 4), "body");
    const response = await pair.ask("GET /no-status");
    expect(response.status).toBe(502);
  });
});

describe("cookies of the application", () => {
  test("arrive each on its own line, in order, doubles included", async () => {
    const lines = [
      "a=1; Path=/",
      "b=2; Expires=Wed, 09 Jun 2027 10:18:14 GMT; HttpOnly",
      "a=1; Path=/",
      "c=",
      "d",
    ];
    answers(
      "/cookies",
      responseHead(
        200,
        lines.map((line) => `Set-Cookie: ${line}`),
        2,
      ),
      "ok",
    );
    expect((await pair.ask("GET /cookies")).all("set-cookie")).toEqual(lines);
  });

  test("cannot have one of Runegate's names, in any spelling a browser takes for it", async () => {
    const forged = [
      "runegate_id=forged; Path=/",
      "  runegate_id  =forged",
      "runegate_id=; Max-Age=0",
      "runegate_login=forged; Path=/",
      // A cookie without a name, which browsers send back as `runegate_id=forged`.
      "=runegate_id=forged",
    ];
    const lines = [
      "first=1",
      ...forged,
      "runegate_idea=kept",
      "xrunegate_id=kept",
      "RUNEGATE_ID=kept",
      "last=2",
    ];
    answers(
      "/forged",
      responseHead(
        200,
        lines.map((line) => `Set-Cookie: ${line}`),
        2,
      ),
      "ok",
    );
    expect((await pair.ask("GET /forged")).all("set-cookie")).toEqual(
      lines.filter((line) => !forged.includes(line)),
    );
  });
});

describe("redirects", () => {
  test.each([301, 302, 303, 307, 308])("a %d is passed on, not followed", async (status) => {
    const before = pair.upstream.requests.length;
    const location = "https://elsewhere.example/path?x=%2F#part";
    answers("/redirect", responseHead(status, [`Location: ${location}`], 0));
    const response = await pair.ask("GET /redirect");
    expect(response.status).toBe(status);
    expect(response.one("location")).toBe(location);
    expect(pair.upstream.requests.length).toBe(before + 1);
  });

  test.each(["/next", "next", "../up", "//host/x", "?q", "#f", "http://127.0.0.1:7860/inside", ""])(
    "Location %p is left alone",
    async (location) => {
      answers("/location", responseHead(302, [`Location: ${location}`], 0));
      expect((await pair.ask("GET /location")).one("location")).toBe(location);
    },
  );
});

describe("ranges", () => {
  test("a part of a body arrives as 206 with its Content-Range", async () => {
    answers(
      "/range",
      `${responseHead(206, ["Content-Type: text/plain", "Content-Range: bytes 2-5/10"], 4)}2345`,
    );
    const response = await pair.ask("GET /range", ["Range: bytes=2-5", 'If-Range: "v1"']);
    expect(response).toMatchObject({ status: 206, complete: true });
    expect(response.one("content-range")).toBe("bytes 2-5/10");
    expect(response.one("content-length")).toBe("4");
    expect(response.body.toString()).toBe("2345");
    const received = pair.upstream.to("/range").at(-1);
    expect(received?.one("range")).toBe("bytes=2-5");
    expect(received?.one("if-range")).toBe('"v1"');
  });

  test("a range that cannot be had arrives as 416", async () => {
    answers("/no-range", responseHead(416, ["Content-Range: bytes */10"], 0));
    const response = await pair.ask("GET /no-range", ["Range: bytes=50-"]);
    expect(response.status).toBe(416);
    expect(response.one("content-range")).toBe("bytes */10");
  });
});

describe("HEAD", () => {
  test.each([0, 5, 200_000, 5_000_000_000])(
    "keeps a Content-Length of %d, without a body",
    async (length) => {
      answers("/head", responseHead(200, ["Content-Type: video/mp4", 'ETag: "v1"'], length));
      const response = await pair.ask("HEAD /head");
      expect(response.status).toBe(200);
      expect(response.one("content-length")).toBe(String(length));
      expect(response.one("content-type")).toBe("video/mp4");
      expect(response.one("etag")).toBe('"v1"');
      expect(pair.upstream.to("/head").at(-1)?.method).toBe("HEAD");
    },
  );

  test.each([
    ["nothing about its length", []],
    ["chunks", ["Transfer-Encoding: chunked"]],
  ])("of a resource that says %s gets no made-up Content-Length", async (_, fields) => {
    answers("/head-open", responseHead(200, ["Content-Type: text/html", ...fields]));
    const response = await pair.ask("HEAD /head-open");
    expect(response.status).toBe(200);
    expect(response.one("content-length")).toBeUndefined();
  });
});

describe("Content-Type", () => {
  const bodies: ReadonlyArray<readonly [string, readonly (string | Uint8Array)[]]> = [
    ["an empty body", [responseHead(200, [], 0)]],
    ["a small body", [responseHead(200, [], 5), "hello"]],
    ["a large body", [responseHead(200, [], BIG.length), BIG]],
    ["a chunked body", [responseHead(200, ["Transfer-Encoding: chunked"]), chunk("hello"), LAST_CHUNK]],
    [
      "a large chunked body",
      [responseHead(200, ["Transfer-Encoding: chunked"]), chunk(BIG), chunk(BIG), LAST_CHUNK],
    ],
  ];
  test.each(bodies)("none is added to %s that was sent without", async (_, bytes) => {
    answers("/untyped", ...bytes);
    const response = await pair.ask("GET /untyped");
    expect(response).toMatchObject({ status: 200, complete: true });
    expect(response.one("content-type")).toBeUndefined();
  });

  test.each(["", "text/html", "TEXT/HTML; Charset=x", "nonsense"])("%p arrives as sent", async (type) => {
    answers("/typed", responseHead(200, [`Content-Type: ${type}`], 5), "hello");
    expect((await pair.ask("GET /typed")).one("content-type")).toBe(type);
  });
});

describe("encodings", () => {
  const packed = gzipSync(BIG);
  const cases: ReadonlyArray<readonly [string, Uint8Array]> = [
    ["gzip", packed],
    ["br", Buffer.from("\x00not really brotli\xff", "latin1")],
    ["zstd", Buffer.from("\x00not really zstd\xff", "latin1")],
    ["deflate", Buffer.from("\x00not really deflate\xff", "latin1")],
    ["gzip, x-made-up", Buffer.from([0, 1, 2, 255])],
  ];
  test.each(cases)("a body in %s arrives byte for byte", async (encoding, body) => {
    const fields = [`Content-Encoding: ${encoding}`, "Content-Type: text/plain", "Vary: Accept-Encoding"];
    answers("/packed", responseHead(200, fields, body.byteLength), body);
    const whole = await pair.ask("GET /packed", ["Accept-Encoding: gzip, br;q=0.5"]);
    expect(whole.one("content-encoding")).toBe(encoding);
    expect(whole.body).toEqual(Buffer.from(body));
    expect(pair.upstream.to("/packed").at(-1)?.one("accept-encoding")).toBe("gzip, br;q=0.5");
    answers("/packed", responseHead(200, [...fields, "Transfer-Encoding: chunked"]), chunk(body), LAST_CHUNK);
    expect((await pair.ask("GET /packed")).body).toEqual(Buffer.from(body));
  });
});

describe("framing", () => {
  test("a body of a known length that comes with its head keeps its Content-Length", async () => {
    answers("/length", `${responseHead(200, ["Content-Type: text/plain"], 5)}hello`);
    expect(await pair.ask("GET /length")).toMatchObject({ framing: "length", complete: true });
  });

  test("a body that ends with its connection arrives whole, in chunks", async () => {
    pair.upstream.on("/until-close", async ({ wire }) => {
      await wire.write(`${responseHead(200, ["Content-Type: text/plain"])}${BIG}`);
      wire.end();
    });
    const response = await pair.ask("GET /until-close");
    expect(response).toMatchObject({ status: 200, framing: "chunked", complete: true });
    expect(response.body.toString()).toBe(BIG);
  });

  test("an answer of an HTTP/1.0 server arrives whole", async () => {
    pair.upstream.on("/1.0", async ({ wire }) => {
      await wire.write("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nold but good");
      wire.end();
    });
    const response = await pair.ask("GET /1.0");
    expect(response).toMatchObject({ status: 200, complete: true });
    expect(response.body.toString()).toBe("old but good");
  });

  test("trailers and chunk extensions stop here, the body does not", async () => {
    answers(
      "/trailers",
      responseHead(200, ["Trailer: X-Sum", "Transfer-Encoding: chunked"]),
      "5;name=value\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
    );
    const response = await pair.ask("GET /trailers");
    expect(response).toMatchObject({ status: 200, complete: true });
    expect(response.one("trailer")).toBeUndefined();
    expect(response.body.toString()).toBe("hello");
  });

  test("interim responses are not taken for the answer", async () => {
    answers(
      "/interim",
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n",
      responseHead(200, ["Content-Type: text/plain"], 5),
      "hello",
    );
    const response = await pair.ask("GET /interim");
    expect(response).toMatchObject({ status: 200, complete: true });
    expect(response.body.toString()).toBe("hello");
  });
});

describe("a small body that comes slowly", () => {
  test("is passed on as it comes, and has no time limit", async () => {
    const pair = await startPair({ env: { RUNEGATE_RESPONSE_TIMEOUT: "1s" } });
    const rest = Promise.withResolvers<void>();
    pair.upstream.on("/slowly", async ({ wire }) => {
      await wire.write("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhe");
      await rest.promise;
      await wire.write("llo");
    });
    pair.upstream.on("/never", async ({ wire }) => void (await wire.ended));
    const wire = await dial(pair.port);
    await wire.write(requestHead("GET /slowly", [pair.cookie]));
    await within(2_000, wire.readUntil("he\r\n"));
    // Asked later, so when its time is over, the other's would be too.
    expect((await pair.ask("GET /never")).status).toBe(504);
    rest.resolve();
    await within(2_000, wire.readUntil("llo\r\n0\r\n\r\n"));
    await pair.stop();
  });
});
