import { describe, expect, test } from "bun:test";
import { startPair } from "../proxy/support.ts";
import { dial, requestHead } from "../support/raw.ts";

describe("a peer that resets its connection", () => {
  test("is not believed about who it is", async () => {
    const pair = await startPair({ env: { RUNEGATE_TRUSTED_PROXIES: "" } });
    for (let count = 0; count < 100; count++) {
      const wire = await dial(pair.port);
      void wire.write(
        requestHead(`POST /forged${count}`, [
          pair.cookie,
          "X-Forwarded-For: 6.6.6.6",
          "X-Forwarded-Host: evil.example",
          "Content-Length: 0",
        ]),
      );
      wire.reset();
    }
    // Requests in order: when this one has been answered, all before have been looked at.
    expect((await pair.ask("GET /last")).status).toBe(200);
    for (const { text } of pair.upstream.requests) {
      expect(text).not.toContain("6.6.6.6");
      expect(text).not.toContain("evil.example");
    }
    await pair.stop();
  });
});
