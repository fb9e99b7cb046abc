import { closeSync, fdatasync, fdatasyncSync, fsyncSync, openSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { StoreUnavailable } from "../records.ts";

/** Takes what was committed to the disk, so that it survives a power cut. */
export type WriteAheadLog = {
  /** While the process waits. @throws {StoreUnavailable} */
  sync(): void;
  /** While it goes on, together with whatever else is committed meanwhile. @throws {StoreUnavailable} */
  synced(): Promise<void>;
  close(): void;
};

/**
 * SQLite syncs nothing as it commits (`synchronous=NORMAL`), and what was committed is in the log, or in the database and synced:
 * it sees to that before it begins the log anew. The log is one file as long as anybody has the database open, and bears no
 * locks, so that others than SQLite may open and close it, unlike the database.
 * @throws {StoreUnavailable}
 */
export function openWriteAheadLog(database: string): WriteAheadLog {
  const path = `${database}-wal`;
  const file = onDisk(() => openSync(path, "r"));
  const opened = identityOf(path);
  let syncing = false;
  let closed = false;
  let last: Promise<void> = Promise.resolve();
  let next: Promise<void> | undefined;
  // Its name must survive as well, and is made anew at each start.
  onDisk(() => syncDirectory(dirname(path)));

  function checkPlace(): void {
    if (closed || identityOf(path) !== opened) throw new Error("the write-ahead log is gone");
  }

  async function begin(): Promise<void> {
    next = undefined;
    onDisk(checkPlace);
    syncing = true;
    try {
      await promisify(fdatasync)(file);
    } catch (error) {
      throw failed(error);
    } finally {
      syncing = false;
      if (closed) closeSync(file);
    }
  }

  return {
    sync: () =>
      onDisk(() => {
        checkPlace();
        fdatasyncSync(file);
      }),

    /** One at a time. Whoever comes while one is under way shares the one after it, which covers what they have committed. */
    synced() {
      next ??= last.catch(() => {}).then(() => (last = begin()));
      return next;
    },

    close() {
      closed = true;
      if (!syncing) closeSync(file);
    },
  };
}

/** Which file is at a path, if any. */
export function identityOf(path: string): string | undefined {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats && `${stats.dev}:${stats.ino}`;
}

function syncDirectory(path: string): void {
  const directory = openSync(path, "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

function onDisk<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw failed(error);
  }
}

function failed(cause: unknown): StoreUnavailable {
  return new StoreUnavailable("The disk that the database is on failed to write.", { cause });
}
