import type { Clock } from "../../clock.ts";
import {
  type Awaitable,
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

  const isNew = once ? `?4 > (SELECT value FROM state WHERE name = 'swept:${kind.name}')` : "true";
  const count = `SELECT value FROM state WHERE name = 'count:${kind.name}'`;
  const hasRoom = capacity === undefined ? "true" : `(${count}) < ${capacity}`;
  // What has expired is not there any more; what comes once does not come again for that.
  const overExpired = once
    ? "NOTHING"
    : "UPDATE SET version = excluded.version, expires_at = excluded.expires_at, body = excluded.body WHERE expires_at <= ?2";
  const inserts = both<never, [string, number, string, number]>(
    handle,
    `INSERT INTO ${table} (id, version, expires_at, body) SELECT ?1, ?2, ?4, ?3 WHERE ${isNew} AND ${hasRoom}
    ON CONFLICT DO ${overExpired}`,
  );
  const held = relaxed.prepare<{ value: number }, []>(count);
  const exists = relaxed.prepare<{ found: number }, [string]>(`SELECT 1 AS found FROM ${table} WHERE id = ?`);
  // Without the id, which is known: making a text of it would cost as much as reading the record.
  const select = relaxed.prepare<Omit<Row, "id">, [string]>(
    `SELECT version, expires_at AS expiresAt, body FROM ${table} WHERE id = ?`,
  );
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
  function seenOf(id: string, row: Omit<Row, "id"> | null, now: number): Seen<T> | undefined {
    if (row === null || row.expiresAt <= now) return undefined;
    const { version, expiresAt, body } = row;
    try {
      return { id, version, expiresAt, record: JSON.parse(body) as T };
    } catch {
      return undefined;
    }
  }

  function seenOfAll(rows: readonly Row[]): Seen<T>[] {
    const now = clock.now();
    return rows.map((row) => seenOf(row.id, row, now)).filter((seen) => seen !== undefined);
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

  /** Whether there is no room for another, not even that of what has expired: told by looking, which takes no lock from others. */
  function isFull(now: number): boolean {
    if (capacity === undefined || (handle.read(() => held.get())?.value ?? 0) < capacity) return false;
    if (handle.read(() => expired.get(now)) === null) return true;
    handle.write(() => forgetSome.immediate(now, capacity));
    return (handle.read(() => held.get())?.value ?? 0) >= capacity;
  }

  /** What `grouped` was written is there for all to see at once, and said when the disk has it. */
  function said<Result>(result: Result, write: Write): Awaitable<Result> {
    return write === "grouped" ? handle.synced().then(() => result) : result;
  }

  return {
    add(id, record, expiresAt, write = "durable") {
      const now = clock.now();
      if (expiresAt <= now) return false;
      checkRecord(kind, id, record);
      if (isFull(now) && handle.read(() => exists.get(id)) === null)
        throw new StoreFull(`The database holds ${capacity} of ${kind.name} and takes no more.`);
      const run = () => inserts[write].run(id, now, jsonOf(record), expiresAt);
      return said(handle.write(run).changes === 1, write);
    },

    get: (id) =>
      seenOf(
        id,
        handle.read(() => select.get(id)),
        clock.now(),
      ),

    replace(seen, record, write = "durable") {
      checkRecord(kind, seen.id, record);
      const run = () => updates[write].run(seen.id, seen.version, jsonOf(record), clock.now());
      return said(handle.write(run).changes === 1, write);
    },

    take(id, write = "durable") {
      const seen = seenOf(
        id,
        handle.write(() => removals[write].get(id)),
        clock.now(),
      );
      if (seen !== undefined) taken.tell(id);
      return said(seen?.record, write);
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
  const light = relaxed.prepare<Result, Parameters>(sql);
  const prepared = { durable: durable.prepare<Result, Parameters>(sql), light, grouped: light };
  return prepared satisfies Readonly<Record<Write, unknown>>;
}

/** Field names are checked when a kind is opened. */
function expression(field: string): string {
  return `json_extract(body, '$.${field}')`;
}

/** Table, indexes, and what is counted. Nothing happens where they are. */
function createTable<T>({ name, by = [], order, capacity, once }: Kind<T>, { durable }: SqliteHandle): void {
  const table = `records_${name}`;
  const index = (suffix: string, columns: string) =>
    durable.run(`CREATE INDEX IF NOT EXISTS ${table}_${suffix} ON ${table} (${columns})`);
  const inOrder = order === undefined ? "" : `${expression(order)}, id`;
  // With row numbers: a row is a tenth of a page, and a tree of whole rows in the order of their ids is dear to insert into.
  durable.run(`CREATE TABLE IF NOT EXISTS ${table} (id TEXT PRIMARY KEY NOT NULL, version INTEGER NOT NULL,
    expires_at INTEGER NOT NULL, body TEXT NOT NULL) STRICT`);
  index("expiry", "expires_at");
  for (const field of by) index(`by_${field}`, [expression(field), inOrder].filter(Boolean).join(", "));
  if (inOrder !== "") index("order", inOrder);
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
