import type { Clock } from "../clock.ts";
import { createMemoryLimits } from "./memory/limits.ts";
import { createMemoryRecords } from "./memory/records.ts";
import { openOnce } from "./records.ts";
import type { Store } from "./store.ts";

/**
 * A store in this process's memory: everything answers at once and is bounded, and a restart forgets it all. Nothing runs in
 * the background: what has expired is let go while the next call is served.
 */
export function createMemoryStore({ clock }: { readonly clock: Clock }): Store {
  const begun = clock.now();
  return {
    records: openOnce((kind) => createMemoryRecords(kind, clock)),
    limits: createMemoryLimits(clock),
    since: () => begun,
    ready() {},
    close() {},
  };
}
