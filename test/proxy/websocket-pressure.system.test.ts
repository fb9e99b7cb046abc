import { afterAll, beforeAll, describe, expect, setDefaultTimeout, spyOn, test } from "bun:test";
import { describeSlowReaders, type EndName, type Ends, MIB, Stage, shut } from "./pressure-stage.ts";
import { settled, startPair, within } from "./support.ts";
import { acceptWebSocket, frameOf, OPCODE, openWebSocket } from "./websocket.ts";

// Hundreds of megabytes each, on machines that may be busy.
setDefaultTimeout(60_000);

/** As `websocket-pressure.test.ts`, where it takes more of the machine: workers, TLS, a thousand sockets, a gigabyte. */

describeSlowReaders("in two workers", { env: { RUNEGATE_WORKERS: "2" } });
describeSlowReaders("behind an edge that ends TLS", { edge: true });
describeSlowReaders("before an application behind TLS", { application: "tls" });

describe("what one user can make wait", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open();
  });
  afterAll(() => stage.stop());

  const cases: ReadonlyArray<readonly [string, EndName, number, number]> = [
    ["40 browsers that leave 15 messages of 1 MB unread", "browser", 40, 15],
    ["40 applications that leave 15 messages of 1 MB unread", "application", 40, 15],
  ];
  test.each(cases)(
    "%s take no more than 1 MiB each, and all of it arrives",
    async (_, slow, sockets, count) => {
      const cookie = await stage.gateway.signIn(`${slow}@example.org`);
      const all: Ends[] = [];
      const fast = slow === "browser" ? "application" : "browser";
      let sending: Promise<unknown> = Promise.resolve();
      const grown = await stage.growth(async () => {
        let sent = 0;
        for (let index = 0; index < sockets; index++) {
          const ends = await stage.socket(cookie);
          ends[slow].wire.stall();
          all.push(ends);
        }
        sending = Promise.all(
          all.map(async (ends) => {
            for (let index = 0; index < count; index++) {
              await ends[fast].binary(Buffer.alloc(1_000_000, index));
              sent++;
            }
          }),
        );
        await settled(() => sent);
      });
      // A message of 1 MB waits besides, and what the runtime needs for reading them.
      expect(grown).toBeLessThan(sockets * 4 * MIB);
      for (const ends of all) ends[slow].wire.resume();
      for (let index = 0; index < count; index++) {
        for (const ends of all) {
          const came = await within(20_000, ends[slow].nextMessage());
          expect("data" in came && came.data[999_999]).toBe(index);
        }
      }
      await sending;
      shut(...all);
    },
  );

  test("eight messages of 60 MB that nobody takes wait outside for the most part, others go on", async () => {
    const other = await stage.socket();
    const cookie = await stage.gateway.signIn("large@example.org");
    const all: Ends[] = [];
    const large = Buffer.alloc(60_000_000, 7);
    const arrived: Promise<unknown>[] = [];
    const grown = await stage.growth(async () => {
      let sent = 0;
      for (let index = 0; index < 8; index++) {
        const ends = await stage.socket(cookie);
        ends.application.wire.stall();
        all.push(ends);
        // One after the other: what is on its way at the same time the runtime holds without a word.
        void ends.browser.binary(large).then(() => {
          sent++;
        });
        await settled(() => sent);
      }
      await other.browser.text("not held up");
      expect(await within(5_000, other.application.nextMessage())).toMatchObject({ kind: "text" });
    });
    // Three at most wait here, each once as received and once as sent; all would be a gigabyte.
    expect(grown).toBeLessThan(600 * MIB);
    for (const ends of all) {
      ends.application.wire.resume();
      arrived.push(within(30_000, ends.application.nextMessage()));
    }
    for (const came of await Promise.all(arrived)) {
      expect((came as { data: Buffer }).data.byteLength).toBe(large.byteLength);
    }
    shut(other, ...all);
  });
});

test("where memory runs low, the one who has half messages held loses their WebSockets, and nobody else", async () => {
  const pair = await startPair();
  pair.upstream.on("/socket", async (handshake) => {
    const peer = await acceptWebSocket(handshake);
    for (let came = await peer.nextMessage(); "data" in came; came = await peer.nextMessage()) {
      await peer.text(`${came.data}`);
    }
  });
  const open = async (cookie: string) =>
    (await within(5_000, openWebSocket(pair.port, "/socket", [cookie]))).peer;
  const others = await Promise.all(Array.from({ length: 8 }, () => open(pair.cookie)));
  const cookie = `Cookie: ${await pair.gateway.signIn("heavy@example.org")}`;
  const half = frameOf(OPCODE.binary, Buffer.alloc(2 * MIB), { masked: true }).subarray(0, MIB);
  const peers = await Promise.all(Array.from({ length: 19 }, () => open(cookie)));
  for (const peer of peers) await peer.wire.write(half);
  // What a process that runs many tests takes itself, nobody can foretell.
  const taken = spyOn(process.memoryUsage, "rss").mockReturnValue(Number.MAX_SAFE_INTEGER);
  try {
    for (const peer of peers) {
      expect(await within(20_000, peer.nextMessage())).toEqual({ kind: "gone" });
    }
    for (const peer of others) {
      await peer.text("still here");
      expect(await within(5_000, peer.nextMessage())).toMatchObject({ data: Buffer.from("still here") });
      peer.wire.destroy();
    }
  } finally {
    taken.mockRestore();
  }
  expect(pair.gateway.lines.filter((line) => line.includes("memory runs low"))).toHaveLength(1);
  await pair.stop();
});

test("of 1,000 sockets every second one stalls: the others go on, and in the end all have everything", async () => {
  const stage = await Stage.open({ unix: true });
  const cookies = await Promise.all(
    Array.from({ length: 8 }, (_, index) => stage.gateway.signIn(`user${index}@example.org`)),
  );
  const all: Ends[] = [];
  for (let index = 0; index < 1_000; index++) all.push(await stage.socket(cookies[index % 8]));
  const stalled = all.filter((_, index) => index % 2 === 1);
  const quick = all.filter((_, index) => index % 2 === 0);
  const count = 20;
  const content = (index: number) => Buffer.alloc(100_000, index);
  const readAll = async ({ browser }: Ends) => {
    for (let index = 0; index < count; index++) {
      const came = await within(30_000, browser.nextMessage());
      expect("data" in came && came.data[99_999]).toBe(index);
    }
  };
  const grown = await stage.growth(async () => {
    for (const { browser } of stalled) browser.wire.stall();
    for (const { application } of all) {
      void (async () => {
        for (let index = 0; index < count; index++) await application.binary(content(index));
      })();
    }
    await Promise.all(quick.map(readAll));
  });
  expect(grown).toBeLessThan(stalled.length * MIB);
  for (const { browser } of stalled) browser.wire.resume();
  await Promise.all(stalled.map(readAll));
  shut(...all);
  await stage.stop();
});
