import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  DIRECTIONS,
  describeSlowReaders,
  type EndName,
  type Ends,
  MAY_GROW,
  MIB,
  Stage,
  shut,
} from "./pressure-stage.ts";
import { settled, within } from "./support.ts";
import { frameOf, OPCODE, openWebSocket } from "./websocket.ts";

// A hundred megabytes each, on machines that may be busy.
setDefaultTimeout(60_000);

/**
 * A WebSocket whose reader is slow: the other side waits, nothing is lost, and memory stays as it was. More of it, with
 * workers, TLS and gigabytes, is in `websocket-pressure.system.test.ts`.
 */

describeSlowReaders("in one process", {});

describe("with one gateway", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open();
  });
  afterAll(() => stage.stop());

  test.concurrent.each(DIRECTIONS)(
    "a %s that has left is noticed though the %s is paused",
    async (slow, fast) => {
      const ends = await stage.socket();
      ends[slow].wire.stall();
      void ends[fast].binary(Buffer.alloc(30 * MIB));
      void ends[fast].binary(Buffer.alloc(30 * MIB));
      await settled(() => ends[fast].wire.unsent());
      ends[slow].wire.destroy();
      await within(10_000, ends[fast].wire.ended);
      shut(ends);
    },
  );

  test.concurrent("the end of the session ends a WebSocket whose sides are paused", async () => {
    const cookie = await stage.gateway.signIn("out@example.org");
    const ends = await stage.socket(cookie);
    for (const [slow, fast] of DIRECTIONS) {
      ends[slow].wire.stall();
      void ends[fast].binary(Buffer.alloc(30 * MIB));
      void ends[fast].binary(Buffer.alloc(30 * MIB));
    }
    await settled(() => ends.browser.wire.unsent() + ends.application.wire.unsent());
    await stage.gateway.ask("POST /logout", [cookie, "Content-Length: 0"]);
    // Whether they read or not; what had been sent to them by then is there.
    for (const [slow] of DIRECTIONS) {
      ends[slow].wire.resume();
      expect(await within(15_000, ends[slow].wire.skip(60 * MIB))).toBeLessThan(60 * MIB);
      await within(5_000, ends[slow].wire.ended);
    }
    shut(ends);
  });
});

describe("a flood of pings", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open({ unix: true });
  });
  afterAll(() => stage.stop());

  const floods: ReadonlyArray<readonly [EndName, EndName, string]> = [
    ["browser", "application", "reads nothing"],
    ["application", "browser", "reads nothing"],
    ["browser", "browser", "does not read the answers"],
    ["application", "application", "does not read the answers"],
  ];
  test.each(floods)("of the %s, while the %s %s, is held up, and ends nothing", async (from, deaf) => {
    const ends = await stage.socket();
    const to = from === "browser" ? ends.application : ends.browser;
    ends[deaf].wire.stall();
    // Whoever is not deaf reads on: the answers, or the pings, until what follows them.
    const last = from === deaf ? to.nextMessage() : undefined;
    const answers = from === deaf ? undefined : ends[from].nextMessage();
    const ping = frameOf(OPCODE.ping, Buffer.alloc(125, "x"), { masked: from === "browser" });
    const hundred = Buffer.concat(Array.from({ length: 100 }, () => ping));
    const rounds = 1_500;
    let sent = 0;
    let flood: Promise<void> = Promise.resolve();
    const grown = await stage.growth(async () => {
      flood = (async () => {
        for (; sent < rounds; sent++) await ends[from].wire.write(hundred);
        await ends[from].text("the last");
      })();
      expect((await settled(() => sent)) * hundred.byteLength).toBeLessThan(5 * MIB);
    });
    expect(grown).toBeLessThan(MAY_GROW);
    ends[deaf].wire.resume();
    const late = from === deaf ? ends[from].nextMessage() : undefined;
    expect(await within(30_000, last ?? to.nextMessage())).toEqual({
      kind: "text",
      data: Buffer.from("the last"),
    });
    await flood;
    shut(ends);
    await Promise.all([answers, late]);
  });
});

describe("a session", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open();
  });
  afterAll(() => stage.stop());

  test("may have 256 WebSockets at once; the next is a 429 until one has ended", async () => {
    const cookie = await stage.gateway.signIn("many@example.org");
    const all: Ends[] = [];
    for (let count = 0; count < 256; count++) all.push(await stage.socket(cookie));
    const ask = async () => {
      const { head, peer } = await openWebSocket(stage.gateway.port, "/socket", [cookie]);
      peer.wire.destroy();
      return head.status;
    };
    expect(await ask()).toBe(429);
    // Nobody else's concern.
    shut(await stage.socket());
    const [first] = all;
    if (first !== undefined) shut(first);
    let status = 429;
    for (let tries = 0; tries < 500 && status === 429; tries++) status = await ask();
    expect(status).toBe(101);
    shut(...all);
  });

  test("counts one no more when the application goes too, while something still waits for it", async () => {
    const unix = await Stage.open({ unix: true });
    try {
      const ends = await unix.socket();
      ends.application.wire.stall();
      // More than the system takes, and less than what has the browser wait.
      await ends.browser.binary(Buffer.alloc(340 * 1024));
      await ends.browser.close(1000);
      expect(await within(5_000, ends.browser.nextMessage())).toMatchObject({ kind: "close", code: 1000 });
      ends.application.wire.destroy();
      // As many as a session may have.
      const all: Ends[] = [];
      for (let count = 0; count < 256; count++) all.push(await unix.socket());
      shut(...all);
    } finally {
      await unix.stop();
    }
  });
});
