import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { sinkAddress } from "../../src/sinks/address.ts";
import { createHttpTransport } from "../../src/sinks/http.ts";
import type { Transport } from "../../src/sinks/transport.ts";
import { VERSION } from "../../src/version.ts";
import { testClock } from "../support/clock.ts";
import { line } from "./support.ts";

type Received = { readonly url: string; readonly headers: Headers; readonly body: string };

let server: Bun.Server<undefined>;
let received: Received[];
let answer: (request: Request) => Response | Promise<Response>;
const clock = testClock();

beforeEach(() => {
  received = [];
  answer = () => new Response();
  server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      received.push({ url: request.url, headers: request.headers, body: await request.text() });
      return answer(request);
    },
  });
});
afterEach(() => server.stop(true));

function sink(url: string): Transport {
  const address = sinkAddress(url);
  if (address.kind !== "otlp" && address.kind !== "ndjson") throw new Error("not HTTP");
  return createHttpTransport(address, clock);
}
const at = (rest: string, user = "") => `http://${user}127.0.0.1:${server.port}${rest}`;
const send = (to: Transport, ...lines: string[]) => to.send(lines, AbortSignal.timeout(5_000));

describe("newline-delimited JSON", () => {
  test("is one object a line, posted to the URL with its query", async () => {
    const lines = [line("one"), line("two", { n: 1 })];
    await send(sink(at("/in?stream=a")), ...lines);
    expect(received[0]?.url).toBe(at("/in?stream=a"));
    expect(received[0]?.headers.get("Content-Type")).toBe("application/x-ndjson");
    expect(received[0]?.headers.get("Authorization")).toBeNull();
    expect(received[0]?.body).toBe(`${lines.join("\n")}\n`);
  });

  test("comes with the user and password of the URL", async () => {
    await send(sink(at("/in", "ada:s%40crets@")), line("x"));
    expect(received[0]?.headers.get("Authorization")).toBe(`Basic ${btoa("ada:s@crets")}`);
  });

  test("comes with a token from a file, which may be replaced", async () => {
    const folder = mkdtempSync(join(tmpdir(), "bearer-"));
    try {
      const file = join(folder, "token");
      const one = sink(at(`/in#bearer-file=${file}`));
      for (const token of ["first", "second"]) {
        writeFileSync(file, `${token}\n`);
        await send(one, line("x"));
      }
      expect(received.map(({ headers }) => headers.get("Authorization"))).toEqual([
        "Bearer first",
        "Bearer second",
      ]);
      rmSync(file);
      await expect(send(one, line("x"))).rejects.toThrow("ENOENT");
      expect(received).toHaveLength(2);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe("what a sink answers", () => {
  test.each([200, 202, 204])("%d: it has the lines", async (status) => {
    answer = () => new Response(null, { status });
    expect(await send(sink(at("/in")), line("x"))).toBe(0);
  });

  test.each([400, 401, 403, 404, 413, 500, 501, 301, 302])(
    "H12 %d: it will never have them",
    async (status) => {
      answer = () => new Response("no", { status, headers: { Location: "/elsewhere" } });
      await expect(send(sink(at("/in")), line("x"))).rejects.toMatchObject({
        code: "refused",
        message: `it answers with ${status}`,
      });
      expect(received).toHaveLength(1);
    },
  );

  test.each<[number, string | undefined, number | undefined]>([
    [429, undefined, undefined],
    [502, "7", 7_000],
    [503, new Date(clock.now() + 30_000).toUTCString(), 30_000],
    [503, new Date(clock.now() - 30_000).toUTCString(), 0],
    [504, "soon", undefined],
  ])("%d with Retry-After %s: later", async (status, after, afterMs) => {
    answer = () => new Response("", { status, headers: after === undefined ? {} : { "Retry-After": after } });
    await expect(send(sink(at("/in")), line("x"))).rejects.toMatchObject({ code: "try_later", afterMs });
  });

  test("nothing, or that nobody listens: later, and the reason has no URL in it", async () => {
    answer = () => new Promise(() => {});
    const signal = AbortSignal.timeout(100);
    const failed = await sink(at("/in?token=hunter2"))
      .send([line("x")], signal)
      .catch((error: Error) => error);
    expect(String(failed)).not.toContain("hunter2");
    server.stop(true);
    const gone = await send(sink(at("/in?token=hunter2")), line("x")).catch((error: Error) => error);
    expect(gone).toBeInstanceOf(Error);
    expect(String(gone)).toMatch(/ConnectionRefused|ECONNREFUSED/);
    expect(String(gone)).not.toContain("hunter2");
  });
});

describe("OTLP/HTTP in JSON", () => {
  test("is an ExportLogsServiceRequest", async () => {
    await send(
      sink(`otlp+${at("/v1/logs")}`),
      line("GET / 200", { status: 200, ms: 0.5, quiet: true, big: 2 ** 60, user: "ada@example.org" }),
      line("audit", { level: "warn", module: "audit", event: "login_refused" }),
    );
    expect(received[0]?.headers.get("Content-Type")).toBe("application/json");
    expect(JSON.parse(received[0]?.body ?? "")).toEqual({
      resourceLogs: [
        {
          resource: {
            attributes: [
              { key: "service.name", value: { stringValue: "runegate" } },
              { key: "service.version", value: { stringValue: VERSION } },
              { key: "host.name", value: { stringValue: hostname() } },
            ],
          },
          scopeLogs: [
            {
              scope: { name: "runegate", version: VERSION },
              logRecords: [
                {
                  timeUnixNano: "1767323045678000000",
                  severityNumber: 9,
                  severityText: "INFO",
                  body: { stringValue: "GET / 200" },
                  attributes: [
                    { key: "module", value: { stringValue: "http" } },
                    { key: "status", value: { intValue: "200" } },
                    { key: "ms", value: { doubleValue: 0.5 } },
                    { key: "quiet", value: { boolValue: true } },
                    { key: "big", value: { doubleValue: 2 ** 60 } },
                    { key: "user", value: { stringValue: "ada@example.org" } },
                  ],
                },
                {
                  timeUnixNano: "1767323045678000000",
                  severityNumber: 13,
                  severityText: "WARN",
                  body: { stringValue: "audit" },
                  attributes: [
                    { key: "module", value: { stringValue: "audit" } },
                    { key: "event", value: { stringValue: "login_refused" } },
                  ],
                },
              ],
            },
          ],
        },
      ],
    });
  });

  test.each<[string, number]>([
    ["", 0],
    ["{}", 0],
    ["null", 0],
    ['{"partialSuccess":{}}', 0],
    ['{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"too old"}}', 2],
    ['{"partialSuccess":{"rejectedLogRecords":3}}', 3],
    ['{"partialSuccess":{"rejectedLogRecords":-3}}', 0],
    ["not JSON", 0],
    ["x".repeat(100_000), 0],
  ])("that is answered with %.70s: %d were not taken", async (text, rejected) => {
    answer = () => new Response(text);
    expect(await send(sink(`otlp+${at("/v1/logs")}`), line("x"))).toBe(rejected);
  });
});
