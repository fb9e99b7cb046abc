import type { Database } from "bun:sqlite";
import { statSync } from "node:fs";
import type { Clock } from "../../clock.ts";
import { type Contents, type Counted, PAGE, type Plain, type Row, type Shape } from "../contents.ts";
import { StoreOlder, StoreUnavailable } from "../records.ts";
import { asUnavailable, isCode } from "./failure.ts";
import { checkContents, contentsOf, MIGRATIONS } from "./migrations.ts";
import { connect, openDatabase } from "./open.ts";
import { createSharedClock, systemMachine } from "./shared-clock.ts";
import { createTable } from "./table.ts";

const PATIENCE_MS = 2_000;

/** What is in a database file. Opening one that is there changes nothing about it. */
export function openSqliteContents(
  path: string,
  { clock, made }: { readonly clock: Clock; readonly made: boolean },
): Contents {
  const size = statSync(path, { throwIfNoEntry: false })?.size;
  if (size === undefined && !made) throw new StoreUnavailable(`Nothing is kept yet: there is no ${path}.`);
  if (made && !size) {
    const { database, ahead } = openDatabase(path, clock.now());
    database.close(true);
    ahead.close();
  }
  const database = connect(path, PATIENCE_MS);
  const doing = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      throw asUnavailable(error);
    }
  };
  const single = (sql: string, ...values: (string | number)[]) =>
    doing(() => database.query<{ value: number }, (string | number)[]>(sql).get(...values)?.value);
  const here = doing(() => contentsOf(database));
  try {
    checkContents(here, path);
  } catch (error) {
    database.close(true);
    throw error;
  }

  /** @throws {StoreUnavailable} for one that a gateway has to take to this version first. */
  function mustBeCurrent(): void {
    if (here.version !== MIGRATIONS.length) throw new StoreOlder();
  }

  const tables = () =>
    doing(() =>
      database
        .query<{ name: string }, []>(
          "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'records\\_%' ESCAPE '\\'",
        )
        .all()
        .map(({ name }) => name),
    );
  /** As the limits do it: of this machine, by the wall clock where there was none before. */
  const sharedClock = () => createSharedClock({ database, write: doing }, clock, systemMachine);

  return {
    async kinds() {
      mustBeCurrent();
      return tables()
        .filter((table) => single(`SELECT 1 AS value FROM ${quoted(table)} LIMIT 1`) !== undefined)
        .map((table) => table.slice("records_".length));
    },

    async *rows({ name, once }, from) {
      if (!tables().includes(`records_${name}`)) return;
      const statement = database.query<Row, [string, number, number]>(
        `SELECT id, ${once ? 0 : "version"} AS version, expires_at AS expires, body FROM records_${name}
          WHERE id > ?1 AND expires_at > ?2 ORDER BY id LIMIT ?3`,
      );
      for (let after = ""; ; ) {
        const page = doing(() => statement.all(after, from, PAGE));
        if (page.length > 0) yield page;
        if (page.length < PAGE) return;
        after = page.at(-1)?.id ?? "";
      }
    },

    forgottenUntil: async ({ name }) =>
      single("SELECT value FROM state WHERE name = ?", `swept:${name}`) ?? 0,

    async *counted() {
      const ahead = sharedClock()() - clock.now();
      const statement = database.query<{ key: string; hits: string; idle: number }, [string, number]>(
        "SELECT key, hits, idle_at AS idle FROM limits WHERE key > ? ORDER BY key LIMIT ?",
      );
      for (let after = ""; ; ) {
        const page = doing(() => statement.all(after, PAGE));
        if (page.length > 0)
          yield page.map(({ key, hits, idle }) => ({
            ...{ key, until: idle - ahead },
            hits: (JSON.parse(hits) as number[]).map((hit) => hit - ahead),
          }));
        if (page.length < PAGE) return;
        after = page.at(-1)?.key ?? "";
      }
    },

    async since() {
      return here.kind === "ours" ? single("SELECT min(applied_at) AS value FROM schema_version") : undefined;
    },

    async inUse() {
      if (database.inTransaction) return undefined;
      try {
        // Whoever else has it open keeps it in the mode in which they share it.
        database.run("PRAGMA journal_mode = DELETE");
        database.run("PRAGMA locking_mode = EXCLUSIVE");
        database.run("BEGIN EXCLUSIVE");
        database.run("COMMIT");
        return undefined;
      } catch (error) {
        if (isCode(error, "SQLITE_BUSY"))
          return `A gateway, or another copy, has ${path} open, or FROM and TO are the same file`;
        throw asUnavailable(error);
      }
    },

    async refill(work) {
      mustBeCurrent();
      doing(() => database.run("BEGIN EXCLUSIVE"));
      try {
        doing(() => {
          for (const table of ["limits", ...tables()]) database.run(`DELETE FROM ${quoted(table)}`);
          database.run("DELETE FROM state WHERE name LIKE 'swept:%'");
        });
        const ahead = sharedClock()() - clock.now();
        await work({
          open: async (kind, until) => doing(() => open(database, kind, until)),
          put: async (kind, rows) => doing(() => put(database, kind, rows)),
          count: async (counted) => doing(() => count(database, counted, ahead)),
          remembers: async (since) =>
            doing(() => void database.prepare("UPDATE schema_version SET applied_at = ?").run(since)),
        });
        doing(() => database.run("COMMIT"));
      } catch (error) {
        if (database.inTransaction) database.run("ROLLBACK");
        throw error;
      }
    },

    async look() {
      mustBeCurrent();
      doing(() => database.prepare("INSERT OR REPLACE INTO state VALUES ('probed_at', ?)").run(clock.now()));
      const version = database.query<{ value: string }, []>("SELECT sqlite_version() AS value").get()?.value;
      const sound = database.query<{ quick_check: string }, []>("PRAGMA quick_check(1)").get()?.quick_check;
      const damage = {
        option: path,
        problem: `is damaged: ${sound}`,
        remedy: "Restore it from a backup.",
      };
      return {
        ...{ server: `SQLite ${version}`, layout: here.version, survivesRestart: true },
        findings: sound === "ok" ? [] : [damage],
      };
    },

    async close() {
      database.close(true);
    },
  };
}

/** Whatever somebody has named a table of theirs. */
const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;

function open(database: Database, kind: Shape, until: number): void {
  createTable<Plain>(kind, database);
  if (kind.once)
    database.prepare("UPDATE state SET value = ? WHERE name = ?").run(until, `swept:${kind.name}`);
}

function put(database: Database, { name }: Shape, rows: readonly Row[]): void {
  const insert = database.query<never, [string, number, number, string]>(
    `INSERT INTO records_${name} (id, version, expires_at, body) VALUES (?, ?, ?, ?)`,
  );
  for (const { id, version, expires, body } of rows) insert.run(id, version, expires, body);
}

function count(database: Database, counted: readonly Counted[], ahead: number): void {
  const insert = database.query<never, [string, string, number, number]>(
    "INSERT INTO limits (key, hits, last_at, idle_at) VALUES (?, ?, ?, ?)",
  );
  for (const { key, hits, until } of counted) {
    const moved = hits.map((hit) => hit + ahead);
    insert.run(key, JSON.stringify(moved), moved.at(-1) ?? 0, until + ahead);
  }
}
