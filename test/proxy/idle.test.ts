import { describe, test } from "bun:test";
import { dial, requestHead } from "../support/raw.ts";
import { startPair, within } from "./support.ts";

describe("a connection that has carried a request to the application", () => {
  const SHAPES: ReadonlyArray<readonly [name: string, fields: string, body: string]> = [
    ["a small answer", "Content-Length: 2", "ok"],
    ["a streamed answer", "Transfer-Encoding: chunked", "2\r\nok\r\n0\r\n\r\n"],
    ["an empty answer", "Content-Length: 0", ""],
  ];
  test.concurrent.each([...SHAPES])("still ends when idle, after %s", async (_, fields, body) => {
    const pair = await startPair({ idleSeconds: 4 });
    pair.upstream.on("/once", ({ wire }) =>
      wire.write(`HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n${fields}\r\n\r\n${body}`),
    );
    const wire = await dial(pair.port);
    await wire.write(requestHead("GET /once", [pair.cookie]));
    await wire.readUntil("200 OK");
    await within(20_000, wire.readToEnd());
    await pair.stop();
  });
});
