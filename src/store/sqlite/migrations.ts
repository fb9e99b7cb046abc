import type { Database } from "bun:sqlite";
import { StoreUnavailable } from "../records.ts";
import { TAKE_OVER } from "./predecessor.ts";

/**
 * The tables, as the steps that lead to them. A step that was released is never changed: what comes later is a further step.
 *
 * Times are milliseconds since the Unix epoch. Columns of one row are read together and are few, so the tables by text key
 * have no row number of their own: one search finds everything.
 */
export const MIGRATIONS: readonly string[] = [
  `
  -- What there is one of.
  CREATE TABLE state (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
  INSERT INTO state VALUES ('tickets_swept_until', 0), ('limit_keys', 0);

  CREATE TABLE tickets (jti TEXT PRIMARY KEY, expires_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE INDEX tickets_expiry ON tickets (expires_at);

  CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    ip TEXT NOT NULL,
    user_agent TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX sessions_email ON sessions (email);
  CREATE INDEX sessions_expiry ON sessions (expires_at);

  -- hits is a JSON array of times, oldest first. All times here are of the shared clock (shared-clock.ts).
  CREATE TABLE limits (
    key TEXT PRIMARY KEY,
    hits TEXT NOT NULL,
    last_at REAL NOT NULL,
    idle_at REAL NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX limits_idle ON limits (idle_at);
  CREATE INDEX limits_last ON limits (last_at);
  -- Counting the rows by looking at them would cost more than everything else about a hit.
  CREATE TRIGGER limits_added AFTER INSERT ON limits
    BEGIN UPDATE state SET value = value + 1 WHERE name = 'limit_keys'; END;
  CREATE TRIGGER limits_removed AFTER DELETE ON limits
    BEGIN UPDATE state SET value = value - 1 WHERE name = 'limit_keys'; END;

  CREATE TABLE outbox (
    position INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    recipient TEXT NOT NULL,
    subject TEXT NOT NULL,
    text TEXT NOT NULL,
    html TEXT,
    message_id TEXT NOT NULL,
    queued_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    next_attempt_at INTEGER NOT NULL,
    cooldown_key TEXT
  ) STRICT;
  CREATE INDEX outbox_due ON outbox (next_attempt_at, queued_at, position);
  `,
  `
  -- What a mail says is sealed, in one column; and some go before the others. The columns for it in clear stay, for mails of
  -- before, and for an older Runegate that still runs while this one takes its place: where it finds no text, it fails to
  -- send the mail and tries again later, so that it is left to us.
  CREATE TABLE sealed_outbox (
    position INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    recipient TEXT NOT NULL,
    subject TEXT,
    text TEXT,
    html TEXT,
    message_id TEXT NOT NULL,
    queued_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    next_attempt_at INTEGER NOT NULL,
    cooldown_key TEXT,
    content TEXT,
    first INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  INSERT INTO sealed_outbox SELECT *, NULL, 0 FROM outbox;
  DROP TABLE outbox;
  ALTER TABLE sealed_outbox RENAME TO outbox;
  CREATE INDEX outbox_due ON outbox (first, next_attempt_at, queued_at, position);
  `,
  `
  -- Rows without a seal are of an older version (session/adoption.ts), which may still run while it is taken over from.
  ALTER TABLE sessions ADD COLUMN seal TEXT NOT NULL DEFAULT '';
  `,
  TAKE_OVER,
];

/** "RnGt": marks a database as Runegate's in its header (https://www.sqlite.org/fileformat.html#application_id). */
export const APPLICATION_ID = 0x526e4774;

/** What a file holds: nothing yet, Runegate's tables at some version, or something else's. */
export type Contents =
  | { readonly kind: "empty" | "foreign" }
  | { readonly kind: "ours"; readonly version: number };

/** Only reads. */
export function contentsOf(database: Database): Contents {
  const single = (sql: string) => database.query<{ value: number }, []>(sql).get()?.value ?? 0;
  // Looked at before the mark: another process may be making both at this moment, which it does in one transaction.
  const tables = single("SELECT count(*) AS value FROM sqlite_schema");
  const mark = single("SELECT application_id AS value FROM pragma_application_id");
  if (mark === APPLICATION_ID)
    return { kind: "ours", version: single("SELECT max(version) AS value FROM schema_version") };
  if (mark === 0 && tables === 0) return { kind: "empty" };
  return { kind: "foreign" };
}

/** @throws {StoreUnavailable} where the database is not Runegate's, or a newer Runegate's. Changes nothing. */
export function checkContents(contents: Contents, path: string, known = MIGRATIONS.length): void {
  if (contents.kind === "foreign") {
    throw new StoreUnavailable(
      `${path} is a database of another program. Name a file of Runegate's own in RUNEGATE_STORE.`,
    );
  }
  if (contents.kind === "ours" && contents.version > known) {
    throw new StoreUnavailable(
      `${path} was written by a newer Runegate (schema ${contents.version}, this one knows up to ${known}). ` +
        "Run the newer version, or restore a backup from before the update.",
    );
  }
}

/**
 * Takes the database to the newest version, each step in a transaction of its own. Several processes may do so at once: each
 * step is taken by whoever comes first, and seen by the others.
 * @returns the versions before and after.
 */
export function migrate(
  database: Database,
  path: string,
  now: number,
  migrations = MIGRATIONS,
): { readonly from: number; readonly to: number } {
  /** Takes one step, if there is one left. @returns the version it found. */
  const step = database.transaction((): number => {
    const contents = contentsOf(database);
    checkContents(contents, path, migrations.length);
    const version = contents.kind === "ours" ? contents.version : 0;
    const sql = migrations[version];
    if (sql === undefined) return version;
    if (contents.kind === "empty") {
      database.run(`PRAGMA application_id = ${APPLICATION_ID}`);
      database.run(
        "CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT",
      );
    }
    database.run(sql);
    database.prepare("INSERT INTO schema_version VALUES (?, ?)").run(version + 1, now);
    return version;
  });
  const before = contentsOf(database);
  checkContents(before, path, migrations.length);
  const from = before.kind === "ours" ? before.version : 0;
  let version = from;
  while (version < migrations.length) version = step.immediate() + 1;
  return { from, to: version };
}
