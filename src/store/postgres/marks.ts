import type { Clock } from "../../clock.ts";
import { DAY } from "../../option/values.ts";
import { jsonOf, type Kind, type Records } from "../records.ts";
import type { PostgresLink } from "./link.ts";
import { escaped, tableOf } from "./schema.ts";

export type PostgresMarks<T> = Pick<Records<T>, "add" | "get"> & { sweep(): Promise<void> };

/**
 * Records of a kind that comes once. A row outlives its record by a day; what is let go is remembered by the last of its expiries,
 * before which none is added any more, so that a wall clock that is set back makes nothing new.
 */
export function createPostgresMarks<T extends object>(
  kind: Kind<T>,
  link: Pick<PostgresLink, "run" | "schema" | "table" | "exclusively">,
  clock: Clock,
): PostgresMarks<T> {
  const { run, schema } = link;
  const table = tableOf(schema, kind);
  const swept = `swept ${kind.name}`;
  return {
    async add(id, record, expiresAt) {
      if (expiresAt <= clock.now()) return false;
      await link.table(kind);
      const added = await run(
        `INSERT INTO ${table} (id, version, expires_at, body) SELECT $1, 0, $2, $3
          WHERE $2 > coalesce((SELECT value FROM ${schema}.state WHERE name = $4), 0)
          ON CONFLICT DO NOTHING RETURNING 1 AS added`,
        [escaped(id), expiresAt, jsonOf(record), swept],
      );
      return added.length === 1;
    },

    async get(id) {
      await link.table(kind);
      const [row] = await run(`SELECT expires_at, body FROM ${table} WHERE id = $1 AND expires_at > $2`, [
        escaped(id),
        clock.now(),
      ]);
      if (row === undefined) return undefined;
      return { id, version: 0, expiresAt: Number(row.expires_at), record: JSON.parse(String(row.body)) as T };
    },

    async sweep() {
      const until = clock.now() - DAY;
      await link.table(kind);
      await link.exclusively(kind.name, async (run) => {
        await run(
          `INSERT INTO ${schema}.state AS s VALUES ($1, $2)
            ON CONFLICT (name) DO UPDATE SET value = greatest(s.value, excluded.value)`,
          [swept, until],
        );
        await run(`DELETE FROM ${table} WHERE expires_at <= $1`, [until]);
      });
    },
  };
}
