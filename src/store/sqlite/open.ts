import { Database } from "bun:sqlite";
import { chmodSync, closeSync, fchownSync, openSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { MIB } from "../../option/values.ts";
import { StoreOlder, StoreUnavailable } from "../records.ts";
import { asUnavailable, isCode } from "./failure.ts";
import { checkContents, contentsOf, MIGRATIONS, migrate } from "./migrations.ts";
import { openWriteAheadLog, type WriteAheadLog } from "./write-ahead-log.ts";

const OWNER_ONLY = 0o600;
/** Another process may be creating or migrating the database. Nothing is served yet, so waiting costs nobody. */
const OPENING_TIMEOUT_MS = 10_000;
const LOOK_AGAIN_MS = 5;

/** Once the database is open. How the lock is waited for is then the handle's affair. */
const TUNING = [
  "busy_timeout = 0",
  // What is committed outlives `kill -9` of every process. What outlives a power cut: see `write-ahead-log.ts`.
  "synchronous = NORMAL",
  // After so many pages of 4 KiB, the log is taken into the database, which waits for the disk: 30 MB cost hardly more than
  // SQLite's 4 MB, because they hold much the same pages, and so it happens eight times less often.
  "wal_autocheckpoint = 8000",
  // What a burst has made of the log is given back at the next checkpoint, down to this.
  `journal_size_limit = ${8 * MIB}`,
  // In KiB. With a million sessions, looking up those in use takes half the time it takes with SQLite's 2 MB.
  `cache_size = ${-16 * 1024}`,
];

export type Opened = {
  readonly database: Database;
  readonly ahead: WriteAheadLog;
  /** The versions before and after. */
  readonly from: number;
  readonly to: number;
};

/**
 * Opens the database file at `path`, creates it where there is none, and brings its tables up to date, or not: `asIs`.
 *
 * The file is never opened by other means than SQLite while SQLite has it open: closing any descriptor of it would drop the
 * process' locks (https://www.sqlite.org/howtocorrupt.html, 2.2).
 * @throws {StoreUnavailable} with what to do about it.
 */
export function openDatabase(path: string, now: number, asIs = false): Opened {
  createFile(path);
  const database = connect(path, OPENING_TIMEOUT_MS);
  try {
    // Before anything is written to it: what is not ours stays as it is.
    const contents = contentsOf(database);
    checkContents(contents, path);
    if (asIs && contents.kind === "ours" && contents.version < MIGRATIONS.length) throw new StoreOlder();
    restrictToOwner(path);
    useWriteAheadLog(database, path);
    const versions = migrate(database, path, now);
    for (const pragma of TUNING) database.run(`PRAGMA ${pragma}`);
    return { database, ahead: openWriteAheadLog(path), ...versions };
  } catch (error) {
    database.close(true);
    if (isCode(error, "SQLITE_NOTADB")) {
      throw new StoreUnavailable(
        `${path} is not a database. Name a file of Runegate's own in RUNEGATE_STORE.`,
      );
    }
    throw asUnavailable(error);
  }
}

/** @throws {StoreUnavailable} */
export function connect(path: string, busyTimeoutMs: number): Database {
  try {
    const database = new Database(path, { readwrite: true, create: false, strict: true });
    database.run(`PRAGMA busy_timeout = ${busyTimeoutMs}`);
    // What is deleted is overwritten and not only given free: addresses, and mails that an older version queued in clear.
    database.run("PRAGMA secure_delete = ON");
    return database;
  } catch (error) {
    throw asUnavailable(error);
  }
}

/**
 * Creates the file, so that it is its owner's alone from the first moment; SQLite gives its log and its index the mode of the
 * database. What root creates, by a command before the service's first start, belongs to whom the directory belongs to.
 */
function createFile(path: string): void {
  const directory = dirname(path);
  const owner = statSync(directory, { throwIfNoEntry: false });
  if (!owner?.isDirectory()) {
    throw new StoreUnavailable(
      `There is no directory ${directory} for the database. Create it for the service's user, for its eyes only: ` +
        `install -d -m 700 -o USER ${directory}`,
    );
  }
  let file: number;
  try {
    file = openSync(path, "wx", OWNER_ONLY);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "EEXIST") return;
    throw new StoreUnavailable(`${path} cannot be created${WHY_NOT[String(code)] ?? ` (${code})`}.`);
  }
  try {
    if (process.getuid?.() === 0) fchownSync(file, owner.uid, owner.gid);
  } finally {
    closeSync(file);
  }
}

const WHY_NOT: Readonly<Record<string, string>> = {
  EACCES: ": its directory must be writable for the service's user",
  EROFS: ": its disk is read-only",
  ENOSPC: ": its disk is full",
};

/** A database that was copied here by hand is often readable by all. */
function restrictToOwner(path: string): void {
  for (const file of [path, `${path}-wal`, `${path}-shm`]) {
    const mode = statSync(file, { throwIfNoEntry: false })?.mode ?? OWNER_ONLY;
    if ((mode & 0o077) === 0) continue;
    try {
      chmodSync(file, OWNER_ONLY);
    } catch {
      throw new StoreUnavailable(
        `${file} can be read by others, and that cannot be changed: chmod 600 ${file}`,
      );
    }
  }
}

/** The mode stays with the file: this writes only the first time. */
function useWriteAheadLog(database: Database, path: string): void {
  const deadline = performance.now() + OPENING_TIMEOUT_MS;
  for (;;) {
    try {
      const mode = database
        .query<{ journal_mode: string }, []>("PRAGMA journal_mode = WAL")
        .get()?.journal_mode;
      if (mode === "wal") return;
      throw new StoreUnavailable(
        `${path} is on a file system that processes cannot share memory on. Keep it on a local disk.`,
      );
    } catch (error) {
      // The change of mode does not wait by itself when two processes try it at once.
      if (!isCode(error, "SQLITE_BUSY") || performance.now() > deadline) throw error;
      Bun.sleepSync(LOOK_AGAIN_MS);
    }
  }
}
