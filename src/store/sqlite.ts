import type { Clock } from "../clock.ts";
import type { Logger } from "../observe/logger.ts";
import { READY_FOR_MS, type Stores } from "./contracts.ts";
import { openOnce } from "./records.ts";
import { openHandle } from "./sqlite/handle.ts";
import { createSqliteLimits } from "./sqlite/limits.ts";
import { createSqliteOutbox } from "./sqlite/outbox.ts";
import { createSqliteRecords } from "./sqlite/records.ts";
import { createSqliteSessions } from "./sqlite/sessions.ts";
import { createSharedClock, type Machine, systemMachine } from "./sqlite/shared-clock.ts";
import { type Sweep, startSweeper } from "./sqlite/sweeper.ts";
import { createSqliteTickets } from "./sqlite/tickets.ts";

export type SqliteSettings = {
  readonly path: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly machine?: Machine;
};

/**
 * Everything in one SQLite file, which all processes of this machine may open. Answers are given at once, because the file
 * is local and a look-up takes microseconds; only that a mail is queued is said when the disk has it.
 *
 * A database that fails while it is open fails the calls, not the process: no ticket is accepted, sessions that can still be
 * read go on, and all is well again when the cause is gone.
 * @throws {StoreUnavailable} if it cannot be opened, with what to do about it.
 */
export function openSqliteStores({ path, clock, log, machine = systemMachine }: SqliteSettings): Stores {
  const handle = openHandle({ path, clock, log });
  const tickets = createSqliteTickets(handle, clock);
  const sessions = createSqliteSessions(handle, clock);
  const limits = createSqliteLimits(handle, createSharedClock(handle, clock, machine));
  const sweeps: Sweep[] = [tickets.sweep, sessions.sweep, limits.sweep];
  const sweeper = startSweeper(sweeps);
  let readyUntil = Number.NEGATIVE_INFINITY;

  return {
    records: openOnce((kind) => {
      const records = createSqliteRecords(kind, handle, clock);
      sweeps.push(records.sweep);
      return records;
    }),
    tickets,
    sessions,
    limits,
    outbox: createSqliteOutbox(handle),

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
