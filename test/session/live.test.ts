import { describe, expect, test } from "bun:test";
import type { Logger } from "../../src/observe/log.ts";
import { type CloseReason, createLiveConnections } from "../../src/session/live.ts";
import type { Sessions } from "../../src/session/session.ts";
import { StoreUnavailable } from "../../src/store/contracts.ts";
import { createTestClock } from "../store/contract.ts";

/** What is open while the store is away: the front door has the ordinary ends (`test/proxy/events`, `websocket`). */

const quiet: Logger = {
  enabled: () => false,
  error() {},
  warn() {},
  info() {},
  debug() {},
  trace() {},
};

function setUp() {
  const clock = createTestClock();
  const store = { away: false };
  const sessions = {
    onEnded() {},
    async alive() {
      if (store.away) throw new StoreUnavailable("away");
      return true;
    },
  } as unknown as Sessions;
  const live = createLiveConnections(sessions, clock, quiet);
  const closed: CloseReason[] = [];
  live.add("s", { close: (reason) => void closed.push(reason), takeUsed: () => false });
  return { clock, store, live, closed };
}

describe("while the store does not answer", () => {
  test.each([
    ["for a moment, what is open stays open", [1000, 1000], []],
    ["for seconds, it is closed, since its session may have ended", [2000, 2000], ["unverified"]],
  ] as const)("%s", async (_, steps, expected) => {
    const { clock, store, live, closed } = setUp();
    clock.advance(60_000);
    await live.sweep();
    store.away = true;
    for (const step of steps) {
      clock.advance(step);
      await live.sweep();
    }
    expect(closed).toEqual([...expected]);
  });

  test("each answer starts the wait anew", async () => {
    const { clock, store, live, closed } = setUp();
    for (let i = 0; i < 10; i++) {
      store.away = i % 2 === 0;
      clock.advance(2000);
      await live.sweep();
    }
    expect(closed).toEqual([]);
    expect(live.size).toBe(1);
  });
});
