import { type Database, SQLiteError } from "bun:sqlite";
import type { Clock } from "../../clock.ts";
import type { Logger } from "../../observe/logger.ts";
import { type Awaitable, StoreUnavailable, type Write } from "../records.ts";
import { asUnavailable, isCode } from "./failure.ts";
import { openDatabase } from "./open.ts";
import { identityOf } from "./write-ahead-log.ts";

/** The open database, as records and limits share it. */
export type SqliteHandle = {
  readonly database: Database;
  /** @throws {StoreUnavailable} if SQLite cannot do the work. */
  read<T>(work: () => T): T;
  /** The same for work that changes something. What it has committed survives the end of the process, and is there for all to see. */
  write<T>(work: () => T): T;
  /**
   * Hands on the result of a write when that is as safe as it is to be.
   * @throws {StoreUnavailable} though it was done, and may be there or not after a power cut.
   */
  kept<T>(result: T, write: Write): Awaitable<T>;
  /** Writes something of no account: reading tells nothing of a full disk. @throws {StoreUnavailable} */
  probe(): void;
  /** Whether something has failed, and no probe has succeeded since. */
  isFailing(): boolean;
  /** @throws {StoreUnavailable} if the file that is open is no longer the one at the path. */
  checkPlace(): void;
  close(): void;
};

/**
 * Waiting for the lock blocks the process, and only another process' commit is ever waited for, which is short. Beyond this
 * somebody holds the lock for no good reason.
 */
const PATIENT_MS = 2_000;
/** While somebody does: each request would block the process for as long as the first. */
const IMPATIENT_MS = 5;
/** SQLite itself looks ever less often, and where several processes write without a pause, one of them would never get to. */
const LOOK_AGAIN_MS = 1;

const MOVED = "The database file was moved or replaced while in use. Restart Runegate.";

export type HandleSettings = {
  readonly path: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Refuses a file that is to be migrated. */
  readonly asIs?: boolean;
  /** In milliseconds, for the lock that another process has. */
  readonly patience?: number;
};

/** @throws {StoreUnavailable} with what to do about it. */
export function openHandle(settings: HandleSettings): SqliteHandle {
  const { path, clock, log, asIs = false, patience: patient = PATIENT_MS } = settings;
  const { database, ahead, from, to } = openDatabase(path, clock.now(), asIs);
  if (from !== to) log.info(from === 0 ? "database created" : "database migrated", { path, schema: to });
  // Of more pages than anything else that is written at once: where this finds room, everything does.
  const fill = database.prepare<never, [number]>(
    "INSERT OR REPLACE INTO state VALUES ('probed_at', ?), ('probe', zeroblob(65536))",
  );
  const opened = identityOf(path);
  let open = true;
  let failing = false;
  let patience = patient;

  /** Only what has found the lock taken before it did anything is done again. */
  function locked<T>(work: () => T): T {
    let deadline: number | undefined;
    for (;;) {
      try {
        return work();
      } catch (error) {
        if (!isCode(error, "SQLITE_BUSY")) throw error;
        deadline ??= performance.now() + patience;
        if (performance.now() >= deadline) {
          patience = IMPATIENT_MS;
          throw error;
        }
        Bun.sleepSync(LOOK_AGAIN_MS);
      }
    }
  }

  function attempt<T>(work: () => T): T {
    if (!open) throw new StoreUnavailable("The database is closed.");
    try {
      return locked(work);
    } catch (error) {
      const thrown = asUnavailable(error);
      if (thrown instanceof StoreUnavailable && !failing) {
        failing = true;
        const code = error instanceof SQLiteError ? error.code : undefined;
        log.error("the database fails", { path, reason: thrown.message, code });
      }
      throw thrown;
    }
  }

  /** What is written to a file that has no name any more is lost at the next start. */
  function checkPlace(): void {
    if (identityOf(path) !== opened) throw new StoreUnavailable(MOVED);
  }

  function probe(): void {
    attempt(() => fill.run(clock.now()));
    patience = patient;
    if (!failing) return;
    failing = false;
    log.info("the database works again", { path });
  }

  return {
    database,
    read: attempt,
    write(work) {
      const result = attempt(() => {
        checkPlace();
        return work();
      });
      if (failing) {
        try {
          // A statement that found nothing to change proves nothing.
          probe();
        } catch (error) {
          // Known already, and the work was done.
          if (!(error instanceof StoreUnavailable)) throw error;
        }
      }
      return result;
    },
    kept(result, write) {
      if (write === "grouped") return ahead.synced().then(() => result);
      if (write === "durable") ahead.sync();
      return result;
    },
    probe,
    isFailing: () => failing,
    checkPlace,
    close() {
      if (!open) return;
      open = false;
      // The last connection of all takes the write-ahead log into the database and removes it.
      database.close(true);
      ahead.close();
    },
  };
}
