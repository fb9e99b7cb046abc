import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { dial, readResponse, requestHead } from "../support/raw.ts";
import { chunk, type Echo, LAST_CHUNK } from "../support/upstream.ts";
import { type Pair, startPair, within } from "./support.ts";

/** Requests of every method and size reach the application whole (CONTRACT section 7). */

let pair: Pair;

beforeAll(async () => {
  pair = await startPair();
});

afterAll(() => pair.stop());

async function echoOf(line: string, fields: readonly string[], body = ""): Promise<Echo> {
  const response = await pair.ask(line, fields, body);
  expect(response.status).toBe(200);
  return JSON.parse(response.body.toString("latin1")) as Echo;
}

describe("methods", () => {
  const bodies = [
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "PROPFIND",
    "REPORT",
    "MKCOL",
    "LOCK",
    "QUERY",
  ];
  test.each(bodies)("%s arrives with its body", async (method) => {
    const echo = await echoOf(`${method} /echo?q`, ["Content-Length: 5", "Content-Type: a/b"], "he\xffo\x00");
    expect(echo).toEqual({ method, target: "/echo?q", body: "he\xffo\x00" });
    expect(pair.upstream.to("/echo").at(-1)?.one("content-type")).toBe("a/b");
  });

  test.each(["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])(
    "%s arrives without a body, and none is made up",
    async (method) => {
      expect(await echoOf(`${method} /echo`, [])).toEqual({ method, target: "/echo", body: "" });
      const received = pair.upstream.to("/echo").at(-1);
      expect(received?.one("content-length") ?? "0").toBe("0");
      expect(received?.one("transfer-encoding")).toBeUndefined();
      expect(received?.one("content-type")).toBeUndefined();
    },
  );

  test.each(["TRACE"])("%s is not passed on", async (method) => {
    const before = pair.upstream.requests.length;
    const response = await pair.ask(`${method} /echo`);
    expect(response.status).toBe(405);
    expect(response.one("allow")).toContain("GET");
    expect(pair.upstream.requests.length).toBe(before);
  });
});

describe("bodies", () => {
  test("one of a known length keeps its Content-Length", async () => {
    await echoOf("POST /sized", ["Content-Length: 5"], "hello");
    const received = pair.upstream.to("/sized").at(-1);
    expect(received?.one("content-length")).toBe("5");
    expect(received?.one("transfer-encoding")).toBeUndefined();
  });

  test("one in chunks arrives in chunks, whole", async () => {
    const sent = `${chunk("hello ").toString("latin1")}${chunk("\xff".repeat(70_000)).toString("latin1")}${LAST_CHUNK}`;
    const echo = await echoOf("POST /chunks", ["Transfer-Encoding: chunked"], sent);
    expect(echo.body).toBe(`hello ${"\xff".repeat(70_000)}`);
    const received = pair.upstream.to("/chunks").at(-1);
    expect(received?.one("transfer-encoding")).toBe("chunked");
    expect(received?.one("content-length")).toBeUndefined();
  });

  test("each piece is at the application before the next is written", async () => {
    const pieces: string[] = [];
    let arrived = Promise.withResolvers<void>();
    pair.upstream.on("/pieces", async ({ wire, reply }) => {
      for (let count = 0; count < 5; count++) {
        const size = Number.parseInt((await wire.readUntil("\r\n")).toString("latin1"), 16);
        pieces.push((await wire.read(size + 2)).toString("latin1").trimEnd());
        arrived.resolve();
      }
      await wire.readUntil(LAST_CHUNK);
      await reply(200, ["Connection: close"], "all");
      wire.end();
    });
    const wire = await dial(pair.port);
    await wire.write(requestHead("POST /pieces", [pair.cookie, "Transfer-Encoding: chunked"]));
    for (let count = 1; count <= 5; count++) {
      arrived = Promise.withResolvers<void>();
      await wire.write(chunk(`piece ${count}`));
      await within(1_000, arrived.promise);
      expect(pieces.at(-1)).toBe(`piece ${count}`);
    }
    await wire.write(LAST_CHUNK);
    expect((await readResponse(wire)).body.toString()).toBe("all");
    wire.destroy();
  });

  test("compressed ones are not touched", async () => {
    const echo = await echoOf(
      "POST /packed",
      ["Content-Encoding: gzip", "Content-Length: 4"],
      "\x1f\x8b\x00\xff",
    );
    expect(echo.body).toBe("\x1f\x8b\x00\xff");
    expect(pair.upstream.to("/packed").at(-1)?.one("content-encoding")).toBe("gzip");
  });

  test("Expect: 100-continue is answered here and goes no further", async () => {
    const wire = await dial(pair.port);
    await wire.write(requestHead("POST /expect", [pair.cookie, "Expect: 100-continue", "Content-Length: 5"]));
    expect((await within(1_000, wire.readUntil("\r\n\r\n"))).toString()).toStartWith("HTTP/1.1 100");
    await wire.write("hello");
    const response = await readResponse(wire);
    expect(JSON.parse(response.body.toString())).toMatchObject({ body: "hello" });
    expect(pair.upstream.to("/expect").at(-1)?.one("expect")).toBeUndefined();
    wire.destroy();
  });

  test.each(["GET", "HEAD"])(
    "%s with one is refused, for want of a client that could send it",
    async (method) => {
      const before = pair.upstream.requests.length;
      const response = await pair.ask(`${method} /echo`, ["Content-Length: 5"], "hello");
      expect(response.status).toBe(400);
      const inChunks = await pair.ask(
        `${method} /echo`,
        ["Transfer-Encoding: chunked"],
        "5\r\nhello\r\n0\r\n\r\n",
      );
      expect(inChunks.status).toBe(400);
      expect(pair.upstream.requests.length).toBe(before);
    },
  );

  test("a response can come before the body was sent", async () => {
    pair.upstream.on("/early", async ({ wire, reply }) => {
      await reply(413, ["Content-Type: text/plain", "Connection: close"], "too much");
      wire.end();
    });
    const wire = await dial(pair.port);
    await wire.write(requestHead("POST /early", [pair.cookie, "Content-Length: 50000000"]));
    void wire.write(Buffer.alloc(1_000_000));
    const response = await within(2_000, readResponse(wire));
    expect(response.status).toBe(413);
    expect(response.body.toString()).toBe("too much");
    wire.destroy();
  });
});

describe("messages that could be read in two ways are refused", () => {
  const smuggled = "GET /_runegate/smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
  const cases: ReadonlyArray<readonly [string, readonly string[], string]> = [
    ["two lengths", ["Content-Length: 5", "Content-Length: 6"], "hello!"],
    ["a length and chunks", ["Content-Length: 5", "Transfer-Encoding: chunked"], "0\r\n\r\n"],
    ["chunks that are not last", ["Transfer-Encoding: chunked, gzip"], "0\r\n\r\n"],
    ["an unknown transfer coding", ["Transfer-Encoding: xchunked"], "0\r\n\r\n"],
    ["a length that is no number", ["Content-Length: +5"], "hello"],
    ["a negative length", ["Content-Length: -1"], ""],
    ["a length with a blank in it", ["Content-Length: 1 0"], "hello"],
    ["a blank before the colon", ["Transfer-Encoding : chunked"], "0\r\n\r\n"],
    ["a folded line", ["X-A: one\r\n two"], ""],
    ["a bare LF", ["X-A: one\nTransfer-Encoding: chunked"], "0\r\n\r\n"],
    ["a NUL in a value", ["X-A: o\x00e"], ""],
  ];
  test.each(cases)("%s", async (_, fields, body) => {
    const before = pair.upstream.to("/smuggle").length;
    const wire = await dial(pair.port);
    await wire.write(requestHead("POST /smuggle", [pair.cookie, ...fields]) + body + smuggled);
    const answered = await within(2_000, Promise.race([readResponse(wire), wire.ended]));
    if (typeof answered === "object") expect(answered.status).toBeWithin(400, 500);
    expect(pair.upstream.to("/smuggle").length).toBe(before);
    expect(pair.upstream.requests.some(({ target }) => target.includes("smuggled"))).toBe(false);
    wire.destroy();
  });
});
