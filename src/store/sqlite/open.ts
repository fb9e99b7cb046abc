import { Database, SQLiteError } from "bun:sqlite";
import { chmodSync, closeSync, fchownSync, openSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { MIB } from "../../option/values.ts";
import { StoreUnavailable } from "../records.ts";
import { asUnavailable } from "./failure.ts";
import { checkContents, contentsOf, migrate } from "./migrations.ts";
import { LEAVE_BEHIND } from "./predecessor.ts";

const OWNER_ONLY = 0o600;
/** Another process may be creating or migrating the database. Nothing is served yet, so waiting costs nobody. */
const OPENING_TIMEOUT_MS = 10_000;
/** What a burst has made of the write-ahead log is given back at the next checkpoint, down to this. */
const JOURNAL_LIMIT_BYTES = 8 * MIB;
/**
 * After so much, in pages of 4 KiB, the write-ahead log is taken into the database, which waits for the disk: 30 MB cost hardly
 * more than SQLite's 4 MB, because they hold much the same pages, and so it happens eight times less often.
 */
const CHECKPOINT_PAGES = 8_000;
/** With a million sessions, looking up those in use takes half the time it takes with SQLite's 2 MB. */
const CACHE_KIBIBYTES = 16 * 1024;

/**
 * How sure a commit is when it returns. Both outlive `kill -9` of every process at any moment: the data is with the kernel
 * then. `power-cut` has also been synced to the disk (0.1 to 10 ms, during which the process does nothing else); `kill`
 * may lose its last commits when the machine goes down, in order, and is never torn (https://www.sqlite.org/pragma.html#pragma_synchronous).
 */
export type Survives = "power-cut" | "kill";

export type Opened = { readonly database: Database; readonly from: number; readonly to: number };

/**
 * Opens the database file at `path`, creates it where there is none, and brings its tables up to date.
 *
 * The file is never opened by other means than SQLite while SQLite has it open: closing any descriptor of it would drop the
 * process' locks (https://www.sqlite.org/howtocorrupt.html, 2.2).
 * @throws {StoreUnavailable} with what to do about it.
 */
export function openDatabase(path: string, now: number): Opened {
  createFile(path);
  const database = connect(path, OPENING_TIMEOUT_MS);
  try {
    // Before anything is written to it: what is not ours stays as it is.
    checkContents(contentsOf(database), path);
    restrictToOwner(path);
    useWriteAheadLog(database, path);
    const versions = migrate(database, path, now);
    if (versions.from === 0) database.run(LEAVE_BEHIND);
    tune(database, "power-cut");
    return { database, ...versions };
  } catch (error) {
    database.close(true);
    if (error instanceof SQLiteError && error.code?.startsWith("SQLITE_NOTADB")) {
      throw new StoreUnavailable(
        `${path} is not a database. Name a file of Runegate's own in RUNEGATE_STORE.`,
      );
    }
    throw asUnavailable(error);
  }
}

/** A further connection to a database that {@link openDatabase} has opened. @throws {StoreUnavailable} */
export function openConnection(path: string, survives: Survives): Database {
  const database = connect(path, OPENING_TIMEOUT_MS);
  try {
    tune(database, survives);
    return database;
  } catch (error) {
    database.close(true);
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

function tune(database: Database, survives: Survives): void {
  // How the lock is waited for is the handle's affair.
  database.run("PRAGMA busy_timeout = 0");
  database.run(`PRAGMA synchronous = ${survives === "power-cut" ? "FULL" : "NORMAL"}`);
  database.run(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
  database.run(`PRAGMA journal_size_limit = ${JOURNAL_LIMIT_BYTES}`);
  database.run(`PRAGMA cache_size = ${-CACHE_KIBIBYTES}`);
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
      const busy = error instanceof SQLiteError && error.code?.startsWith("SQLITE_BUSY");
      if (!busy || performance.now() > deadline) throw error;
      Bun.sleepSync(5);
    }
  }
}
