import type { Clock } from "../clock.ts";
import type { Logger } from "../observe/logger.ts";
import { openOnce } from "./records.ts";
import { openHandle } from "./sqlite/handle.ts";
import { createSqliteLimits } from "./sqlite/limits.ts";
import { createPredecessorSweep } from "./sqlite/predecessor-sweep.ts";
import { createSqliteRecords } from "./sqlite/records.ts";
import { createSharedClock, type Machine, systemMachine } from "./sqlite/shared-clock.ts";
import { type Sweep, startSweeper } from "./sqlite/sweeper.ts";
import { READY_FOR_MS, type Store } from "./store.ts";

export type SqliteSettings = {
  readonly path: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly machine?: Machine;
  readonly asIs?: boolean;
};

/**
 * Everything in one SQLite file, which all processes of this machine may open. Answers are given at once, because the file
 * is local and a look-up takes microseconds; only what is written `grouped` is said when the disk has it.
 *
 * A database that fails while it is open fails the calls, not the process: no ticket is accepted, sessions that can still be
 * read go on, and all is well again when the cause is gone.
 * @throws {StoreUnavailable} if it cannot be opened, with what to do about it.
 */
export function openSqliteStore({ machine = systemMachine, ...settings }: SqliteSettings): Store {
  const { clock } = settings;
  const handle = openHandle(settings);
  const limits = createSqliteLimits(handle, createSharedClock(handle, clock, machine));
  const sweeps: Sweep[] = [limits.sweep, createPredecessorSweep(handle, clock)];
  const sweeper = startSweeper(sweeps);
  const begun = handle.database.prepare<{ at: number }, []>(
    "SELECT min(applied_at) AS at FROM schema_version",
  );
  let readyUntil = Number.NEGATIVE_INFINITY;

  return {
    records: openOnce((kind) => {
      const records = createSqliteRecords(kind, handle, clock);
      sweeps.push(records.sweep);
      return records;
    }),
    limits,
    since: () => handle.read(() => begun.get())?.at ?? 0,

    together: (work) => handle.write(() => handle.database.transaction(work).immediate()),

    ready() {
      if (clock.monotonic() < readyUntil && !handle.isFailing()) return;
      readyUntil = Number.NEGATIVE_INFINITY;
      handle.probe();
      handle.checkPlace();
      readyUntil = clock.monotonic() + READY_FOR_MS;
    },

    close() {
      sweeper.stop();
      handle.close();
      readyUntil = Number.NEGATIVE_INFINITY;
    },
  };
}
