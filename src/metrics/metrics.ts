import type { Clock } from "../clock.ts";
import { createDay, type Day, type DayPoint, mergeDay } from "./day.ts";
import type { Measures } from "./measures.ts";
import { createRegistry, type Registry } from "./registry.ts";

/** What a process measures for as long as it lives, whichever gateway serves in it. */
export type ProcessMetrics = {
  readonly registry: Registry;
  readonly day: Day;
  /** Of all processes of the instance. */
  lastDay(): Promise<readonly DayPoint[]>;
};

/** As rooms have it: they count and read by names of their own. */
export type Metrics = Omit<Registry, "snapshot" | "next"> & {
  /** 96 points of 15 minutes, oldest first, of all processes together. @throws {StoreUnavailable} where the main process does not answer */
  lastDay(): Promise<readonly DayPoint[]>;
  /** What this process has measured. @param main whether it is the main process, or the only one. */
  measures(main: boolean): Promise<Measures>;
};

/** @param lastDay where other processes have a part in it; by default there are none. */
export function createProcessMetrics(clock: Clock, lastDay?: ProcessMetrics["lastDay"]): ProcessMetrics {
  const registry = createRegistry();
  const day = createDay(registry, clock);
  return { registry, day, lastDay: lastDay ?? (async () => mergeDay([day.quarters()], clock.now())) };
}

export function createMetrics({ registry, day, lastDay }: ProcessMetrics): Metrics {
  const { snapshot, next: _, ...counting } = registry.next();
  return {
    ...counting,
    lastDay,
    measures: async (main) => ({ families: await snapshot(main), quarters: day.quarters() }),
  };
}
