import type { Database } from "bun:sqlite";
import { StoreUnavailable } from "../records.ts";
import { TAKE_OVER } from "./predecessor.ts";

/**
 * The first makes the newest tables in a new file; each of the others takes a file from the version of its number to the next.
 * What was released is never changed: what comes later is a further step. Each kind of records makes its own table.
 */
export const MIGRATIONS: readonly string[] = [
  `
  -- What there is one of.
  CREATE TABLE state (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
  INSERT INTO state VALUES ('limit_keys', 0);

  -- hits is a JSON array of times, oldest first. All times here are milliseconds of the shared clock (shared-clock.ts).
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
  `,
  `
  ALTER TABLE outbox ADD COLUMN content TEXT;
  ALTER TABLE outbox ADD COLUMN first INTEGER NOT NULL DEFAULT 0;
  `,
  "ALTER TABLE sessions ADD COLUMN seal TEXT NOT NULL DEFAULT ''",
  TAKE_OVER,
];

/** "RnGt": marks a database as Runegate's in its header (https://www.sqlite.org/fileformat.html#application_id). */
export const APPLICATION_ID = 0x526e4774;

/** What a file holds: nothing yet, Runegate's tables at some version, or something else's. */
export type Contents =
  | { readonly kind: "empty" | "foreign"; readonly version: 0 }
  | { readonly kind: "ours"; readonly version: number };

/** Only reads. */
export function contentsOf(database: Database): Contents {
  const single = (sql: string) => database.query<{ value: number }, []>(sql).get()?.value ?? 0;
  // Looked at before the mark: another process may be making both at this moment, which it does in one transaction.
  const tables = single("SELECT count(*) AS value FROM sqlite_schema");
  const mark = single("SELECT application_id AS value FROM pragma_application_id");
  if (mark === APPLICATION_ID)
    return { kind: "ours", version: single("SELECT max(version) AS value FROM schema_version") };
  return { kind: mark === 0 && tables === 0 ? "empty" : "foreign", version: 0 };
}

/** @throws {StoreUnavailable} where the database is not Runegate's, or a newer Runegate's. Changes nothing. */
export function checkContents({ kind, version }: Contents, path: string, known = MIGRATIONS.length): void {
  if (kind === "foreign") {
    throw new StoreUnavailable(
      `${path} is a database of another program. Name a file of Runegate's own in RUNEGATE_STORE.`,
    );
  }
  if (version > known) {
    throw new StoreUnavailable(
      `${path} was written by a newer Runegate (schema ${version}, this one knows up to ${known}). ` +
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
  const newest = migrations.length;
  function look(): Contents {
    const contents = contentsOf(database);
    checkContents(contents, path, newest);
    return contents;
  }

  /** Takes one step, if there is one left. @returns the version that it leads to. */
  const step = database.transaction((): number => {
    const { kind, version } = look();
    const sql = migrations[version];
    if (sql === undefined) return version;
    if (kind === "empty") {
      database.run(`PRAGMA application_id = ${APPLICATION_ID}`);
      database.run(
        "CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT",
      );
    }
    database.run(sql);
    const next = kind === "empty" ? newest : version + 1;
    database.prepare("INSERT INTO schema_version VALUES (?, ?)").run(next, now);
    return next;
  });
  const from = look().version;
  let version = from;
  while (version < newest) version = step.immediate();
  return { from, to: version };
}
