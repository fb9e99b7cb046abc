import type { Clock, Random } from "../clock.ts";
import type { AuditEvent } from "../observe/audit.ts";
import type { Logger } from "../observe/logger.ts";
import type { RecordStore } from "../store/records.ts";
import type { Head } from "./chain.ts";
import type { AuditEntry } from "./entry.ts";
import { type AuditFilter, type AuditPage, findPage, type Paging } from "./find.ts";
import { AUDIT } from "./record.ts";
import { createAuditWriter } from "./writer.ts";

/** The audit as it is kept. */
export type AuditTrail = {
  /**
   * Events that fit a filter, the newest first. What this process has told is among them.
   * @throws {StoreUnavailable}
   */
  find(filter: AuditFilter, paging?: Paging): Promise<AuditPage>;
  /** @throws {StoreUnavailable} */
  get(id: string): Promise<AuditEntry | undefined>;
  /** Writes an event, a moment later. */
  keep(event: AuditEvent): void;
  /** Writes an event at once. @throws {StoreUnavailable} */
  keepFirst(event: AuditEvent): Promise<void>;
  /** Writes what waits, as far as it can. */
  flush(): Promise<void>;
  /** The end of this process's chain; undefined where it has written nothing. */
  head(): Head | undefined;
};

export function createAuditTrail(settings: {
  readonly store: RecordStore;
  readonly machine: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly onLost: (count: number) => void;
}): AuditTrail {
  const records = settings.store.records(AUDIT);
  const writer = createAuditWriter({ ...settings, records });
  return {
    async find(filter, paging = {}) {
      await writer.flush();
      return findPage(records, filter, paging);
    },
    async get(id) {
      await writer.flush();
      return (await records.get(id))?.record.entry;
    },
    keep: writer.write,
    keepFirst: writer.writeFirst,
    flush: writer.flush,
    head: writer.head,
  };
}
