import { describe, expect, test } from "bun:test";
import { createLoggers } from "../../src/observe/log.ts";
import type { Level, LogFormat } from "../../src/observe/logger.ts";
import { createRequestLog, type RequestLine } from "../../src/observe/request-log.ts";
import { startPair, until } from "../proxy/support.ts";
import { dial, exchange, requestHead } from "../support/raw.ts";

const TIME = new Date(2031, 4, 6, 12, 34, 56, 789).getTime();

const REQUEST: RequestLine = {
  id: "r1",
  method: "GET",
  path: "/a/b",
  status: 200,
  bytes: 512,
  ms: 1.2345,
  client: "192.0.2.7",
  user: "ann@example.org",
  route: undefined,
};

function logged(format: LogFormat, request: RequestLine, level: Level | "off" = "info"): string[] {
  const written: string[] = [];
  const loggerFor = createLoggers({
    format,
    levels: { default: level, modules: {} },
    write: (line) => void written.push(line),
    now: () => TIME,
    color: false,
  });
  createRequestLog(loggerFor("http"), format)(request);
  return written;
}

test.each<[Partial<RequestLine>, string]>([
  [{}, "GET /a/b 200  bytes=512 ms=1.2 client=192.0.2.7 user=ann@example.org id=r1"],
  [{ route: "lab" }, "GET /a/b 200  bytes=512 ms=1.2 client=192.0.2.7 user=ann@example.org route=lab id=r1"],
  [{ bytes: undefined, user: undefined }, "GET /a/b 200  ms=1.2 client=192.0.2.7 id=r1"],
  [{ bytes: 0, ms: 0, user: undefined }, "GET /a/b 200  bytes=0 ms=0 client=192.0.2.7 id=r1"],
  [
    { method: "POST", status: 502, aborted: true, user: undefined },
    "POST /a/b 502  bytes=512 ms=1.2 client=192.0.2.7 aborted=true id=r1",
  ],
  [
    { path: "/x\n  user=admin", user: undefined },
    "GET /x\\u000a\\u0020 user=admin 200  bytes=512 ms=1.2 client=192.0.2.7 id=r1",
  ],
])("on the console, %j", (changes, expected) => {
  expect(logged("console", { ...REQUEST, ...changes })).toEqual([`12:34:56.789 INFO  http   ${expected}`]);
});

test("in JSON the message's parts are fields as well", () => {
  const [line] = logged("json", { ...REQUEST, aborted: true });
  expect(JSON.parse(line ?? "")).toEqual({
    time: new Date(TIME).toISOString(),
    level: "info",
    module: "http",
    message: "GET /a/b 200",
    ...REQUEST,
    ms: 1.2,
    aborted: true,
  });
});

test.each(["off", "error", "warn"] as const)("says nothing at level %s", (level) => {
  expect(logged("json", REQUEST, level)).toEqual([]);
});

describe("the request line", () => {
  test("has the bytes of Runegate's own answers, and of its errors", async () => {
    const pair = await startPair();
    await pair.ask("GET /_runegate/health");
    await exchange(pair.port, "GET /app");
    pair.upstream.on("/reset", ({ wire }) => wire.reset());
    await pair.ask("POST /reset", ["Content-Length: 0"]);
    for (const path of ["/_runegate/health 200", "/app 401", "/reset 502"]) {
      expect(pair.gateway.lines.find((line) => line.includes(path))).toMatch(/bytes=[1-9]/);
    }
    await pair.stop();
  });

  test("is one for an event stream that its reader leaves", async () => {
    const pair = await startPair();
    pair.upstream.on("/events", async ({ wire }) => {
      await wire.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
      await wire.ended;
    });
    const wire = await dial(pair.port);
    await wire.write(requestHead("GET /events", [pair.cookie]));
    await wire.readUntil("data: 1");
    wire.reset();
    const lines = () => pair.gateway.lines.filter((line) => line.includes("GET /events"));
    await until(() => lines().length > 0);
    await pair.ask("GET /after");
    expect(lines()).toHaveLength(1);
    await pair.stop();
  });
});
