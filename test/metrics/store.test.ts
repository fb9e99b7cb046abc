import { describe, expect, test } from "bun:test";
import { createRegistry } from "../../src/metrics/registry.ts";
import { timeStore } from "../../src/metrics/store.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { type Kind, type Records, StoreUnavailable } from "../../src/store/records.ts";
import type { Store } from "../../src/store/store.ts";
import { testClock } from "../support/clock.ts";

/** A store whose calls are timed is the same store. */

type Thing = { readonly owner: string };
const THINGS: Kind<Thing> = { name: "thing", by: ["owner"] };

function timed(
  change: (records: Records<Thing>, clock: ReturnType<typeof testClock>) => Partial<Records<Thing>>,
) {
  const clock = testClock();
  const registry = createRegistry();
  const memory = createMemoryStore({ clock });
  const store = {
    ...memory,
    records: (kind: Kind<Thing>) => ({ ...memory.records(kind), ...change(memory.records(kind), clock) }),
  } as Store;
  return { clock, registry, things: timeStore(store, registry, clock).records(THINGS) };
}

const errors = (registry: ReturnType<typeof createRegistry>, op: string) =>
  registry.counted("runegate_store_errors_total").find(([[name]]) => name === op)?.[1][0];
const durations = (registry: ReturnType<typeof createRegistry>, op: string) =>
  registry.counted("runegate_store_duration_seconds").find(([[name]]) => name === op)?.[1];

describe("a timed store", () => {
  test("answers at once where the store does, and counts what was done to no record by name", () => {
    const { clock, registry, things } = timed(() => ({}));
    expect(things.add("one", { owner: "ada" }, clock.now() + 1000)).toBe(true);
    expect(things.get("one")).toMatchObject({ record: { owner: "ada" } });
    expect(things.count()).toBe(1);
    for (const op of ["add", "get", "count"]) expect(durations(registry, op)?.[0]).toBe(1);
    expect(errors(registry, "get")).toBe(0);
  });

  test("times what takes long to its end", async () => {
    const { clock, registry, things } = timed((records, at) => ({
      async get(id) {
        at.advance(30);
        return records.get(id);
      },
    }));
    expect(await things.get("none")).toBeUndefined();
    const took = durations(registry, "get");
    // The bucket to 50 ms, and the sum.
    expect([took?.[6], took?.at(-1)]).toEqual([1, 0.03]);
    expect(clock.monotonic()).toBe(1_030);
  });

  test.each([
    [
      "at once",
      () => {
        throw new StoreUnavailable("away");
      },
    ],
    [
      "later",
      async () => {
        throw new StoreUnavailable("away");
      },
    ],
  ])("a failure %s is an error, and still thrown as it was", async (_, get) => {
    const { registry, things } = timed(() => ({ get }));
    const asked = async () => things.get("one");
    expect(asked()).rejects.toBeInstanceOf(StoreUnavailable);
    await asked().catch(() => {});
    expect(errors(registry, "get")).toBe(2);
  });
});
