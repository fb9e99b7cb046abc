import { describe, expect, test } from "bun:test";
import { type DayPoint, LOGINS, mergeDay, mergeQuarters, REFUSALS } from "../../src/metrics/day.ts";
import { mergeEnded, NOTHING } from "../../src/metrics/measures.ts";
import { createMetrics, createProcessMetrics } from "../../src/metrics/metrics.ts";
import { createRequestCounts } from "../../src/metrics/requests.ts";
import { testClock } from "../support/clock.ts";

/** The last 24 hours, in quarters of an hour. */

const QUARTER_MS = 15 * 60_000;

function startProcess(clock = testClock(Date.parse("2026-01-02T03:00:00Z"))) {
  const measured = createProcessMetrics(clock);
  const metrics = createMetrics(measured);
  const { answered } = createRequestCounts(metrics);
  return { clock, measured, metrics, answered };
}

const counts = ({ requests, logins, refusals }: DayPoint) => [requests, logins, refusals];

describe("the last day", () => {
  test("has 96 quarters, the one that is not over among them, each with what it had", async () => {
    const { clock, metrics, answered } = startProcess();
    answered("http", "default", 200, 3);
    answered("own", undefined, 404, 3);
    metrics.counter(LOGINS, "", ["outcome", "method"]).add(2, "ok", "link");
    metrics.counter(LOGINS, "", ["outcome", "method"]).add(5, "refused", "link");
    clock.advance(QUARTER_MS);
    const before = await metrics.lastDay();
    metrics.counter(REFUSALS, "", ["reason"]).add(4, "policy");
    answered("http", "default", 503, 3);
    const day = await metrics.lastDay();
    expect(before.length).toBe(96);
    expect(day.length).toBe(96);
    expect(day.map(({ from }) => from)).toEqual(
      Array.from({ length: 96 }, (_, at) => Date.parse("2026-01-02T03:15:00Z") - (95 - at) * QUARTER_MS),
    );
    expect(before.slice(-2).map(counts)).toEqual([
      [2, 2, 0],
      [0, 0, 0],
    ]);
    expect(day.slice(-3).map(counts)).toEqual([
      [0, 0, 0],
      [2, 2, 0],
      [1, 0, 4],
    ]);
  });

  test("forgets what is older, and keeps no more than it shows", async () => {
    const { clock, measured, metrics, answered } = startProcess();
    for (let i = 0; i < 200; i++) {
      answered("http", "default", 200, 1);
      clock.advance(QUARTER_MS);
      measured.day.turn();
    }
    const day = await metrics.lastDay();
    expect(day.map(({ requests }) => requests)).toEqual([...Array(95).fill(1), 0]);
    expect(measured.day.quarters().length).toBe(96);
  });

  test("a leap of the clock, back or far on, loses no process and shows no future", async () => {
    const { clock, measured, metrics, answered } = startProcess();
    answered("http", "default", 200, 1);
    clock.setWall(Date.parse("2026-01-01T03:00:00Z"));
    measured.day.turn();
    answered("http", "default", 200, 1);
    const back = await metrics.lastDay();
    expect(back.map(({ requests }) => requests)).toEqual([...Array(95).fill(0), 1]);
    clock.setWall(Date.parse("2026-03-01T03:00:00Z"));
    const on = await metrics.lastDay();
    expect(on.every(({ requests, p95 }) => requests === 0 && p95 === undefined)).toBe(true);
  });

  test.each([
    ["none", [], undefined],
    ["one of 3 ms, in the bucket to 5 ms", [3], 4.75],
    ["95 fast and 5 slow ones", [...Array(95).fill(3), ...Array(5).fill(700)], 5],
    ["94 fast and 6 slow ones", [...Array(94).fill(3), ...Array(6).fill(700)], 500 + 500 / 6],
    ["longer than all buckets", [60_000], 10_000],
  ])("95 of 100 took at most: %s", async (_, durations, expected) => {
    const { metrics, answered } = startProcess();
    for (const ms of durations) answered("http", "default", 200, ms);
    const p95 = (await metrics.lastDay()).at(-1)?.p95;
    if (expected === undefined) expect(p95).toBeUndefined();
    else expect(p95).toBeCloseTo(expected, 6);
  });

  test("how long a WebSocket was open is no duration of an answer", async () => {
    const { metrics, answered } = startProcess();
    answered("websocket", "default", 101, 3_600_000);
    const last = (await metrics.lastDay()).at(-1);
    expect([last?.requests, last?.p95]).toEqual([1, undefined]);
  });
});

describe("of several processes", () => {
  test("quarters are added up, those of an ended one too", async () => {
    const clock = testClock(Date.parse("2026-01-02T03:00:00Z"));
    const [one, other] = [startProcess(clock), startProcess(clock)];
    one.answered("http", "default", 200, 3);
    clock.advance(QUARTER_MS);
    for (const { measured } of [one, other]) measured.day.turn();
    const late = startProcess(clock);
    other.answered("http", "default", 200, 3);
    late.answered("http", "default", 200, 400);
    const gone = mergeEnded([NOTHING, await other.metrics.measures(false)]);
    const day = mergeDay(
      [one.measured.day.quarters(), gone.quarters, late.measured.day.quarters()],
      clock.now(),
    );
    expect(day.slice(-3).map(({ requests }) => requests)).toEqual([0, 1, 2]);
    expect(day.at(-1)?.p95).toBeGreaterThan(250);
  });

  test("however many have ended, a day is kept of them", () => {
    const quarters = Array.from({ length: 300 }, (_, at) => ({
      ...{ from: at * QUARTER_MS, requests: 1, logins: 0, refusals: 0, durations: Array(12).fill(1) },
    }));
    expect(mergeQuarters([quarters, quarters]).length).toBe(96);
    expect(mergeQuarters([quarters, quarters]).at(-1)).toEqual({
      ...{ from: 299 * QUARTER_MS, requests: 2, logins: 0, refusals: 0, durations: Array(12).fill(2) },
    });
  });
});
