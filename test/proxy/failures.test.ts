import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { deafListener } from "../support/deaf-listener.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { dial, exchange, readResponse, requestHead } from "../support/raw.ts";
import { chunk, deadPort, responseHead, type Script } from "../support/upstream.ts";
import { type Pair, startPair, until, within } from "./support.ts";

setDefaultTimeout(30_000);

/** An application that answers wrongly, partly, or not at all (CONTRACT section 7, "Errors" and "Time"). */

let pair: Pair;

beforeAll(async () => {
  pair = await startPair({ env: { RUNEGATE_RESPONSE_TIMEOUT: "400ms", RUNEGATE_CONNECT_TIMEOUT: "200ms" } });
});

afterAll(() => pair.stop());

const NAVIGATION = ["Sec-Fetch-Mode: navigate", "Accept: text/html"];

/** Whatever the gateway says of itself must say nothing about what is behind it. */
function expectNoInternals(text: string, port: number): void {
  for (const inside of [String(port), "127.0.0.1", "ECONN", "fetch", "Bun", "upstream.ts", "at ", "errno"]) {
    expect(text.replace(/"error":"upstream_\w+"/, "")).not.toContain(inside);
  }
}

async function expectFailure(path: string, status: 502 | 504): Promise<void> {
  const program = await within(3_000, pair.ask(`GET ${path}`));
  expect(program).toMatchObject({ status, complete: true });
  expect(program.one("content-type")).toStartWith("application/json");
  const { error, message, request_id: id } = JSON.parse(program.body.toString()) as Record<string, string>;
  expect(error).toBe(status === 504 ? "upstream_timeout" : "upstream_unreachable");
  expect(message).not.toBe("");
  expectNoInternals(
    `${program.text.replace(/^Date.*$/m, "")}${program.body}`.replace(id ?? "", ""),
    pair.upstream.port,
  );
  expect(pair.gateway.lines.some((line) => line.includes("WARN") && line.includes(`id=${id}`))).toBe(true);
  const person = await within(3_000, pair.ask(`GET ${path}`, NAVIGATION));
  expect(person.status).toBe(status);
  expect(person.one("content-type")).toStartWith("text/html");
  const shown =
    /[a-z0-9]{1,4}-[a-z0-9]+/.exec(person.body.toString().replace(/<[^>]*>/g, " "))?.[0] ?? "none";
  expect(pair.gateway.lines.some((line) => line.includes(`id=${shown}`))).toBe(true);
  // Whoever looks at a page may wait for the application; a program decides for itself.
  expect([program.one("refresh"), person.one("refresh")]).toEqual([undefined, "10"]);
  expect(person.body.toString()).toContain('<a class="button" href="">Try again</a>');
}

describe("an application that does not answer as HTTP demands is a 502", () => {
  const writes =
    (bytes: string, then: "end" | "reset" | "stay" = "end"): Script =>
    async ({ wire }) => {
      await wire.write(bytes);
      if (then === "end") wire.end();
      if (then === "reset") wire.reset();
    };
  const cases: ReadonlyArray<readonly [string, Script]> = [
    ["closes without a word", writes("")],
    ["resets the connection without a word", writes("", "reset")],
    ["closes in the status line", writes("HTTP/1.1 20")],
    ["closes in the head", writes("HTTP/1.1 200 OK\r\nContent-Ty")],
    ["resets in the head", writes("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n", "reset")],
    ["speaks another protocol", writes("220 mail.example.org ESMTP\r\n\r\n", "stay")],
    ["has a status line without a status", writes("HTTP/1.1 OK\r\n\r\n")],
    ["has a status that is no number", writes("HTTP/1.1 abc OK\r\n\r\n", "stay")],
    ["has a header without a colon", writes("HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", "stay")],
    ["has a header with a blank name", writes("HTTP/1.1 200 OK\r\n : x\r\n\r\n", "stay")],
    ["has a NUL in a header", writes("HTTP/1.1 200 OK\r\nX-A: o\x00e\r\nContent-Length: 0\r\n\r\n", "stay")],
    [
      "has two lengths",
      writes("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "stay"),
    ],
    ["has a length that is no number", writes("HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", "stay")],
    ["has a head without an end", writes(`HTTP/1.1 200 OK\r\nX-A: ${"x".repeat(1_500_000)}`, "stay")],
    [
      "switches protocols unasked",
      writes("HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "stay"),
    ],
  ];
  test.each(cases)("%s", async (_, script) => {
    pair.upstream.on("/wrong", script);
    await expectFailure("/wrong", 502);
  });

  test("nobody listens", async () => {
    const port = await deadPort();
    const gateway = await startGateway({ target: `http://127.0.0.1:${port}` });
    const cookie = `Cookie: ${await gateway.signIn()}`;
    const response = await exchange(gateway.port, "GET /", [cookie]);
    expect(response.status).toBe(502);
    expectNoInternals(response.body.toString(), port);
    // A form is not sent again by itself.
    const form = await exchange(gateway.port, "POST /", [cookie, ...NAVIGATION, "Content-Length: 0"]);
    expect([form.status, form.one("refresh")]).toEqual([502, undefined]);
    expect(form.body.toString()).toContain("<h1>The application is not answering</h1>");
    expect(form.body.toString()).not.toContain('href=""');
    expect((await exchange(gateway.port, "POST /", [cookie, "Content-Length: 5"], "hello")).status).toBe(502);
    await gateway.stop();
  });
});

describe("an application that does not answer in time is a 504", () => {
  test("says nothing at all", async () => {
    pair.upstream.on("/silent", async ({ wire }) => void (await wire.ended));
    await expectFailure("/silent", 504);
  });

  test("starts a head and does not end it", async () => {
    pair.upstream.on("/half", async ({ wire }) => {
      await wire.write("HTTP/1.1 200 OK\r\nX-A: 1\r\n");
      await wire.ended;
    });
    await expectFailure("/half", 504);
  });

  test("and its connection is given up", async () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    pair.upstream.on("/given-up", async ({ wire }) => resolve(await wire.ended));
    expect((await pair.ask("GET /given-up")).status).toBe(504);
    expect(await within(1_000, promise)).toBeString();
  });

  test("but a request body that moves is waited for, however long it takes", async () => {
    const wire = await dial(pair.port);
    await wire.write(requestHead("POST /slow-upload", [pair.cookie, "Transfer-Encoding: chunked"]));
    // Four pieces, each well within the limit, all together beyond it.
    for (let piece = 0; piece < 4; piece++) {
      await Bun.sleep(170);
      await wire.write(chunk("piece"));
    }
    await wire.write("0\r\n\r\n");
    expect((await within(2_000, readResponse(wire))).status).toBe(200);
    wire.destroy();
  });

  test("and so is a response body that has begun", async () => {
    pair.upstream.on("/slow-body", async ({ wire }) => {
      await wire.write(responseHead(200, ["Transfer-Encoding: chunked"]) + chunk("a"));
      await Bun.sleep(600);
      await wire.write(`${chunk("b")}0\r\n\r\n`);
    });
    const response = await within(3_000, pair.ask("GET /slow-body"));
    expect(response).toMatchObject({ status: 200, complete: true });
    expect(response.body.toString()).toBe("ab");
  });
});

describe("an application that takes no connection", () => {
  let deaf: Awaited<ReturnType<typeof deafListener>> | undefined;
  let gateway: TestGateway | undefined;

  afterEach(async () => {
    await gateway?.stop();
    deaf?.stop();
  });

  test("is a 502 when the connect timeout is over", async () => {
    deaf = await deafListener();
    gateway = await startGateway({
      target: `http://127.0.0.1:${deaf.port}`,
      env: { RUNEGATE_CONNECT_TIMEOUT: "200ms", RUNEGATE_RESPONSE_TIMEOUT: "60s" },
    });
    const cookie = `Cookie: ${await gateway.signIn()}`;
    const [http, webSocket] = await within(
      3_000,
      Promise.all([
        exchange(gateway.port, "GET /", [cookie]),
        exchange(gateway.port, "GET /", [
          cookie,
          "Connection: Upgrade",
          "Upgrade: websocket",
          "Sec-WebSocket-Version: 13",
          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ]),
      ]),
    );
    expect(http.status).toBe(502);
    expect(webSocket.status).toBe(502);
    expect(gateway.lines.filter((line) => line.includes("connect timeout"))).toHaveLength(2);
  });
});

describe("a body that breaks off never looks whole", () => {
  const plain = ["Content-Type: text/plain"];
  const untyped: string[] = [];
  const piece = "x".repeat(1000);
  const chunked = (fields: readonly string[]) => responseHead(200, [...fields, "Transfer-Encoding: chunked"]);
  const cases: ReadonlyArray<readonly [string, string]> = [
    ["a short one of a known length", responseHead(200, plain, 2000) + piece],
    ["a short one without a type", responseHead(200, untyped, 2000) + piece],
    ["a long one of a known length", responseHead(200, plain, 2_000_000) + piece.repeat(500)],
    ["one in chunks", chunked(plain) + chunk(piece)],
    ["one in the middle of a chunk", `${chunked(plain)}${chunk(piece)}1000\r\nxxx`],
    ["one with garbage for a chunk size", `${chunked(plain)}${chunk(piece)}zz\r\nxxx\r\n`],
    ["one with an oversized chunk size", `${chunked(plain)}${chunk(piece)}ffffffffffffffffff\r\nxxx\r\n`],
    ["an event stream", `${chunked(["Content-Type: text/event-stream"])}${chunk("data: 1\n\n")}`],
  ];
  for (const how of ["end", "reset"] as const) {
    test.each(cases)(`%s (by ${how})`, async (_, bytes) => {
      const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
      pair.upstream.on("/broken", async ({ wire }) => {
        await wire.write(bytes);
        await begun;
        if (how === "end") wire.end();
        else wire.reset();
      });
      const wire = await dial(pair.port);
      await wire.write(requestHead("GET /broken", [pair.cookie]));
      const first = await within(2_000, wire.readSome());
      begin();
      const rest = await within(2_000, wire.readToEnd());
      const received = Buffer.concat([first ?? Buffer.alloc(0), rest]).toString("latin1");
      expect(received).toStartWith("HTTP/1.1 200");
      expect(received).not.toMatch(/^content-length:/im);
      expect(received).not.toEndWith("0\r\n\r\n");
      expect(await wire.ended).toBeString();
    });

    test(`and the log says why (by ${how}), without the query, which may be a secret of the application`, async () => {
      pair.upstream.on("/short", async ({ wire }) => {
        await wire.write(responseHead(200, plain, 2000) + piece);
        if (how === "end") wire.end();
        else wire.reset();
      });
      const wire = await dial(pair.port);
      await wire.write(requestHead("GET /short?token=secret-of-the-application", [pair.cookie]));
      const received = (await within(2_000, wire.readToEnd())).toString("latin1");
      expect(received).not.toEndWith("0\r\n\r\n");
      await until(() => pair.gateway.lines.some((line) => /broke off.*\/short/.test(line)));
      expect(pair.gateway.lines.join("\n")).not.toContain("secret-of-the-application");
    });
  }
});

describe("a kept connection that the application closed in between", () => {
  test.each(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])("is never felt by %s", async (method) => {
    for (const how of ["end", "reset", "destroy"] as const) {
      pair.upstream.on("/kept", async ({ wire, turn, reply }) => {
        if (turn > 1) wire[how]();
        else await reply(200, ["Content-Type: text/plain"], method === "HEAD" ? "" : "ok");
      });
      for (let count = 0; count < 6; count++) {
        expect((await within(2_000, pair.ask(`${method} /kept`))).status).toBe(200);
      }
    }
  });

  test.each(["GET", "POST"])("is not used for %s once its end is known", async (method) => {
    const { upstream } = pair;
    upstream.on("/ended", async ({ wire, reply }) => {
      await reply(200, ["Content-Type: text/plain"], "ok");
      wire.end();
    });
    for (let count = 0; count < 10; count++) {
      expect((await pair.ask(`${method} /ended`)).status).toBe(200);
      await upstream.connections.at(-1)?.ended;
    }
  });

  test("never makes a POST go twice", async () => {
    const seen = new Map<string, number>();
    pair.upstream.on("/once", async ({ wire, turn, request, body, reply }) => {
      const sent = (await body()).toString();
      expect(request.one("content-length")).toBe(String(sent.length));
      seen.set(sent, (seen.get(sent) ?? 0) + 1);
      if (turn > 1) wire.reset();
      else await reply(200, ["Content-Type: text/plain"], "ok");
    });
    const statuses = new Set<number>();
    for (let count = 0; count < 12; count++) {
      const sent = `order ${count}`;
      const response = await pair.ask("POST /once", [`Content-Length: ${sent.length}`], sent);
      statuses.add(response.status);
    }
    expect([...seen.values()]).toEqual(Array.from(seen, () => 1));
    expect(seen.size).toBe(12);
    expect([...statuses].every((status) => status === 200 || status === 502)).toBe(true);
  });
});
