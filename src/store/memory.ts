import type { Clock } from "../clock.ts";
import type { Stores } from "./contracts.ts";
import { createMemoryLimits } from "./memory/limits.ts";
import { createMemoryOutbox } from "./memory/outbox.ts";
import { createMemoryRecords } from "./memory/records.ts";
import { createMemorySessions } from "./memory/sessions.ts";
import { createMemoryTickets } from "./memory/tickets.ts";
import { openOnce } from "./records.ts";

/**
 * The stores in this process's memory: every method answers at once, everything is bounded, and a restart forgets it
 * all. Nothing runs in the background: what has expired is let go while the next call is served.
 */
export function createMemoryStores({ clock }: { readonly clock: Clock }): Stores {
  return {
    records: openOnce((kind) => createMemoryRecords(kind, clock)),
    tickets: createMemoryTickets(clock),
    sessions: createMemorySessions(clock),
    limits: createMemoryLimits(clock),
    outbox: createMemoryOutbox(),
    ready() {},
    close() {},
  };
}
