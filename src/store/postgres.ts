import type { Clock } from "../clock.ts";
import type { Logger } from "../observe/logger.ts";
import { MINUTE } from "../option/values.ts";
import { cacheRecords } from "./cached-records.ts";
import type { PostgresPlace } from "./location.ts";
import { createPostgresLimits } from "./postgres/limits.ts";
import { openLink } from "./postgres/link.ts";
import { createPostgresMarks } from "./postgres/marks.ts";
import { createPostgresRecords } from "./postgres/records.ts";
import { addedOnly, openOnce } from "./records.ts";
import type { Store } from "./store.ts";

export type PostgresSettings = {
  readonly place: PostgresPlace;
  /** Of our own in the database, made where it is missing. */
  readonly schema: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly asIs?: boolean;
};

const SWEEP_EVERY_MS = MINUTE;

/**
 * A store in a PostgreSQL database (13 or later), which any number of machines share. One round trip an operation; records of a
 * kind that is cached and were asked for in the last seconds are answered at once.
 *
 * A server that is away makes the store unavailable, at the opening as at any time after, and nothing else: it works again
 * when the server is back.
 */
export async function openPostgresStore(settings: PostgresSettings): Promise<Store> {
  const { clock, log } = settings;
  const link = await openLink(settings);
  const limits = createPostgresLimits(link);
  const sweepers: Array<() => Promise<void>> = [limits.sweep];
  const sweeping = setInterval(() => {
    // Whatever stays is swept the next time.
    for (const sweep of sweepers) sweep().catch(() => {});
  }, SWEEP_EVERY_MS);
  sweeping.unref();
  return {
    records: openOnce((kind) => {
      if (kind.once) {
        const marks = createPostgresMarks(kind, link, clock);
        sweepers.push(marks.sweep);
        return addedOnly(kind, marks);
      }
      const records = createPostgresRecords(kind, { link, clock, log });
      sweepers.push(records.sweep);
      if (!kind.cached) return records;
      const cached = cacheRecords(records, { clock });
      link.onMissed(cached.forgetAll);
      return cached;
    }),
    limits,
    async since() {
      const [row] = await link.run(
        `WITH made AS (INSERT INTO ${link.schema}.state VALUES ('since', $1) ON CONFLICT DO NOTHING RETURNING value)
          SELECT value FROM made UNION ALL SELECT value FROM ${link.schema}.state WHERE name = 'since' LIMIT 1`,
        [clock.now()],
      );
      return Number(row?.value);
    },
    ready: () => link.ready(),
    async close() {
      clearInterval(sweeping);
      await link.close();
    },
  };
}
