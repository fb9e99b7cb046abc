import { SQLiteError } from "bun:sqlite";
import { StoreUnavailable } from "../records.ts";

/** Whether SQLite failed for this reason: a primary result code, which extended ones start with (https://www.sqlite.org/rescode.html). */
export function isCode(error: unknown, code: string): error is SQLiteError {
  return error instanceof SQLiteError && `${error.code}_`.startsWith(`${code}_`);
}

/** What SQLite could not do, in words for people. They name no path: `/health/ready` repeats them to anybody. */
export function describeFailure(error: SQLiteError): string {
  const known = Object.keys(WORDS).find((code) => isCode(error, code));
  return WORDS[known ?? ""] ?? `The database did not do what it was asked (${error.code}: ${error.message}).`;
}

/** The longer codes come first. */
const WORDS: Readonly<Record<string, string>> = {
  SQLITE_READONLY_DBMOVED: "The database file was moved or replaced while in use. Restart Runegate.",
  SQLITE_READONLY: "The database cannot be written: its file, its directory or its disk is read-only.",
  SQLITE_FULL: "The disk that the database is on is full.",
  SQLITE_BUSY: "The database was locked by another program for too long.",
  SQLITE_LOCKED: "The database was locked by another program for too long.",
  SQLITE_CANTOPEN:
    "The database cannot be opened: its directory must be there and be writable for the service's user.",
  SQLITE_PERM: "The database cannot be opened: the service's user has no right to.",
  SQLITE_CORRUPT: "The database is damaged. Restore it from a backup.",
  SQLITE_NOTADB: "The database is damaged, or is none. Restore it from a backup.",
  SQLITE_IOERR: "The disk that the database is on failed to read or write.",
  SQLITE_NOMEM: "There is no memory left for the database.",
};

/** What to throw instead of `error`: of SQLite's failures the words above; anything else is a mistake in here, and stays. */
export function asUnavailable(error: unknown): unknown {
  if (!(error instanceof SQLiteError)) return error;
  return new StoreUnavailable(describeFailure(error), { cause: error });
}
