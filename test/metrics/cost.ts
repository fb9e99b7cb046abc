import { systemClock } from "../../src/clock.ts";
import { createMetrics, createProcessMetrics } from "../../src/metrics/metrics.ts";
import { createRequestCounts } from "../../src/metrics/requests.ts";
import { timeStore } from "../../src/metrics/store.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { costOf } from "../support/cost.ts";

/** What counting costs a request: `bun test/metrics/cost.ts`, in microseconds of processor time. */

const REQUESTS = 2_000_000;

/** @returns microseconds for each. */
export function microseconds(work: (n: number) => void, times = REQUESTS): number {
  // What is compiled by then is measured.
  for (let n = 0; n < times / 10; n++) work(n);
  const ms = costOf(() => {
    for (let n = 0; n < times; n++) work(n);
  });
  return (ms * 1000) / times;
}

/** All that is counted of one request for an application: `Forward` and the door do so. */
export function countedRequest(): (n: number) => void {
  const metrics = createMetrics(createProcessMetrics(systemClock));
  const counts = createRequestCounts(metrics);
  const routes = Array.from({ length: 8 }, (_, at) => ({ name: `route${at}`, of: counts.of(`route${at}`) }));
  return (n) => {
    const route = routes[n % 8] ?? { name: "", of: counts.of("") };
    route.of.passedOn((systemClock.monotonic() - 1) / 1000);
    route.of.received.value += n % 100;
    counts.answered("http", route.name, n % 50 === 0 ? 404 : 200, n % 30, 1_000);
  };
}

const KIND = { name: "thing", by: [], capacity: 10 } as const;

if (import.meta.main) {
  const store = createMemoryStore({ clock: systemClock });
  const metrics = createMetrics(createProcessMetrics(systemClock));
  const plain = store.records<object>(KIND);
  const timed = timeStore(store, metrics, systemClock).records<object>(KIND);
  plain.add("a", {}, systemClock.now() + 3_600_000);
  for (const [name, work] of [
    ["a request, counted", countedRequest()],
    ["of it, the clock", () => void systemClock.monotonic()],
    ["a look into the store in memory", () => void plain.get("a")],
    ["the same, timed", () => void timed.get("a")],
  ] as const) {
    console.log(`${name}: ${microseconds(work).toFixed(3)} µs`);
  }
}
