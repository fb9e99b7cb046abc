import { type Kind, StoreOlder, StoreUnavailable } from "../records.ts";

/**
 * Tables in a schema of our own: `state`, `limits`, and one a kind of records. Of a record, `body` is its JSON as text, since
 * `json` and `jsonb` refuse U+0000 in it; what it is looked up and ordered by stands beside it in columns.
 */

/** Runs one statement. @throws {PostgresFailure} */
export type Run = (statement: string, values?: readonly unknown[]) => Promise<readonly Row[]>;

export type Row = Readonly<Record<string, string | number | null>>;

/** What this program reads and writes. One that is older than a store leaves it alone. */
const VERSION = 1;

/** In the same transaction as what is made: of several gateways that start together, one makes it. */
const LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('runegate schema', 0))";

/**
 * Counts a hit on each key, or tells how long it has to wait: the sliding log of `limits.ts` in one round trip. Whoever counts on
 * the same key waits for its lock, and looks only then. Losing the last moments of it with the machine is harmless.
 */
const HIT = (schema: string) => `
CREATE OR REPLACE FUNCTION ${schema}.hit(counts json, now float8) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
  one record;
  lock bigint;
  kept float8[];
  wait float8;
  longest float8 := 0;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  FOR lock IN SELECT DISTINCT hashtextextended('runegate ' || c.key, 0) AS l
    FROM json_to_recordset(counts) AS c(key text, most int, span float8) ORDER BY l
  LOOP
    PERFORM pg_advisory_xact_lock(lock);
  END LOOP;
  FOR one IN SELECT * FROM json_to_recordset(counts) AS c(key text, most int, span float8) LOOP
    SELECT hits INTO kept FROM ${schema}.limits WHERE key = one.key;
    IF FOUND AND cardinality(kept) >= one.most THEN
      wait := kept[cardinality(kept) - one.most + 1] + one.span - now;
      -- A hit more than a window in the future is from before a clock was set back.
      IF wait <= 2 * one.span THEN longest := greatest(longest, wait); END IF;
    END IF;
  END LOOP;
  IF longest > 0 THEN RETURN longest; END IF;
  FOR one IN SELECT * FROM json_to_recordset(counts) AS c(key text, most int, span float8) LOOP
    INSERT INTO ${schema}.limits AS l (key, hits, idle_at) VALUES (one.key, ARRAY[now], now + one.span)
    ON CONFLICT (key) DO UPDATE SET
      hits = (l.hits || now)[greatest(1, cardinality(l.hits) + 2 - one.most):],
      idle_at = greatest(l.idle_at, excluded.idle_at);
  END LOOP;
  RETURN 0;
END $$`;

/**
 * Makes what is missing, in a transaction.
 * @param asIs whether what an older Runegate made is refused.
 * @throws {StoreUnavailable} for a store of a newer version, or an older one.
 */
export async function makeSchema(run: Run, schema: string, asIs = false): Promise<void> {
  await run(LOCK);
  const [there] = await run("SELECT to_regnamespace($1)::text AS schema, to_regclass($2)::text AS state", [
    schema,
    `${schema}.state`,
  ]);
  // Even if it is there, this would take the right to make one. An administrator may have made it, with nothing in it.
  if (there?.schema === null) await run(`CREATE SCHEMA ${schema}`);
  const isLeftAsIs = asIs && there?.state !== null;
  await run(
    `CREATE TABLE IF NOT EXISTS ${schema}.state (name text COLLATE "C" PRIMARY KEY, value float8 NOT NULL)`,
  );
  await run(`INSERT INTO ${schema}.state VALUES ('version', $1) ON CONFLICT DO NOTHING`, [VERSION]);
  const [row] = await run(`SELECT value FROM ${schema}.state WHERE name = 'version'`);
  mustNotBeNewer(Number(row?.value));
  if (isLeftAsIs) return mustBeCurrent(Number(row?.value));
  await run(`CREATE TABLE IF NOT EXISTS ${schema}.limits
    (key text COLLATE "C" PRIMARY KEY, hits float8[] NOT NULL, idle_at float8 NOT NULL)`);
  await run(`CREATE INDEX IF NOT EXISTS limits_idle_at ON ${schema}.limits (idle_at)`);
  await run(HIT(schema));
}

/** @throws {StoreUnavailable} for the version of a newer store, or an older one */
export function mustBeCurrent(version: number): void {
  mustNotBeNewer(version);
  if (version < VERSION) throw new StoreOlder();
}

function mustNotBeNewer(version: number): void {
  if (version <= VERSION) return;
  throw new StoreUnavailable(
    "PostgreSQL holds the store of a newer Runegate: use that one, or another RUNEGATE_STORE_SCHEMA.",
  );
}

/** On which it is told what was taken. @param name of the schema, unquoted */
export const channelOf = (name: string) => `runegate_${name}`.slice(0, 63);

/** The table of a kind, with a column for each of the fields that it is looked up by. */
export const tableOf = (schema: string, { name }: Pick<Kind<object>, "name">) => `${schema}.r_${name}`;
export const columnOf = (field: string) => `"by_${field}"`;
export const ORDER = "ordered_by";

/**
 * Makes the table of a kind where it is missing, in a transaction, and the columns that a former version did not know.
 * @param asIs whether a table without them is refused. @throws {StoreOlder}
 */
export async function makeTable<T>(run: Run, schema: string, kind: Kind<T>, asIs = false): Promise<void> {
  const { name, by = [], order } = kind;
  const table = tableOf(schema, kind);
  await run(LOCK);
  const isNew = (await run("SELECT to_regclass($1)::text AS name", [table]))[0]?.name === null;
  await run(`CREATE TABLE IF NOT EXISTS ${table} (id text COLLATE "C" PRIMARY KEY, version float8 NOT NULL,
    expires_at float8 NOT NULL, body text NOT NULL)`);
  await run(`CREATE INDEX IF NOT EXISTS r_${name}_expires_at ON ${table} (expires_at, id)`);
  const known = await run(
    "SELECT column_name FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2",
    [unquoted(schema), `r_${name}`],
  );
  const columns = new Set(known.map((row) => row.column_name));
  const wanted = [
    ...by.map((field) => [field, columnOf(field), 'text COLLATE "C"'] as const),
    ...(order === undefined ? [] : [[order, ORDER, "float8"] as const]),
  ];
  const missing = wanted.filter(([, column]) => !columns.has(unquoted(column)));
  if (asIs && !isNew && missing.length > 0) throw new StoreOlder();
  for (const [, column, type] of missing) await run(`ALTER TABLE ${table} ADD COLUMN ${column} ${type}`);
  if (missing.length > 0) await fillIn(run, table, missing);
  for (const [field, column] of wanted) {
    const index = column === ORDER ? `r_${name}_order` : `r_${name}_by_${field.toLowerCase()}`;
    await run(`CREATE INDEX IF NOT EXISTS ${index} ON ${table} (${column}, id)`);
  }
}

/** What a record is found by, in records that were there before the column. */
async function fillIn(
  run: Run,
  table: string,
  columns: readonly (readonly [field: string, column: string, type: string])[],
): Promise<void> {
  const PAGE = 1000;
  let after = "";
  for (;;) {
    const rows = await run(`SELECT id, body FROM ${table} WHERE id > $1 ORDER BY id LIMIT ${PAGE}`, [after]);
    for (const { id, body } of rows) {
      const record = JSON.parse(String(body)) as Record<string, unknown>;
      for (const [field, column] of columns) {
        const value = record[field];
        const stored = typeof value === "string" ? escaped(value) : (value ?? null);
        await run(`UPDATE ${table} SET ${column} = $1 WHERE id = $2`, [stored, id]);
      }
    }
    const last = rows.at(-1);
    if (last === undefined || rows.length < PAGE) return;
    after = String(last.id);
  }
}

/** As text that PostgreSQL takes: nothing of it is U+0000 or half a surrogate pair. Most is as it was. */
export function escaped(text: string): string {
  return JSON.stringify(text.toWellFormed()).slice(1, -1);
}

export function unescaped(text: string): string {
  return JSON.parse(`"${text}"`) as string;
}

const unquoted = (name: string) => name.replaceAll('"', "");
