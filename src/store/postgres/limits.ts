import { countsOf, hitsWithin, type Limits, outcomeOf } from "../limits.ts";
import type { PostgresLink } from "./link.ts";
import { escaped } from "./schema.ts";

/** The row of a key holds its hits, in the times of a clock that all machines share (`schema.ts`, `hit`). */
export function createPostgresLimits(
  link: Pick<PostgresLink, "run" | "schema" | "sharedNow">,
): Limits & { sweep(): Promise<void> } {
  const { run, schema } = link;
  return {
    async hit(key, rule, wider) {
      const counts = countsOf(key, rule, wider).map(({ key, rule }) => ({
        ...{ key: escaped(key), most: rule.limit, span: rule.windowMs },
      }));
      if (counts.length === 0) return outcomeOf(0);
      const [row] = await run(`SELECT ${schema}.hit($1::text::json, $2) AS wait`, [
        JSON.stringify(counts),
        link.sharedNow(),
      ]);
      return outcomeOf(Number(row?.wait));
    },

    async count(counts) {
      const keys = JSON.stringify(counts.map(({ key }) => escaped(key)));
      const rows = await run(
        `SELECT key, to_json(hits)::text AS hits FROM ${schema}.limits
          WHERE key IN (SELECT json_array_elements_text($1::text::json))`,
        [keys],
      );
      const hits = new Map(rows.map((row) => [row.key, JSON.parse(String(row.hits)) as number[]]));
      const now = link.sharedNow();
      return counts.map(({ key, rule }) => hitsWithin(hits.get(escaped(key)) ?? [], rule, now));
    },

    async release(key) {
      await run(`DELETE FROM ${schema}.limits WHERE key = $1`, [escaped(key)]);
    },

    async sweep() {
      await run(
        `DELETE FROM ${schema}.limits WHERE key IN
        (SELECT key FROM ${schema}.limits WHERE idle_at <= $1 LIMIT 5000 FOR UPDATE SKIP LOCKED)`,
        [link.sharedNow()],
      );
    },
  };
}
