import type { Database } from "bun:sqlite";
import type { Kind } from "../records.ts";

/** Field names are checked when a kind is opened. */
export function expression(field: string): string {
  return `json_extract(body, '$.${field}')`;
}

/**
 * Without row numbers: one search finds everything. Rows that are found by way of an index would be cheaper to add by a third,
 * and dearer by a third to look up among a million.
 */
export const tableOf = (kind: string) =>
  `CREATE TABLE IF NOT EXISTS records_${kind} (id TEXT PRIMARY KEY NOT NULL, version INTEGER NOT NULL,
    expires_at INTEGER NOT NULL, body TEXT NOT NULL) STRICT, WITHOUT ROWID`;

/** Table, indexes, and what is counted. Nothing happens where they are. */
export function createTable<T>({ name, by = [], order, capacity, once }: Kind<T>, database: Database): void {
  const table = `records_${name}`;
  const index = (suffix: string, columns: string) =>
    database.run(`CREATE INDEX IF NOT EXISTS ${table}_${suffix} ON ${table} (${columns})`);
  const inOrder = order === undefined ? "" : `${expression(order)}, id`;
  database.run(tableOf(name));
  index("expiry", "expires_at");
  for (const field of by) index(`by_${field}`, [expression(field), inOrder].filter(Boolean).join(", "));
  if (inOrder !== "") index("order", inOrder);
  if (once) database.run(`INSERT OR IGNORE INTO state VALUES ('swept:${name}', 0)`);
  if (capacity === undefined) return;
  // Counting the rows by looking at them would cost more than everything else about an addition.
  database.run(`INSERT OR IGNORE INTO state SELECT 'count:${name}', count(*) FROM ${table}`);
  for (const [event, change] of [
    ["INSERT", "+ 1"],
    ["DELETE", "- 1"],
  ]) {
    database.run(`CREATE TRIGGER IF NOT EXISTS ${table}_${event} AFTER ${event} ON ${table}
      BEGIN UPDATE state SET value = value ${change} WHERE name = 'count:${name}'; END`);
  }
}
