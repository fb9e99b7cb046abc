import { type Database, SQLiteError } from "bun:sqlite";
import type { Stats } from "node:fs";
import { statSync } from "node:fs";
import { open as openFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { Clock } from "../../clock.ts";
import type { Logger } from "../../observe/logger.ts";
import { StoreUnavailable } from "../records.ts";
import { asUnavailable } from "./failure.ts";
import { openConnection, openDatabase } from "./open.ts";

/** The open database, as the four stores share it. */
export type SqliteHandle = {
  /** A commit here survives a power cut: for what was promised to somebody, and for what must not come back. */
  readonly durable: Database;
  /** A commit here survives the end of the process: for what may be lost with the machine, and must be cheap. */
  readonly relaxed: Database;
  /** @throws {StoreUnavailable} if SQLite cannot do the work. */
  read<T>(work: () => T): T;
  /** The same for work that changes something. */
  write<T>(work: () => T): T;
  /**
   * Waits until what has been committed on `relaxed` survives a power cut too, while the process goes on: for what a crowd may
   * cause, and somebody waits for.
   * @throws {StoreUnavailable}
   */
  synced(): Promise<void>;
  /** Writes something of no account: reading tells nothing of a full disk. @throws {StoreUnavailable} */
  probe(): void;
  /** Whether something has failed, and no probe has succeeded since. */
  isFailing(): boolean;
  /** @throws {StoreUnavailable} if the file that is open is no longer the one at the path. */
  checkPlace(): void;
  close(): void;
};

/**
 * Waiting for the lock blocks the process, and only another process' commit is ever waited for, which takes as long as the
 * disk needs to sync. Beyond this somebody holds the lock for no good reason.
 */
const PATIENT_MS = 2_000;
/** While somebody does: each request would block the process for as long as the first. */
const IMPATIENT_MS = 5;
/** SQLite itself looks ever less often, and where several processes write without a pause, one of them would never get to. */
const LOOK_AGAIN_MS = 1;

export type HandleSettings = {
  readonly path: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** In milliseconds, for the lock that another process has. */
  readonly patience?: number;
};

/** @throws {StoreUnavailable} with what to do about it. */
export function openHandle(settings: HandleSettings): SqliteHandle {
  const { path, clock, log, patience: patient = PATIENT_MS } = settings;
  const { database: durable, from, to } = openDatabase(path, clock.now());
  let relaxed: Database;
  try {
    relaxed = openConnection(path, "kill");
  } catch (error) {
    durable.close(true);
    throw error;
  }
  if (from !== to) log.info(from === 0 ? "database created" : "database migrated", { path, schema: to });
  // Of more pages than anything else that is written at once: where this finds room, everything does.
  const fill = relaxed.prepare<never, [number]>(
    "INSERT OR REPLACE INTO state VALUES ('probed_at', ?), ('probe', zeroblob(65536))",
  );
  const opened = identityOf(path);
  let open = true;
  let failing = false;
  let patience = patient;
  let named = false;
  let sync: Promise<void> | undefined;
  let followingSync: Promise<void> | undefined;

  /** Only what has found the lock taken before it did anything is done again. */
  function locked<T>(work: () => T): T {
    let deadline: number | undefined;
    for (;;) {
      try {
        return work();
      } catch (error) {
        if (!(error instanceof SQLiteError && error.code?.startsWith("SQLITE_BUSY"))) throw error;
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
        log.error("the database fails", { path, reason: thrown.message, code: codeOf(error) });
      }
      throw thrown;
    }
  }

  /** What is written to a file that has no name any more is lost at the next start. */
  function checkPlace(): void {
    if (identityOf(path) === opened) return;
    throw new StoreUnavailable("The database file was moved or replaced while in use. Restart Runegate.");
  }

  /**
   * What was committed is in the write-ahead log, or in the database and synced: SQLite sees to that before it begins the log
   * anew. No locks are held on the log, so that it may be opened and closed by others than SQLite, unlike the database.
   */
  async function syncLog(): Promise<void> {
    try {
      // Its name must survive as well, and is made anew at each start.
      if (!named) await syncFile(dirname(path), "sync");
      named = true;
      await syncFile(`${path}-wal`, "datasync");
    } catch (error) {
      throw new StoreUnavailable("The disk that the database is on failed to write.", { cause: error });
    }
  }

  /** One at a time. Whoever comes while one is under way shares the one after it, which covers what they have committed. */
  function synced(): Promise<void> {
    followingSync ??= (async () => {
      await sync?.catch(() => {});
      followingSync = undefined;
      sync = syncLog();
      return sync;
    })();
    return followingSync;
  }

  function probe(): void {
    attempt(() => fill.run(clock.now()));
    patience = patient;
    if (!failing) return;
    failing = false;
    log.info("the database works again", { path });
  }

  return {
    durable,
    relaxed,
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
    synced,
    probe,
    isFailing: () => failing,
    checkPlace,
    close() {
      if (!open) return;
      open = false;
      // The last connection of all takes the write-ahead log into the database and removes it.
      relaxed.close(true);
      durable.close(true);
    },
  };
}

async function syncFile(path: string, how: "sync" | "datasync"): Promise<void> {
  const file = await openFile(path, "r");
  try {
    await file[how]();
  } finally {
    await file.close();
  }
}

function identityOf(path: string): string | undefined {
  const stats: Stats | undefined = statSync(path, { throwIfNoEntry: false });
  return stats && `${stats.dev}:${stats.ino}`;
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}
