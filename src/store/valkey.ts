import type { Clock } from "../clock.ts";
import type { Logger } from "../observe/logger.ts";
import { cacheRecords } from "./cached-records.ts";
import { addedOnly, openOnce } from "./records.ts";
import type { Store } from "./store.ts";
import { SINCE } from "./valkey/keys.ts";
import { createValkeyLimits } from "./valkey/limits.ts";
import { openLink } from "./valkey/link.ts";
import { createValkeyMarks } from "./valkey/marks.ts";
import { createValkeyRecords } from "./valkey/records.ts";

export type ValkeySettings = {
  /** `redis://` or `rediss://`, with port and database number; user and password if need be. */
  readonly url: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly asIs?: boolean;
};

/**
 * A store on a Valkey or Redis server (7 or later), which any number of machines share. One round trip an operation; records of
 * a kind that is cached and were asked for in the last seconds are answered at once.
 *
 * A server that is away makes the store unavailable, at the opening as at any time after, and nothing else: it works again
 * when the server is back.
 */
export async function openValkeyStore(settings: ValkeySettings): Promise<Store> {
  const { clock, log } = settings;
  const link = await openLink(settings);
  return {
    records: openOnce((kind) => {
      if (kind.once) return addedOnly(kind, createValkeyMarks(kind, link.run, clock));
      const records = createValkeyRecords(kind, { link, clock, log });
      if (!kind.cached) return records;
      const cached = cacheRecords(records, { clock });
      link.onMissed(cached.forgetAll);
      return cached;
    }),
    limits: createValkeyLimits(link),
    async since() {
      const now = String(clock.now());
      return Number((await link.run("SET", [SINCE, now, "NX", "GET"])) ?? now);
    },
    ready: () => link.ready(),
    close: () => link.close(),
  };
}
