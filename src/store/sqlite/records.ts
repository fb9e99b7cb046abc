import type { Clock } from "../../clock.ts";
import {
  checkRecord,
  conditionOf,
  createListeners,
  jsonOf,
  type Kind,
  type Query,
  type Records,
  type Seen,
  StoreFull,
  type Write,
} from "../records.ts";
import type { SqliteHandle } from "./handle.ts";

type Row = {
  readonly id: string;
  readonly version: number;
  readonly expiresAt: number;
  readonly body: string;
};

const COLUMNS = "id, version, expires_at AS expiresAt, body";

/**
 * Records of one kind in a table of their own, the record as JSON. What is looked up or ordered by has an index on the
 * expression that takes it out of the JSON. Each verb is one statement, so that of all processes one gets to do it.
 * @property sweep forgets some that have expired; true if there may be more.
 */
export function createSqliteRecords<T extends object>(
  kind: Kind<T>,
  handle: SqliteHandle,
  clock: Clock,
): Records<T> & { sweep(most: number): boolean } {
  const { durable, relaxed } = handle;
  const { by = [], order, capacity, once } = kind;
  const table = `records_${kind.name}`;
  const taken = createListeners();
  handle.write(() => durable.transaction(() => createTable(kind, handle)).immediate());

  const swept = `(SELECT value FROM state WHERE name = 'swept:${kind.name}')`;
  const isNew = once ? `?4 > ${swept}` : "true";
  const hasRoom =
    capacity === undefined
      ? "true"
      : `(SELECT value FROM state WHERE name = 'count:${kind.name}') < ${capacity}`;
  // What has expired is not there any more; what comes once does not come again for that.
  const overExpired = once
    ? "NOTHING"
    : "UPDATE SET version = excluded.version, expires_at = excluded.expires_at, body = excluded.body WHERE expires_at <= ?2";
  const insert = durable.prepare<never, [string, number, string, number]>(`
    INSERT INTO ${table} (id, version, expires_at, body) SELECT ?1, ?2, ?4, ?3 WHERE ${isNew} AND ${hasRoom}
    ON CONFLICT DO ${overExpired}`);
  const refused = relaxed.prepare<{ found: number }, [string, number]>(
    `SELECT 1 AS found WHERE EXISTS (SELECT 1 FROM ${table} WHERE id = ?1)${once ? ` OR ?2 <= ${swept}` : " OR ?2 IS NULL"}`,
  );
  const select = durable.prepare<Row, [string]>(`SELECT ${COLUMNS} FROM ${table} WHERE id = ?`);
  const update = `UPDATE ${table} SET version = version + 1, body = ?3 WHERE id = ?1 AND version = ?2 AND expires_at > ?4`;
  const updates = both<never, [string, number, string, number]>(handle, update);
  const removals = both<Row, [string]>(handle, `DELETE FROM ${table} WHERE id = ? RETURNING ${COLUMNS}`);
  const removeBy = new Map(
    by.map((field) => [
      field,
      durable.prepare<Row, [string]>(
        `DELETE FROM ${table} WHERE ${expression(field)} = ? RETURNING ${COLUMNS}`,
      ),
    ]),
  );
  const expired = relaxed.prepare<{ found: number }, [number]>(
    `SELECT 1 AS found FROM ${table} WHERE expires_at <= ? LIMIT 1`,
  );
  const forget = relaxed.prepare<{ expiresAt: number }, [number, number]>(`
    DELETE FROM ${table} WHERE id IN (SELECT id FROM ${table} WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)
    RETURNING expires_at AS expiresAt`);
  const remember = relaxed.prepare<never, [number, string]>(
    "UPDATE state SET value = max(value, ?1) WHERE name = ?2",
  );
  const forgetSome = relaxed.transaction((now: number, most: number): boolean => {
    const gone = forget.all(now, most);
    const latest = gone.reduce((last, { expiresAt }) => Math.max(last, expiresAt), 0);
    if (once) remember.run(latest, `swept:${kind.name}`);
    return gone.length === most;
  });

  /** Undefined for one that has expired, and for one that somebody has broken by hand: it counts as gone, alone. */
  function seenOf(row: Row | null, now: number): Seen<T> | undefined {
    if (row === null || row.expiresAt <= now) return undefined;
    try {
      const { body, ...rest } = row;
      return { ...rest, record: JSON.parse(body) as T };
    } catch {
      return undefined;
    }
  }

  /** Whether something other than a want of room keeps it out. */
  function isTooLate(id: string, expiresAt: number): boolean {
    return handle.read(() => refused.get(id, expiresAt)) !== null;
  }

  function seenOfAll(rows: readonly Row[]): Seen<T>[] {
    const now = clock.now();
    return rows.map((row) => seenOf(row, now)).filter((seen) => seen !== undefined);
  }

  function rowsFor({ where, from, until, newestFirst, most }: Query<T>): Row[] {
    const conditions: [sql: string, value: string | number][] = [["expires_at > ?", clock.now()]];
    const condition = conditionOf(kind, where);
    if (condition !== undefined) conditions.push([`${expression(condition[0])} = ?`, condition[1]]);
    let ordered = "";
    if (order !== undefined) {
      const number = expression(order);
      if (from !== undefined) conditions.push([`${number} >= ?`, from]);
      if (until !== undefined) conditions.push([`${number} <= ?`, until]);
      const direction = newestFirst ? "DESC" : "ASC";
      ordered = `ORDER BY ${number} ${direction}, id ${direction}`;
    }
    const all = conditions.map(([sql]) => sql).join(" AND ");
    // Bun keeps the statement under its text.
    const statement = relaxed.query<Row, (string | number)[]>(
      `SELECT ${COLUMNS} FROM ${table} WHERE ${all} ${ordered} LIMIT ?`,
    );
    return statement.all(...conditions.map(([, value]) => value), most);
  }

  return {
    add(id, record, expiresAt) {
      const now = clock.now();
      if (expiresAt <= now) return false;
      checkRecord(kind, record);
      const run = () => handle.write(() => insert.run(id, now, jsonOf(record), expiresAt)).changes === 1;
      if (run()) return true;
      if (capacity === undefined || isTooLate(id, expiresAt)) return false;
      // Full, but perhaps of what has expired.
      handle.write(() => forgetSome.immediate(now, capacity));
      if (run()) return true;
      if (isTooLate(id, expiresAt)) return false;
      throw new StoreFull(`The database holds ${capacity} of ${kind.name} and takes no more.`);
    },

    get: (id) =>
      seenOf(
        handle.read(() => select.get(id)),
        clock.now(),
      ),

    replace(seen, record, write = "durable") {
      checkRecord(kind, record);
      const run = () => updates[write].run(seen.id, seen.version, jsonOf(record), clock.now());
      return handle.write(run).changes === 1;
    },

    take(id, write = "durable") {
      const seen = seenOf(
        handle.write(() => removals[write].get(id)),
        clock.now(),
      );
      if (seen !== undefined) taken.tell(id);
      return seen?.record;
    },

    takeAll(field, value) {
      conditionOf(kind, { [field]: value } as Record<keyof T & string, string>);
      const all = seenOfAll(handle.write(() => removeBy.get(field)?.all(value) ?? []));
      for (const { id } of all) taken.tell(id);
      return all;
    },

    find: (query) => seenOfAll(handle.read(() => rowsFor(query))),

    onTaken: taken.add,

    sweep(most) {
      const now = clock.now();
      if (handle.read(() => expired.get(now)) === null) return false;
      return handle.write(() => forgetSome.immediate(now, most));
    },
  };
}

function both<Result, Parameters extends (string | number)[]>(
  { durable, relaxed }: SqliteHandle,
  sql: string,
) {
  const prepared = {
    durable: durable.prepare<Result, Parameters>(sql),
    light: relaxed.prepare<Result, Parameters>(sql),
  };
  return prepared satisfies Readonly<Record<Write, unknown>>;
}

/** Field names are checked when a kind is opened. */
function expression(field: string): string {
  return `json_extract(body, '$.${field}')`;
}

/** Table, indexes, and what is counted. Nothing happens where they are. */
function createTable<T>({ name, by = [], order, capacity, once }: Kind<T>, { durable }: SqliteHandle): void {
  const table = `records_${name}`;
  durable.run(`CREATE TABLE IF NOT EXISTS ${table} (id TEXT PRIMARY KEY, version INTEGER NOT NULL,
    expires_at INTEGER NOT NULL, body TEXT NOT NULL) STRICT, WITHOUT ROWID`);
  durable.run(`CREATE INDEX IF NOT EXISTS ${table}_expiry ON ${table} (expires_at)`);
  for (const field of by) {
    durable.run(`CREATE INDEX IF NOT EXISTS ${table}_by_${field} ON ${table} (${expression(field)})`);
  }
  if (order !== undefined) {
    durable.run(`CREATE INDEX IF NOT EXISTS ${table}_order ON ${table} (${expression(order)}, id)`);
  }
  if (once) durable.run(`INSERT OR IGNORE INTO state VALUES ('swept:${name}', 0)`);
  if (capacity === undefined) return;
  // Counting the rows by looking at them would cost more than everything else about an addition.
  durable.run(`INSERT OR IGNORE INTO state SELECT 'count:${name}', count(*) FROM ${table}`);
  for (const [event, change] of [
    ["INSERT", "+ 1"],
    ["DELETE", "- 1"],
  ]) {
    durable.run(`CREATE TRIGGER IF NOT EXISTS ${table}_${event} AFTER ${event} ON ${table}
      BEGIN UPDATE state SET value = value ${change} WHERE name = 'count:${name}'; END`);
  }
}
