import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type Pair, startPair, within } from "../proxy/support.ts";
import { dial, requestHead } from "../support/raw.ts";

setDefaultTimeout(30_000);

/** Using Runegate up: connections that never finish, bodies that never end, floods. */

let pair: Pair;

beforeAll(async () => {
  pair = await startPair({ idleSeconds: 4 });
});
afterAll(() => pair.stop());

describe("a request that does not finish is cut", () => {
  const SLOW: ReadonlyArray<readonly [name: string, start: string, drop: string]> = [
    ["a connection that says nothing", "", ""],
    ["a head that stops", "GET /_runegate/login HTTP/1.1\r\nHost: a", ""],
    ["a head that trickles", "GET /_runegate/login HTTP/1.1\r\nHost: a\r\n", "X-A: b\r\n"],
    ["a head for the application that trickles", "GET /app HTTP/1.1\r\nHost: a\r\n", "X-A: b\r\n"],
    [
      "a body of our own path that stops",
      "POST /_runegate/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
      "",
    ],
    [
      "a body of our own path that trickles",
      "POST /_runegate/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
      " ",
    ],
  ];

  test.concurrent.each([...SLOW])("%s", async (_, start, drop) => {
    const wire = await dial(pair.port);
    await wire.write(start);
    const trickle = setInterval(() => void wire.write(drop), 500);
    try {
      const answer = await within(20_000, wire.readToEnd());
      expect(answer.toString("latin1")).not.toMatch(/^HTTP\/1\.1 2/);
    } finally {
      clearInterval(trickle);
      wire.destroy();
    }
  });
});

// Beside those above, which wait for longer.
describe("a connection that has carried a request to the application", () => {
  const SHAPES: ReadonlyArray<readonly [name: string, fields: string, body: string]> = [
    ["a small answer", "Content-Length: 2", "ok"],
    ["a streamed answer", "Transfer-Encoding: chunked", "2\r\nok\r\n0\r\n\r\n"],
    ["an empty answer", "Content-Length: 0", ""],
  ];
  test.concurrent.each([...SHAPES])("still ends when idle, after %s", async (name, fields, body) => {
    const path = `/once/${name.replaceAll(" ", "-")}`;
    pair.upstream.on(path, ({ wire }) =>
      wire.write(`HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n${fields}\r\n\r\n${body}`),
    );
    const wire = await dial(pair.port);
    await wire.write(requestHead(`GET ${path}`, [pair.cookie]));
    await wire.readUntil("200 OK");
    await within(20_000, wire.readToEnd());
  });
});

describe("what is too much is refused before it is kept", () => {
  const own = (fields: readonly string[], body: string) =>
    pair.ask("POST /_runegate/login", ["Content-Type: application/json", ...fields], body);

  test("a body over 64 KiB, by its length", async () => {
    expect((await own(["Content-Length: 70000"], " ".repeat(70_000))).status).toBe(413);
  });

  test("a body over 64 KiB, in chunks", async () => {
    const chunk = `8000\r\n${" ".repeat(0x8000)}\r\n`;
    expect((await own(["Transfer-Encoding: chunked"], chunk.repeat(3))).status).toBe(413);
  });

  test("deeply nested JSON", async () => {
    const nested = `${'{"a":'.repeat(10_000)}1${"}".repeat(10_000)}`;
    const { status } = await own([`Content-Length: ${nested.length}`], nested);
    expect(status).toBe(400);
  });

  test("a head over 16 KiB", async () => {
    expect((await pair.ask("GET /app", [`X-Big: ${"a".repeat(20_000)}`])).status).toBe(431);
  });

  test("a thousand small header fields", async () => {
    const fields = Array.from({ length: 1_000 }, (_, index) => `X-${index}: a`);
    const { status } = await pair.ask("GET /app", fields);
    expect([200, 431]).toContain(status);
  });

  test("a cookie as large as fits", async () => {
    const { status } = await pair.ask("GET /app", [`Cookie: a=${"b".repeat(14_000)}`]);
    expect(status).toBe(200);
  });
});

describe("under a flood of login requests", () => {
  test("those who are signed in are answered, and memory stays bounded", async () => {
    const before = process.memoryUsage().rss;
    const ask = (index: number) =>
      fetch(`${pair.gateway.url}/_runegate/login`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ email: `flood${index}@example.org` }),
      }).then((response) => response.arrayBuffer());
    const ASKERS = 32;
    let flooding = true;
    let asked = 0;
    let answered = 0;
    const flood = Array.from({ length: ASKERS }, async () => {
      while (flooding && asked < 4_000) {
        await ask(asked++);
        answered++;
      }
    });
    let mostBefore = 0;
    for (let count = 0; count < 50; count++) {
      const before = answered;
      expect((await pair.ask("GET /app")).status).toBe(200);
      mostBefore = Math.max(mostBefore, answered - before);
    }
    flooding = false;
    await Promise.all(flood);
    expect(answered).toBeGreaterThan(50);
    // Whoever is signed in waits for what is there already, a few times over, and not for the flood to end.
    expect(mostBefore).toBeLessThan(10 * ASKERS);
    expect((process.memoryUsage().rss - before) / 2 ** 20).toBeLessThan(200);
  });
});
