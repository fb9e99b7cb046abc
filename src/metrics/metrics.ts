import type { Clock } from "../clock.ts";
import { createDay, type Day, type DayPoint, mergeDay } from "./day.ts";
import { createRegistry, type Registry } from "./registry.ts";

/** What a process measures for as long as it lives, whichever gateway serves in it. */
export type ProcessMetrics = {
  readonly registry: Registry;
  readonly day: Day;
  /** Of all processes of the instance. */
  lastDay(): Promise<readonly DayPoint[]>;
};

/** As rooms have it: they count and read by names of their own. */
export type Metrics = Registry & {
  /** Whether somebody looks. Where nobody does, nothing is counted that happens with every request. */
  readonly on: boolean;
  /** 96 points of 15 minutes, oldest first, of all processes together. */
  lastDay(): Promise<readonly DayPoint[]>;
};

/** @param lastDay where other processes have a part in it; by default there are none. */
export function createProcessMetrics(clock: Clock, lastDay?: ProcessMetrics["lastDay"]): ProcessMetrics {
  const registry = createRegistry();
  const day = createDay(registry, clock);
  return { registry, day, lastDay: lastDay ?? (async () => mergeDay([day.quarters()], clock.now())) };
}

export function createMetrics({ registry, lastDay }: ProcessMetrics, on: boolean): Metrics {
  return { ...registry.next(), on, lastDay };
}
