import { type Database, SQLiteError } from "bun:sqlite";
import { closeSync, existsSync, fsyncSync, lstatSync, openSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { Random } from "../../clock.ts";
import { StoreUnavailable } from "../contracts.ts";
import { describeFailure } from "./failure.ts";
import { checkContents, contentsOf } from "./migrations.ts";
import { connect } from "./open.ts";

/** What a backup holds. */
export type Backup = {
  readonly bytes: number;
  readonly schema: number;
  readonly sessions: number;
  readonly spentTickets: number;
  readonly mails: number;
};

const OWNER_ONLY = 0o600;
const BUSY_TIMEOUT_MS = 10_000;

/**
 * Writes the database at `source`, as it is at one moment, to a new file at `target`, while others go on using it. The file is
 * its owner's alone, is checked, and is on the disk and whole when it appears under its name.
 * @throws {StoreUnavailable} with what to do about it; nothing is left behind then.
 */
export function backUp(source: string, target: string, random: Random): Backup {
  if (!existsSync(source)) throw new StoreUnavailable(`Nothing is kept yet: there is no ${source}.`);
  if (lstatSync(target, { throwIfNoEntry: false }) !== undefined) {
    throw new StoreUnavailable(`${target} is there already, and nothing is overwritten. Name a new file.`);
  }
  const temporary = `${target}.${Buffer.from(random.bytes(6)).toString("hex")}.tmp`;
  try {
    // SQLite fills an empty file as it would make a new one, which would be open to others.
    closeSync(openSync(temporary, "wx", OWNER_ONLY));
    const schema = copy(source, temporary);
    const held = inspect(temporary);
    sync(temporary);
    const bytes = statSync(temporary).size;
    renameSync(temporary, target);
    sync(dirname(target));
    return { bytes, schema, ...held };
  } catch (error) {
    rmSync(temporary, { force: true });
    throw inWords(error, target);
  }
}

function copy(source: string, target: string): number {
  const database = connect(source, BUSY_TIMEOUT_MS);
  try {
    const contents = contentsOf(database);
    checkContents(contents, source);
    if (contents.kind !== "ours") throw new StoreUnavailable(`Nothing is kept yet in ${source}.`);
    database.prepare("VACUUM INTO ?").run(target);
    return contents.version;
  } finally {
    database.close(true);
  }
}

function inspect(path: string): Omit<Backup, "bytes" | "schema"> {
  const database = connect(path, 0);
  try {
    const verdict = database.query<{ quick_check: string }, []>("PRAGMA quick_check(1)").get()?.quick_check;
    if (verdict !== "ok") throw new StoreUnavailable(`The copy is damaged: ${verdict}.`);
    return {
      sessions: count(database, "sessions"),
      spentTickets: count(database, "tickets"),
      mails: count(database, "outbox"),
    };
  } finally {
    database.close(true);
  }
}

function count(database: Database, table: "sessions" | "tickets" | "outbox"): number {
  return database.query<{ rows: number }, []>(`SELECT count(*) AS rows FROM ${table}`).get()?.rows ?? 0;
}

/** A file's content, or a directory's names. */
function sync(path: string): void {
  const file = openSync(path, "r");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function inWords(error: unknown, target: string): unknown {
  if (error instanceof SQLiteError) {
    // Of the two disks it is the one written to.
    if (error.code === "SQLITE_FULL") return new StoreUnavailable(`The disk of ${target} is full.`);
    return new StoreUnavailable(`${target} could not be written: ${describeFailure(error)}`, {
      cause: error,
    });
  }
  if (error instanceof Error && "code" in error && "errno" in error) {
    return new StoreUnavailable(
      `${target} cannot be written: ${error.code}. Its directory must be there, and you must be allowed to write to it.`,
      { cause: error },
    );
  }
  return error;
}
