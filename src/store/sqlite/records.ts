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
} from "../records.ts";
import type { SqliteHandle } from "./handle.ts";
import { createTable, expression } from "./table.ts";

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
  const { database } = handle;
  const { by = [], order, capacity, once } = kind;
  const table = `records_${kind.name}`;
  const taken = createListeners();
  handle.write(() => database.transaction(() => createTable(kind, database)).immediate());

  const isNew = once ? `?4 > (SELECT value FROM state WHERE name = 'swept:${kind.name}')` : "true";
  const count = `SELECT value FROM state WHERE name = 'count:${kind.name}'`;
  const hasRoom = capacity === undefined ? "true" : `(${count}) < ${capacity}`;
  // What has expired is not there any more; what comes once does not come again for that.
  const overExpired = once
    ? "NOTHING"
    : "UPDATE SET version = excluded.version, expires_at = excluded.expires_at, body = excluded.body WHERE expires_at <= ?2";
  const insert = database.prepare<never, [string, number, string, number]>(
    `INSERT INTO ${table} (id, version, expires_at, body) SELECT ?1, ?2, ?4, ?3 WHERE ${isNew} AND ${hasRoom}
    ON CONFLICT DO ${overExpired}`,
  );
  const held = database.prepare<{ value: number }, []>(count);
  const counted = database.prepare<{ value: number }, [number]>(
    `SELECT count(*) AS value FROM ${table} WHERE expires_at > ?`,
  );
  const exists = database.prepare<{ found: number }, [string]>(
    `SELECT 1 AS found FROM ${table} WHERE id = ?`,
  );
  // Without the id, which is known: making a text of it would cost as much as reading the record.
  const select = database.prepare<Omit<Row, "id">, [string]>(
    `SELECT version, expires_at AS expiresAt, body FROM ${table} WHERE id = ?`,
  );
  const update = database.prepare<never, [string, number, string, number]>(
    `UPDATE ${table} SET version = version + 1, body = ?3 WHERE id = ?1 AND version = ?2 AND expires_at > ?4`,
  );
  const remove = database.prepare<Row, [string]>(`DELETE FROM ${table} WHERE id = ? RETURNING ${COLUMNS}`);
  const removeBy = new Map(
    by.map((field) => [
      field,
      database.prepare<Row, [string]>(
        `DELETE FROM ${table} WHERE ${expression(field)} = ? RETURNING ${COLUMNS}`,
      ),
    ]),
  );
  const expired = database.prepare<{ found: number }, [number]>(
    `SELECT 1 AS found FROM ${table} WHERE expires_at <= ? LIMIT 1`,
  );
  const forget = database.prepare<{ expiresAt: number }, [number, number]>(`
    DELETE FROM ${table} WHERE id IN (SELECT id FROM ${table} WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)
    RETURNING expires_at AS expiresAt`);
  const remember = database.prepare<never, [number, string]>(
    "UPDATE state SET value = max(value, ?1) WHERE name = ?2",
  );
  const forgetSome = database.transaction((now: number, most: number): boolean => {
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
    const number = order === undefined ? "expires_at" : expression(order);
    if (from !== undefined) conditions.push([`${number} >= ?`, from]);
    if (until !== undefined) conditions.push([`${number} <= ?`, until]);
    const direction = newestFirst ? "DESC" : "ASC";
    const all = conditions.map(([sql]) => sql).join(" AND ");
    // Bun keeps the statement under its text.
    const statement = database.query<Row, (string | number)[]>(
      `SELECT ${COLUMNS} FROM ${table} WHERE ${all}
      ORDER BY ${number} ${direction}, id ${direction} LIMIT ?`,
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

  return {
    add(id, record, expiresAt, write = "durable") {
      const now = clock.now();
      if (expiresAt <= now) return false;
      checkRecord(kind, id, record);
      if (isFull(now) && handle.read(() => exists.get(id)) === null)
        throw new StoreFull(`The database holds ${capacity} of ${kind.name} and takes no more.`);
      const { changes } = handle.write(() => insert.run(id, now, jsonOf(record), expiresAt));
      return changes === 1 && handle.kept(true, write);
    },

    get: (id) =>
      seenOf(
        id,
        handle.read(() => select.get(id)),
        clock.now(),
      ),

    replace(seen, record, write = "durable") {
      checkRecord(kind, seen.id, record);
      const body = jsonOf(record);
      const { changes } = handle.write(() => update.run(seen.id, seen.version, body, clock.now()));
      return changes === 1 && handle.kept(true, write);
    },

    take(id, write = "durable") {
      const seen = seenOf(
        id,
        handle.write(() => remove.get(id)),
        clock.now(),
      );
      if (seen !== undefined) taken.tell(id);
      return seen && handle.kept(seen.record, write);
    },

    takeAll(field, value) {
      conditionOf(kind, { [field]: value } as Record<keyof T & string, string>);
      const all = seenOfAll(handle.write(() => removeBy.get(field)?.all(value) ?? []));
      for (const { id } of all) taken.tell(id);
      return all.length === 0 ? all : handle.kept(all, "durable");
    },

    find: (query) => seenOfAll(handle.read(() => rowsFor(query))),

    count: () => handle.read(() => counted.get(clock.now()))?.value ?? 0,

    onTaken: taken.add,

    sweep(most) {
      const now = clock.now();
      if (handle.read(() => expired.get(now)) === null) return false;
      return handle.write(() => forgetSome.immediate(now, most));
    },
  };
}
