import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { startUpstream, type Upstream } from "../support/upstream.ts";
import { type ServeProcess, startServe } from "./process.ts";
import { within } from "./support.ts";
import { acceptWebSocket, openWebSocket, type Peer } from "./websocket.ts";

setDefaultTimeout(30_000);

/** A WebSocket whose reader stalls is closed in place of growing memory (CONTRACT section 7). */

let upstream: Upstream;
let gateway: ServeProcess;

beforeAll(async () => {
  upstream = await startUpstream();
  gateway = await startServe(upstream.url);
});

afterAll(async () => {
  await gateway.stop();
  upstream.stop();
});

async function open(): Promise<{ browser: Peer; application: Peer }> {
  const { promise, resolve } = Promise.withResolvers<Peer>();
  upstream.on("/socket", async (handshake) => {
    resolve(await acceptWebSocket(handshake));
    await new Promise(() => {});
  });
  const { head, peer } = await within(2_000, openWebSocket(gateway.port, "/socket", [gateway.cookie]));
  expect(head.status).toBe(101);
  return { browser: peer, application: await promise };
}

describe.each([
  ["browser", "application"],
  ["application", "browser"],
] as const)("a stalled %s", (slow, fast) => {
  test("is closed with 1013 before much waits for it, and the other side is told", async () => {
    const ends = await open();
    ends[slow].wire.stall();
    gateway.forgetPeak();
    const before = gateway.memory();
    const told = ends[fast].nextMessage();
    let closed = false;
    void told.then(() => {
      closed = true;
    });
    const message = Buffer.alloc(1_000_000);
    // Goes on after the close has been sent, until it is read: what comes meanwhile must not be kept either.
    const flood = async () => {
      for (let sent = 0; sent < 1_000 && !closed; sent++) await ends[fast].binary(message);
    };
    void flood();
    expect(await within(10_000, told)).toMatchObject({ kind: "close", code: 1013 });
    expect(gateway.peakMemory() - before).toBeLessThan(128 * 1024 * 1024);
    // What had been sent is there, and then the reason.
    ends[slow].wire.resume();
    let last = await within(5_000, ends[slow].nextMessage());
    while (last.kind === "binary") last = await within(5_000, ends[slow].nextMessage());
    expect(["close", "gone"]).toContain(last.kind);
    if (last.kind === "close") expect(last.code).toBe(1013);
    ends.browser.wire.destroy();
    ends.application.wire.destroy();
  }, 20_000);
});
