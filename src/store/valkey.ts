import type { Clock } from "../clock.ts";
import type { Logger } from "../observe/logger.ts";
import { cacheRecords } from "./cached-records.ts";
import { cacheSessions } from "./cached-sessions.ts";
import type { Stores } from "./contracts.ts";
import { openOnce } from "./records.ts";
import { createValkeyLimits } from "./valkey/limits.ts";
import { openLink } from "./valkey/link.ts";
import { createValkeyOutbox } from "./valkey/outbox.ts";
import { createValkeyRecords } from "./valkey/records.ts";
import { createValkeySessions } from "./valkey/sessions.ts";
import { createValkeyTickets } from "./valkey/tickets.ts";

export type ValkeySettings = {
  /** `redis://` or `rediss://`, with port and database number; user and password if need be. */
  readonly url: string;
  readonly clock: Clock;
  readonly log: Logger;
};

/**
 * The stores on a Valkey or Redis server (7 or later), which any number of machines share. One round trip an operation;
 * sessions that were asked for in the last seconds are answered at once.
 *
 * A server that is away makes the stores unavailable, at the opening as at any time after, and nothing else: they
 * work again when it is back.
 */
export async function openValkeyStores({ url, clock, log }: ValkeySettings): Promise<Stores> {
  const link = await openLink({ url, clock, log });
  const sessions = cacheSessions(createValkeySessions(link, clock, log), { clock });
  link.onMissed(sessions.forgetAll);
  return {
    records: openOnce((kind) => {
      const records = createValkeyRecords(kind, link, clock);
      if (!kind.cached) return records;
      const cached = cacheRecords(records, { clock });
      link.onMissed(cached.forgetAll);
      return cached;
    }),
    tickets: createValkeyTickets(link, clock, log),
    sessions,
    limits: createValkeyLimits(link),
    outbox: createValkeyOutbox(link, clock, log),
    ready: () => link.ready(),
    close: () => link.close(),
  };
}
