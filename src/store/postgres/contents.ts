import type { Clock } from "../../clock.ts";
import type { Finding } from "../../option/finding.ts";
import { HOUR } from "../../option/values.ts";
import { type Contents, type Counted, PAGE, type Plain, type Row, type Shape } from "../contents.ts";
import type { PostgresPlace } from "../location.ts";
import { StoreUnavailable } from "../records.ts";
import { connect, runOnceIn } from "./connection.ts";
import { PostgresFailure } from "./failure.ts";
import {
  channelOf,
  columnOf,
  escaped,
  makeSchema,
  makeTable,
  mustBeCurrent,
  ORDER,
  type Run,
  tableOf,
  unescaped,
} from "./schema.ts";

/** One statement moves a page; a check for unique ids, or a lock, may take its time. */
const PATIENCE_MS = HOUR;

/**
 * What is in a schema of a PostgreSQL database, on one connection: read as it was at one moment, and written in one transaction.
 */
export async function openPostgresContents(
  place: PostgresPlace,
  { clock, schema: name, made }: { readonly clock: Clock; readonly schema: string; readonly made: boolean },
): Promise<Contents> {
  const schema = `"${name}"`;
  const sql = connect(place, { most: 1, statementTimeoutMs: 0, idleTimeoutMs: 0, name: "runegate store" });
  // One that is lost is never replaced by another, which would be in no transaction.
  const connection = await sql.reserve().catch(async (error: unknown) => {
    await sql.close().catch(() => {});
    throw new PostgresFailure(error);
  });
  const run = runOnceIn(connection, PATIENCE_MS);
  const single = async (statement: string, ...values: unknown[]) => (await run(statement, values))[0]?.value;

  /** Whatever somebody has named a table of theirs. */
  const quoted = (table: string) => `${schema}."${table.replaceAll('"', '""')}"`;
  const tables = async () =>
    (
      await run(
        "SELECT tablename FROM pg_tables WHERE schemaname = $1 AND tablename LIKE 'r\\_%' ORDER BY 1",
        [name],
      )
    ).map((row) => String(row.tablename));
  const state = async (row: string) => {
    const value = await single(`SELECT value FROM ${schema}.state WHERE name = $1`, row);
    return value === undefined ? undefined : Number(value);
  };
  /** Until the end of the transaction. @throws {StoreUnavailable} */
  async function lock(how: "" | "_shared"): Promise<void> {
    const key = `runegate copy ${name}`;
    if (await single(`SELECT pg_try_advisory_xact_lock${how}(hashtextextended($1, 0)) AS value`, key)) return;
    throw new StoreUnavailable("Another copy of it is under way, or FROM and TO are the same store.");
  }
  /** What is added to a time by this machine's clock to have the server's. */
  async function ahead(): Promise<number> {
    const before = clock.now();
    const now = await single("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS value");
    return Number(now) - (before + clock.now()) / 2;
  }
  async function close(): Promise<void> {
    connection.release();
    await sql.close({ timeout: 1 });
  }
  let isThere = false;
  let version = 0;
  try {
    await run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    await lock("_shared");
    isThere = (await single("SELECT to_regclass($1)::text AS value", `${schema}.state`)) !== null;
    if (!isThere && !made)
      throw new StoreUnavailable("Nothing is kept yet: the database has no schema of Runegate's.");
    if (isThere) {
      version = (await state("version")) ?? 0;
      mustBeCurrent(version);
    }
  } catch (error) {
    await close().catch(() => {});
    throw error;
  }

  return {
    async kinds() {
      if (!isThere) return [];
      const kept: string[] = [];
      for (const table of await tables()) {
        if ((await single(`SELECT 1 AS value FROM ${quoted(table)} LIMIT 1`)) !== undefined)
          kept.push(table.slice("r_".length));
      }
      return kept;
    },

    async *rows(kind, from) {
      if (!(await tables()).includes(`r_${kind.name}`)) return;
      for (let after = ""; ; ) {
        const page = await run(
          `SELECT id, version, expires_at, body FROM ${tableOf(schema, kind)}
            WHERE id > $1 AND expires_at > $2 ORDER BY id LIMIT ${PAGE}`,
          [after, from],
        );
        if (page.length > 0)
          yield page.map(({ id, version, expires_at: expires, body }) => ({
            id: unescaped(String(id)),
            ...{
              version: kind.once ? 0 : Number(version),
              expires: Math.ceil(Number(expires)),
              body: String(body),
            },
          }));
        if (page.length < PAGE) return;
        after = String(page.at(-1)?.id);
      }
    },

    forgottenUntil: async (kind) => (isThere ? ((await state(`swept ${kind.name}`)) ?? 0) : 0),

    async *counted() {
      const shift = await ahead();
      for (let after = ""; ; ) {
        const page = await run(
          `SELECT key, to_json(hits)::text AS hits, idle_at FROM ${schema}.limits WHERE key > $1 ORDER BY key LIMIT ${PAGE}`,
          [after],
        );
        if (page.length > 0)
          yield page.map(({ key, hits, idle_at: idle }) => ({
            ...{ key: unescaped(String(key)), until: Number(idle) - shift },
            hits: (JSON.parse(String(hits)) as number[]).map((hit) => hit - shift),
          }));
        if (page.length < PAGE) return;
        after = String(page.at(-1)?.key);
      }
    },

    since: async () => (isThere ? await state("since") : undefined),

    async inUse() {
      if ((await single("SELECT pg_is_in_recovery()::int AS value")) !== 0)
        throw new StoreUnavailable("It is a read-only replica, where no gateway shows: name the primary.");
      // Each gateway listens, and of sessions of other users nobody is told what they do.
      await run("SELECT pg_stat_clear_snapshot()");
      const count = await single(
        `SELECT count(*)::int AS value FROM pg_stat_activity WHERE datname = current_database()
          AND application_name = 'runegate' AND (coalesce(state, 'disabled') = 'disabled'
            OR query ILIKE 'listen%' AND position($1 IN query) > 0)`,
        `"${channelOf(name)}"`,
      );
      return Number(count) > 0
        ? "A gateway is connected to it, or to this database as another user"
        : undefined;
    },

    async refill(work) {
      await run("COMMIT");
      await run("BEGIN");
      try {
        await lock("");
        await makeSchema(run, schema);
        const all = ["limits", "state", ...(await tables())].map(quoted);
        await run(`TRUNCATE ${all.join(", ")}`);
        await makeSchema(run, schema);
        await work(refillOf(run, schema, await ahead()));
        await run("COMMIT");
      } catch (error) {
        await run("ROLLBACK").catch(() => {});
        throw error;
      }
    },

    async look() {
      await run("COMMIT");
      if (isThere)
        await run(
          `INSERT INTO ${schema}.state VALUES ('probe', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
          [clock.now()],
        );
      const [server] = await run(
        `SELECT current_setting('server_version') AS version, current_setting('fsync') AS fsync,
          pg_is_in_recovery()::text AS replica`,
      );
      const findings: Finding[] = [];
      const find = (problem: string, remedy: string) =>
        findings.push({ option: "PostgreSQL", problem, remedy });
      if (server?.replica === "true") find("is a read-only replica", "Name the primary.");
      if (server?.fsync === "off")
        find("runs with fsync off, so that a power cut may damage all of it", "Set fsync to on.");
      return {
        ...{ server: `PostgreSQL ${server?.version}`, layout: version, ahead: Math.round(await ahead()) },
        ...{ survivesRestart: true, findings },
      };
    },

    close,
  };
}

function refillOf(run: Run, schema: string, ahead: number) {
  const remember = (row: string, value: number) =>
    run(
      `INSERT INTO ${schema}.state VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
      [row, value],
    );
  return {
    async open(kind: Shape, until: number) {
      await makeTable<Plain>(run, schema, kind);
      if (until > 0) await remember(`swept ${kind.name}`, until);
    },

    async put(kind: Shape, rows: readonly Row[]) {
      const { by = [], order } = kind;
      const columns = [
        ...["id text", "version float8", "expires_at float8", "body text"],
        ...(kind.once ? [] : by.map((field) => `${columnOf(field)} text`)),
        ...(order === undefined ? [] : [`${ORDER} float8`]),
      ];
      const names = columns.map((column) => column.split(" ")[0]).join(", ");
      const values = rows.map(({ id, version, expires, body }) => {
        const record = JSON.parse(body) as Plain;
        const found = by.map((field) => {
          const value = record[field];
          return [`by_${field}`, typeof value === "string" ? escaped(value) : null];
        });
        return {
          ...{ id: escaped(id), version, expires_at: expires, body },
          ...Object.fromEntries(found),
          ...(order === undefined ? {} : { [ORDER]: record[order] }),
        };
      });
      await run(
        `INSERT INTO ${tableOf(schema, kind)} (${names})
          SELECT ${names} FROM json_to_recordset($1::text::json) AS r(${columns.join(", ")})`,
        [JSON.stringify(values)],
      );
    },

    async count(counted: readonly Counted[]) {
      const values = counted.map(({ key, hits, until }) => ({
        ...{ key: escaped(key), idle_at: until + ahead },
        hits: hits.map((hit) => hit + ahead),
      }));
      await run(
        `INSERT INTO ${schema}.limits (key, hits, idle_at)
          SELECT key, ARRAY(SELECT value::float8 FROM json_array_elements_text(hits) WITH ORDINALITY AS h(value, n) ORDER BY n),
            idle_at
          FROM json_to_recordset($1::text::json) AS r(key text, hits json, idle_at float8)`,
        [JSON.stringify(values)],
      );
    },

    async remembers(since: number) {
      await remember("since", since);
    },
  };
}
