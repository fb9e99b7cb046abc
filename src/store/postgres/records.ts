import type { Clock } from "../../clock.ts";
import type { Logger } from "../../observe/logger.ts";
import {
  checkRecord,
  conditionOf,
  createListeners,
  jsonOf,
  type Kind,
  type Records,
  type Seen,
  StoreFull,
} from "../records.ts";
import type { PostgresLink } from "./link.ts";
import { columnOf, escaped, ORDER, type Row, tableOf, unescaped } from "./schema.ts";

export type PostgresRecords<T> = Records<T> & { sweep(): Promise<void> };

/** A notification's most bytes are 7,999 (PostgreSQL, NOTIFY). Nothing but promptness depends on one. */
const LONGEST_TOLD = 7_000;

/** Records of one kind: a row each, and one statement a verb. */
export function createPostgresRecords<T extends object>(
  kind: Kind<T>,
  settings: { readonly link: PostgresLink; readonly clock: Clock; readonly log: Logger },
): PostgresRecords<T> {
  const { link, clock, log } = settings;
  const { name, by = [], order, capacity } = kind;
  const { run, schema, channel } = link;
  const table = tableOf(schema, kind);
  const columns = [...by.map(columnOf), ...(order === undefined ? [] : [ORDER])];
  const taken = createListeners();

  link.onMessage((message) => {
    const [of, id = "", from] = message.split("\n");
    // What was taken by way of this link was told with the answer.
    if (of === name && from !== link.name) taken.tell(unescaped(id));
  });

  /** In the order of `columns`. */
  function valuesOf(record: T): unknown[] {
    const texts = by.map((field) => {
      const value = record[field];
      return typeof value === "string" ? escaped(value) : null;
    });
    return order === undefined ? texts : [...texts, record[order]];
  }

  /** `$first, $first+1, …` for the values of the columns. */
  const places = (first: number) => columns.map((_, i) => `$${first + i}`);

  const SET = ["version = excluded.version", "expires_at = excluded.expires_at", "body = excluded.body"]
    .concat(columns.map((column) => `${column} = excluded.${column}`))
    .join(", ");
  const ADD = `INSERT INTO ${table} AS r (${["id", "version", "expires_at", "body", ...columns].join(", ")})
    VALUES (${["$1", "$2", "$3", "$4", ...places(5)].join(", ")})
    ON CONFLICT (id) DO UPDATE SET ${SET} WHERE r.expires_at <= $2 RETURNING 1 AS added`;
  const REPLACE = `UPDATE ${table} SET version = version + 1, body = $4${columns
    .map((column, i) => `, ${column} = $${5 + i}`)
    .join("")} WHERE id = $1 AND version = $2 AND expires_at > $3 RETURNING 1 AS replaced`;
  /** Of those that were alive, others are told. */
  const remove = (condition: string) => `WITH gone AS
    (DELETE FROM ${table} WHERE ${condition} RETURNING id, version, expires_at, body)
    SELECT id, version, expires_at, body, CASE WHEN length(id) < ${LONGEST_TOLD}
      THEN pg_notify('${channel}', '${name}' || chr(10) || id || chr(10) || '${link.name}') END AS told
    FROM gone WHERE expires_at > $2`;

  /** Whether or not it can be removed, what cannot be read is no record. Whoever removes it says so, once. */
  async function drop(id: string, body: string): Promise<void> {
    const dropped = await run(`DELETE FROM ${table} WHERE id = $1 AND body = $2 RETURNING 1 AS dropped`, [
      id,
      body,
    ]).catch(() => []);
    if (dropped.length > 0)
      log.error("removed a record that cannot be read", { kind: name, id: id.slice(0, 8) });
  }

  function seenOf({ id, version, expires_at: expiresAt, body }: Row): Seen<T>[] {
    try {
      const record = JSON.parse(String(body)) as T;
      if (typeof record !== "object" || record === null || Array.isArray(record)) return [];
      return [{ id: unescaped(String(id)), version: Number(version), expiresAt: Number(expiresAt), record }];
    } catch {
      return [];
    }
  }

  async function add(run: PostgresLink["run"], id: string, record: T, expiresAt: number): Promise<boolean> {
    const values = [escaped(id), Math.ceil(clock.now()), Math.ceil(expiresAt), jsonOf(record)];
    return (await run(ADD, [...values, ...valuesOf(record)])).length === 1;
  }

  return {
    async add(id, record, expiresAt) {
      if (expiresAt <= clock.now()) return false;
      checkRecord(kind, id, record);
      await link.table(kind);
      if (capacity === undefined) return add(run, id, record, expiresAt);
      return link.exclusively(name, async (run) => {
        const [row] = await run(
          `SELECT (SELECT count(*) FROM (SELECT 1 FROM ${table} WHERE expires_at > $1 LIMIT $2) AS alive)::int AS held,
            (SELECT 1 FROM ${table} WHERE id = $3 AND expires_at > $1) AS there`,
          [clock.now(), capacity, escaped(id)],
        );
        // One that is there already is not added, whether or not there is room.
        if (Number(row?.held) >= capacity && row?.there === null)
          throw new StoreFull(`PostgreSQL holds ${capacity} of ${name} and takes no more.`);
        return add(run, id, record, expiresAt);
      });
    },

    async get(id) {
      const making = link.table(kind);
      if (making !== undefined) await making;
      const [row] = await run(
        `SELECT id, version, expires_at, body FROM ${table} WHERE id = $1 AND expires_at > $2`,
        [escaped(id), clock.now()],
      );
      if (row === undefined) return undefined;
      const [seen] = seenOf(row);
      if (seen === undefined) await drop(String(row.id), String(row.body));
      return seen;
    },

    async replace(seen, record) {
      checkRecord(kind, seen.id, record);
      await link.table(kind);
      const values = [escaped(seen.id), seen.version, clock.now(), jsonOf(record)];
      return (await run(REPLACE, [...values, ...valuesOf(record)])).length === 1;
    },

    async take(id) {
      await link.table(kind);
      const [row] = await run(remove("id = $1"), [escaped(id), clock.now()]);
      if (row === undefined) return undefined;
      taken.tell(id);
      return seenOf(row)[0]?.record;
    },

    async takeAll(field, value) {
      conditionOf(kind, { [field]: value } as Record<keyof T & string, string>);
      await link.table(kind);
      const rows = await run(remove(`${columnOf(field)} = $1`), [escaped(value), clock.now()]);
      for (const row of rows) taken.tell(unescaped(String(row.id)));
      return rows.flatMap(seenOf);
    },

    async find({ where, from = -Infinity, until = Infinity, newestFirst, most }) {
      const [field, value] = conditionOf(kind, where) ?? [];
      await link.table(kind);
      const values: unknown[] = [clock.now()];
      const conditions = ["expires_at > $1"];
      if (field !== undefined && value !== undefined)
        conditions.push(`${columnOf(field)} = $${values.push(escaped(value))}`);
      const ordering = order === undefined ? "expires_at" : ORDER;
      conditions.push(`${ordering} >= $${values.push(from)}`, `${ordering} <= $${values.push(until)}`);
      const way = newestFirst ? " DESC" : "";
      const sorted = ` ORDER BY ${ordering}${way}, id${way}`;
      const limit = Number.isFinite(most) ? ` LIMIT $${values.push(most)}` : "";
      const rows = await run(
        `SELECT id, version, expires_at, body FROM ${table} WHERE ${conditions.join(" AND ")}${sorted}${limit}`,
        values,
      );
      return rows.flatMap(seenOf);
    },

    async count() {
      await link.table(kind);
      const [row] = await run(`SELECT count(*)::float8 AS alive FROM ${table} WHERE expires_at > $1`, [
        clock.now(),
      ]);
      return Number(row?.alive);
    },

    onTaken: taken.add,

    async sweep() {
      await link.table(kind);
      await run(
        `DELETE FROM ${table} WHERE id IN
          (SELECT id FROM ${table} WHERE expires_at <= $1 LIMIT 5000 FOR UPDATE SKIP LOCKED)`,
        [clock.now()],
      );
    },
  };
}
