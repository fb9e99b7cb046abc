import { describe, expect, test } from "bun:test";
import type { Authenticator } from "../../src/access/admit.ts";
import { type CloseReason, createLiveConnections } from "../../src/access/live.ts";
import { systemRandom } from "../../src/clock.ts";
import { parseAddress } from "../../src/identity/address.ts";
import type { Principal } from "../../src/identity/principal.ts";
import { createSessions } from "../../src/session/session.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { StoreUnavailable } from "../../src/store/records.ts";
import { testClock } from "../support/clock.ts";
import { keysOf } from "../support/keys.ts";
import { signedIn } from "../support/principal.ts";
import { SILENT } from "../support/silent.ts";
import { intercepted } from "../support/store.ts";

/** What is open while the store is away: the front door has the ordinary ends (`test/proxy/events`, `websocket`). */

function authenticator(alive: Authenticator["alive"]): Authenticator {
  return { kind: "session", authenticate: () => undefined, alive, onEnded() {} };
}

const session = (id: string): [Principal, string] => [signedIn(id), "default"];

const EVERYBODY = () => true;

function setUp() {
  const clock = testClock();
  const store = { away: false };
  const sessions = authenticator(async () => {
    if (store.away) throw new StoreUnavailable("away");
    return signedIn("s");
  });
  const live = createLiveConnections([sessions], EVERYBODY, clock, SILENT);
  const closed: CloseReason[] = [];
  live.add(...session("s"), { close: (reason) => void closed.push(reason), takeUsed: () => false });
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

  test("about one session, it is that one's streams that are closed", async () => {
    const { clock, live, closed } = setUp();
    const stumbles = authenticator(async (id) => {
      if (id === "broken") throw new StoreUnavailable("it cannot be written");
      return signedIn(id);
    });
    live.follow([stumbles], EVERYBODY, SILENT);
    const broken: CloseReason[] = [];
    live.add(...session("broken"), { close: (reason) => void broken.push(reason), takeUsed: () => false });
    for (let i = 0; i < 4; i++) {
      clock.advance(2000);
      await live.sweep();
    }
    expect([broken, closed]).toEqual([["unverified"], []]);
    expect(live.size).toBe(1);
  });

  test("and lets everybody wait, what is open is closed before the wait is over", async () => {
    const clock = testClock();
    let answer: (holder: Principal) => void = () => {};
    const sessions = authenticator(() => new Promise((resolve) => (answer = resolve)));
    const live = createLiveConnections([sessions], EVERYBODY, clock, SILENT);
    const closed: CloseReason[] = [];
    const connection = { close: (reason: CloseReason) => void closed.push(reason), takeUsed: () => false };
    live.add(...session("s"), connection);
    clock.advance(1000);
    const first = live.sweep();
    answer(signedIn("s"));
    await first;
    clock.advance(1000);
    const second = live.sweep();
    clock.advance(1100);
    live.closeUnanswered();
    expect(closed).toEqual([]);
    clock.advance(100);
    live.closeUnanswered();
    expect(closed).toEqual(["unverified"]);
    answer(signedIn("s"));
    await second;
  });

  test("what is asked about late, because there was no time, may still be answered", async () => {
    const { clock, live, closed } = setUp();
    clock.advance(60_000);
    const swept = live.sweep();
    live.closeUnanswered();
    await swept;
    clock.advance(60_000);
    live.closeUnanswered();
    expect(closed).toEqual([]);
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

test("a sweep asks about all sessions at once, so that a slow store keeps none of them open", async () => {
  const asked: Array<(holder: Principal | undefined) => void> = [];
  const sessions = authenticator(() => new Promise((resolve) => asked.push(resolve)));
  const live = createLiveConnections([sessions], EVERYBODY, testClock(), SILENT);
  const closed: string[] = [];
  for (const id of ["a", "b", "c"]) {
    live.add(...session(id), { close: () => void closed.push(id), takeUsed: () => false });
  }
  const swept = live.sweep();
  expect(asked).toHaveLength(3);
  asked[2]?.(undefined);
  await Bun.sleep(0);
  expect(closed).toEqual(["c"]);
  for (const answer of asked) answer(signedIn("s"));
  await swept;
  expect(live.size).toBe(2);
});

test("a store that cannot be written costs a session that is over its streams, and nobody else", async () => {
  const clock = testClock();
  const sessions = createSessions({
    sessionTtl: 3_600_000,
    sessionIdle: 60_000,
    sessionBind: { agent: false, network: false },
    bindings: { of: () => "", holds: () => true, stray: async () => undefined },
    leastRest: undefined,
    keys: keysOf(0),
    store: intercepted(createMemoryStore({ clock }), ({ verb, go }) => {
      if (verb === "take") throw new StoreUnavailable("The disk that the database is on is full.");
      return go();
    }),
    policy: {
      allows: () => true,
      standingOf: () => ({ groups: new Set() }),
      membersOf: () => new Set(),
      catchUp: async () => {},
      named: new Set(),
    },
    audit() {},
    log: SILENT,
    clock,
    random: systemRandom,
  });
  const live = createLiveConnections([authenticator(sessions.alive)], EVERYBODY, clock, SILENT);
  const closed: string[] = [];
  for (const name of ["idle", "used"]) {
    const email = parseAddress(`${name}@example.org`);
    const { record } = await sessions.start({ email, ip: "", userAgent: "" });
    live.add(...session(record.id), {
      close: (reason) => void closed.push(`${name} ${reason}`),
      takeUsed: () => name === "used",
    });
  }
  for (let time = 0; time < 4; time++) {
    clock.advance(20_000);
    await live.sweep();
    await live.sweep();
  }
  expect(closed).toEqual(["idle session_ended"]);
});

test("what is open closes where its application is no longer open to them, and nothing else of theirs", async () => {
  const clock = testClock();
  const closedRoutes = new Set<string>();
  const mayGoOn = (_: Principal, route: string) => !closedRoutes.has(route);
  const live = createLiveConnections([authenticator(() => signedIn("s"))], mayGoOn, clock, SILENT);
  const closed: string[] = [];
  for (const route of ["lab", "grafana"]) {
    live.add(signedIn("s"), route, {
      close: (reason) => void closed.push(`${route} ${reason}`),
      takeUsed: () => false,
    });
  }
  await live.sweep();
  expect(closed).toEqual([]);
  closedRoutes.add("lab");
  await live.sweep();
  expect([closed, live.size]).toEqual([["lab session_ended"], 1]);
});
