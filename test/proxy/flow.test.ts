import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import type { ServerWebSocket } from "bun";
import { createFlows, type Flow, type Flows } from "../../src/proxy/flow.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { SILENT } from "../support/silent.ts";

/** Decisions about who is read from, with sides that hold what they are told to. */

const KIB = 1024;
const MIB = 1024 * KIB;

/** As much of either kind of socket as the flow asks. */
class Side {
  waiting = 0;
  isPaused = false;
  readonly readyState: number = WebSocket.OPEN;
  terminated = 0;
  resumed = 0;
  getBufferedAmount(): number {
    return this.waiting;
  }
  get bufferedAmount(): number {
    return this.waiting;
  }
  pause(): boolean {
    this.isPaused = true;
    return true;
  }
  resume(): boolean {
    this.resumed++;
    this.isPaused = false;
    return true;
  }
  terminate(): void {
    this.terminated++;
    this.waiting = 0;
  }
}

type Joined = { readonly flow: Flow; readonly browser: Side; readonly application: Side };

let clock: TestClock;
let flows: Flows;

beforeEach(() => {
  jest.useFakeTimers();
  clock = testClock();
  flows = createFlows({ clock, memoryLimit: Number.POSITIVE_INFINITY, log: SILENT });
});

afterEach(() => {
  jest.useRealTimers();
});

function join(session = "session"): Joined {
  const flow = flows.admit(session);
  if (flow === undefined) throw new Error("too many");
  const browser = new Side();
  const application = new Side();
  flow.join({
    // Boundary: the flow uses five members of each.
    browser: browser as unknown as ServerWebSocket<unknown>,
    application: application as unknown as WebSocket,
    letGo() {},
  });
  return { flow, browser, application };
}

/** Both clocks. */
function pass(milliseconds: number): void {
  clock.advance(milliseconds);
  jest.advanceTimersByTime(milliseconds);
}

describe("a side", () => {
  const cases = [
    ["application", "browser"],
    ["browser", "application"],
  ] as const;
  test.each(cases)(
    "the %s is paused while more than a window waits for the %s, until half of it has gone",
    (from, to) => {
      const joined = join();
      const steps: ReadonlyArray<readonly [waiting: number, paused: boolean]> = [
        [256 * KIB, false],
        [256 * KIB + 1, true],
        [128 * KIB + 1, true],
        [128 * KIB, false],
        [200 * KIB, false],
        [60 * MIB, true],
        [0, false],
      ];
      for (const [waiting, paused] of steps) {
        joined[to].waiting = waiting;
        joined.flow.settle();
        expect([waiting, joined[from].isPaused, joined[to].isPaused]).toEqual([waiting, paused, false]);
      }
    },
  );

  test("has a smaller window where there are very many", () => {
    const many = Array.from({ length: 4_096 }, (_, index) => join(`session ${index % 64}`));
    const [one] = many;
    if (one === undefined) throw new Error("there are many");
    // 128 MiB for all: 32 KiB each.
    for (const [waiting, paused] of [
      [32 * KIB, false],
      [32 * KIB + 1, true],
    ] as const) {
      one.browser.waiting = waiting;
      one.flow.settle();
      expect(one.application.isPaused).toBe(paused);
    }
  });

  test("of the application is asked whether it has taken something, since no event tells", () => {
    const { flow, browser, application } = join();
    application.waiting = MIB;
    flow.sent("application", MIB, false);
    expect(browser.isPaused).toBe(true);
    pass(60_000);
    expect(browser.isPaused).toBe(true);
    application.waiting = 0;
    pass(256);
    expect(browser.isPaused).toBe(false);
  });
});

describe("a session", () => {
  test("with more than 128 MiB waiting is not read from on any side, others are", () => {
    const [first, second, idle] = [join(), join(), join()];
    const other = join("other");
    for (const one of [first, second]) {
      one.browser.waiting = 65 * MIB;
      one.flow.settle();
    }
    other.flow.settle();
    for (const { browser, application } of [first, second, idle]) {
      expect([browser.isPaused, application.isPaused]).toEqual([true, true]);
    }
    expect([other.browser.isPaused, other.application.isPaused]).toEqual([false, false]);
    first.browser.waiting = 0;
    second.browser.waiting = 60 * MIB;
    pass(256);
    expect([idle.browser.isPaused, idle.application.isPaused]).toEqual([false, false]);
    expect([second.browser.isPaused, second.application.isPaused]).toEqual([false, true]);
  });

  test("has its share where all together have too much", () => {
    const all = Array.from({ length: 8 }, (_, index) => join(`session ${index}`));
    for (const { browser, flow } of all) {
      browser.waiting = 40 * MIB;
      flow.settle();
    }
    // 256 MiB by eight is 32.
    expect(all.at(-1)?.browser.isPaused).toBe(true);
    const other = join("other");
    other.browser.waiting = 20 * MIB;
    other.flow.settle();
    expect([other.browser.isPaused, other.application.isPaused]).toEqual([false, true]);
  });

  test("may leave with something waiting, and counts no more", () => {
    const heavy = join();
    heavy.browser.waiting = 200 * MIB;
    heavy.flow.settle();
    const second = join();
    second.flow.settle();
    expect(second.browser.isPaused).toBe(true);
    heavy.flow.leave();
    expect(second.browser.isPaused).toBe(false);
    heavy.flow.leave();
    for (let count = 0; count < 255; count++) join();
    expect(flows.admit("session")).toBeUndefined();
    expect(flows.admit("other")).toBeDefined();
  });
});

describe("what is last", () => {
  test.each(["browser", "application"] as const)("for the %s is done once nothing waits", (side) => {
    const joined = join();
    let done = 0;
    joined[side].waiting = 100;
    joined.flow.afterLast(side, () => done++);
    expect(done).toBe(0);
    joined[side].waiting = 0;
    pass(256);
    expect(done).toBe(1);
    pass(10 * 60_000);
    expect([done, joined[side].terminated]).toEqual([1, 0]);
  });

  test.each(["browser", "application"] as const)(
    "for the %s waits while it takes something, five minutes if not",
    (side) => {
      const joined = join();
      let done = 0;
      joined[side].waiting = 100;
      joined.flow.afterLast(side, () => done++);
      for (let left = 99; left > 90; left--) {
        pass(4 * 60_000);
        joined[side].waiting = left;
        pass(1_000);
      }
      expect([done, joined[side].terminated]).toEqual([0, 0]);
      pass(5 * 60_000 + 1_000);
      expect([done, joined[side].terminated]).toEqual([1, 1]);
    },
  );
});

test("nobody is looked after who has left, though others of the session are held up", () => {
  const heavy = join();
  const leaving = join();
  heavy.browser.waiting = 200 * MIB;
  heavy.flow.settle();
  leaving.flow.afterLast("browser", () => leaving.flow.leave());
  heavy.flow.leave();
  pass(1_000);
  expect(jest.getTimerCount()).toBe(0);
});

describe("a browser that reads nothing", () => {
  test("is not taken for gone while something waits for it", () => {
    const { browser, flow } = join();
    const idle = join();
    browser.waiting = 100 * KIB;
    flow.settle();
    const [before, idleBefore] = [browser.resumed, idle.browser.resumed];
    pass(10 * 60_000);
    expect(browser.resumed - before).toBeGreaterThanOrEqual(9);
    // Of one for which nothing waits it is for the pings to say.
    expect(idle.browser.resumed).toBe(idleBefore);
  });
});

describe("a line", () => {
  test.each([
    ["slow that takes 4 MB/s", 4_000, true],
    ["quick that takes 20 MB/s", 20_000, false],
  ])("is %s", (_, bytesPerMs, slow) => {
    const { flow, browser, application } = join();
    expect(flow.slowLine).toBe(false);
    // The system has room for a megabyte at a time.
    let room = 0;
    let read = 0;
    const write = () => {
      const written = Math.min(room, browser.waiting);
      room -= written;
      browser.waiting -= written;
      flow.settle();
    };
    for (let time = 0; time < 2_000; time++) {
      while (!application.isPaused) {
        browser.waiting += 64 * KIB;
        flow.sent("browser", 64 * KIB, false);
        write();
      }
      clock.advance(1);
      read += bytesPerMs;
      if (read >= MIB) {
        read -= MIB;
        room += MIB;
      }
      write();
    }
    expect(flow.slowLine).toBe(slow);
  });

  test("that is not measured is taken for quick, however little is sent", () => {
    const { flow } = join();
    for (let time = 0; time < 2_000; time++) {
      clock.advance(100);
      flow.sent("browser", 10, false);
    }
    expect(flow.slowLine).toBe(false);
  });
});
