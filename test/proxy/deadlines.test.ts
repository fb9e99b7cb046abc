import { afterEach, describe, expect, test } from "bun:test";
import { createDeadlines, type Deadlines } from "../../src/proxy/deadlines.ts";
import { NOTHING_TOLD } from "../../src/proxy/telling.ts";
import { createUpstream, type Upstream, type UpstreamDelay } from "../../src/proxy/upstream.ts";
import { createTunnelSockets } from "../../src/tunnel/sockets.ts";
import { testClock } from "../support/clock.ts";
import { until } from "./support.ts";

/** Many deadlines of one length with one timer. The clock stands still until a test moves it. */

const WAIT = 1_000;

function setUp() {
  const clock = testClock();
  const deadlines = createDeadlines(WAIT, clock);
  const expired: string[] = [];
  const entry = (name: string) => ({ addedAt: 0, expired: () => void expired.push(name) });
  return { clock, deadlines, expired, entry };
}

let running: Deadlines | Upstream | undefined;
afterEach(() => running?.stop());

describe("a deadline", () => {
  type Step = { readonly at: number; readonly expired: readonly string[] };
  const cases: ReadonlyArray<readonly [string, readonly [string, number][], readonly Step[]]> = [
    ["does not expire early", [["a", 0]], [{ at: 999, expired: [] }]],
    ["expires when it is due", [["a", 0]], [{ at: 1_000, expired: ["a"] }]],
    ["expires late if nobody looked", [["a", 0]], [{ at: 9_000, expired: ["a"] }]],
    [
      "expires once",
      [["a", 0]],
      [
        { at: 1_000, expired: ["a"] },
        { at: 5_000, expired: ["a"] },
      ],
    ],
    [
      "expires in the order it was added",
      [
        ["a", 0],
        ["b", 10],
        ["c", 20],
      ],
      [
        { at: 1_000, expired: ["a"] },
        { at: 1_015, expired: ["a", "b"] },
        { at: 1_020, expired: ["a", "b", "c"] },
      ],
    ],
    [
      "expires with others added at the same time",
      [
        ["a", 5],
        ["b", 5],
      ],
      [{ at: 1_005, expired: ["a", "b"] }],
    ],
  ];
  test.each(cases)("%s", (_, added, steps) => {
    const { clock, deadlines, expired, entry } = setUp();
    running = deadlines;
    let now = 0;
    const move = (to: number) => {
      clock.advance(to - now);
      now = to;
    };
    for (const [name, at] of added) {
      move(at);
      deadlines.add(entry(name));
    }
    for (const step of steps) {
      move(step.at);
      deadlines.check();
      expect(expired).toEqual([...step.expired]);
    }
  });

  test("that was removed does not expire, and neither do those of a stopped set", () => {
    const { clock, deadlines, expired, entry } = setUp();
    const [kept, removed] = [entry("kept"), entry("removed")];
    deadlines.add(removed);
    deadlines.add(kept);
    deadlines.remove(removed);
    clock.advance(WAIT);
    deadlines.check();
    expect(expired).toEqual(["kept"]);
    deadlines.add(entry("stopped"));
    deadlines.stop();
    clock.advance(WAIT);
    deadlines.check();
    expect(expired).toEqual(["kept"]);
  });

  test("that is added again begins anew, behind the others", () => {
    const { clock, deadlines, expired, entry } = setUp();
    running = deadlines;
    const [moving, still] = [entry("moving"), entry("still")];
    deadlines.add(moving);
    deadlines.add(still);
    clock.advance(600);
    deadlines.remove(moving);
    deadlines.add(moving);
    clock.advance(600);
    deadlines.check();
    expect(expired).toEqual(["still"]);
    clock.advance(400);
    deadlines.check();
    expect(expired).toEqual(["still", "moving"]);
  });

  test("may add or remove others as it expires", () => {
    const { clock, deadlines, expired, entry } = setUp();
    running = deadlines;
    const other = entry("other");
    deadlines.add({
      addedAt: 0,
      expired() {
        deadlines.remove(other);
        deadlines.add(entry("next"));
      },
    });
    deadlines.add(other);
    clock.advance(WAIT);
    deadlines.check();
    expect(expired).toEqual([]);
    clock.advance(WAIT);
    deadlines.check();
    expect(expired).toEqual(["next"]);
  });

  test("expires by its own timer, without anybody looking", async () => {
    const expired: string[] = [];
    const deadlines = createDeadlines(20, { monotonic: () => performance.now() });
    running = deadlines;
    deadlines.add({ addedAt: 0, expired: () => void expired.push("first") });
    await until(() => expired.length === 1);
    // The timer had run out of deadlines and is wound up again.
    deadlines.add({ addedAt: 0, expired: () => void expired.push("second") });
    await until(() => expired.length === 2);
  });

  test("does not set its timer by a wall clock that jumps", () => {
    const { clock, deadlines, expired, entry } = setUp();
    running = deadlines;
    deadlines.add(entry("a"));
    clock.setWall(Date.parse("2040-01-01"));
    deadlines.check();
    expect(expired).toEqual([]);
  });
});

describe("an exchange", () => {
  const address = { kind: "unix", path: "/nonexistent/app.sock" } as const;

  function exchange(settings: { connectTimeout: number; responseTimeout: number }) {
    const upstream = createUpstream({
      ...settings,
      target: { address, basePath: "" },
      tls: undefined,
      telling: NOTHING_TOLD,
      tunnels: { sockets: createTunnelSockets("/nonexistent", testClock()), seenAt: async () => undefined },
      name: undefined,
      clock: { now: Date.now, monotonic: () => performance.now() },
    });
    running = upstream;
    const told: UpstreamDelay[] = [];
    return {
      told,
      waiting: upstream.await(
        (what) => told.push(what),
        () => {},
      ),
    };
  }

  test("is told of the response that does not come, once", async () => {
    // Nobody listens, which the probe leaves to `fetch` to report.
    const { told, waiting } = exchange({ connectTimeout: 10, responseTimeout: 60 });
    await until(() => told.length > 0);
    expect(told).toEqual(["response"]);
    waiting.moved();
    waiting.settle();
    expect(told).toEqual(["response"]);
  });

  test("that is settled is told nothing, even if its body still moves", async () => {
    const { told, waiting } = exchange({ connectTimeout: 10, responseTimeout: 20 });
    waiting.settle();
    waiting.moved();
    const other = exchange({ connectTimeout: 10, responseTimeout: 40 });
    await until(() => other.told.length > 0);
    expect(told).toEqual([]);
  });
});
