import type { Routes } from "../access/routes.ts";
import type { Fetch } from "../bearer/provider-keys.ts";
import type { Clock, Pause, Random } from "../clock.ts";
import type { Audit, AuditListener } from "../observe/audit.ts";
import type { Logger } from "../observe/logger.ts";
import type { Keys } from "../secret/keys.ts";
import type { RecordStore } from "../store/records.ts";
import type { Hook } from "./table.ts";

/** What hooks need. */
export type HookSettings = {
  readonly hooks: readonly Hook[];
  readonly stores: RecordStore;
  readonly keys: Keys;
  readonly routes: Pick<Routes, "home" | "siteAt">;
  readonly fetch: Fetch;
  readonly audit: Audit;
  readonly auditEvents: { listen(listener: AuditListener): void };
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
  /** How what is decided behind an answer waits for its time. */
  readonly pause: Pause;
};
