import type { Clock, Random } from "../clock.ts";
import type { Audit, AuditFirst, AuditKeep } from "../observe/audit.ts";
import type { Logger } from "../observe/logger.ts";
import { messageOf } from "../observe/message-of.ts";
import { HOUR } from "../option/values.ts";
import type { Store } from "../store/store.ts";
import { AUDIT_HEAD, AUDIT_LOST } from "./audit.ts";
import { headText } from "./chain.ts";
import type { AuditEntry } from "./entry.ts";
import { type AuditFilter, type AuditPage, findPage, type Paging } from "./find.ts";
import { createPruning } from "./prune.ts";
import { AUDIT } from "./record.ts";
import { createAuditWriter } from "./writer.ts";

/** The audit as it is kept. */
export type AuditTrail = AuditKeep & {
  /**
   * Events that fit a filter, the newest first. What this process has told is among them.
   * @throws {StoreUnavailable}
   */
  find(filter: AuditFilter, paging?: Paging): Promise<AuditPage>;
  /** @throws {StoreUnavailable} */
  get(id: string): Promise<AuditEntry | undefined>;
  /**
   * Deletes what is from before a time, in milliseconds since the epoch, and tells so first.
   * @returns how many events
   * @throws {StoreUnavailable}
   */
  prune(before: number): Promise<number>;
  /** Writes what waits, as far as it can. Never rejects. */
  flush(): Promise<void>;
  /** Tells of the chain's head every hour, and deletes what is too old. */
  start(): void;
  /** Tells of the head once more. What comes afterwards is written all the same. */
  close(): Promise<void>;
};

/** In memory, more than are kept, so that it is not looked for room with each event. */
const SLACK = 1_000;

export function createAuditTrail(settings: {
  readonly store: Store;
  /** How long events are kept, in milliseconds; 0 is for ever. */
  readonly keep: number;
  /** How many, where that is limited. */
  readonly most?: number | undefined;
  readonly machine: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** By which it tells of itself. */
  readonly audit: Audit;
  readonly auditFirst: AuditFirst;
}): AuditTrail {
  const { store, most, audit, log } = settings;
  const records = store.records(AUDIT);
  const pruning = createPruning({ ...settings, records, limits: store.limits });
  const writer = createAuditWriter({
    ...settings,
    records,
    onLost: (count) => audit(AUDIT_LOST, { n: `${count}` }),
    onWritten: (count) => makeRoom(count),
  });
  let sinceLooked = 0;
  /** Of the head that was told last, with that event itself. */
  let told = 0;
  let timer: Timer | undefined;

  function makeRoom(written: number): void {
    sinceLooked += written;
    if (most === undefined || sinceLooked < SLACK) return;
    sinceLooked = 0;
    void trim(most).catch((error: unknown) =>
      log.warn("no room was made in the audit", { reason: messageOf(error) }),
    );
  }

  async function trim(most: number): Promise<void> {
    const tooMany = (await records.count()) - most;
    if (tooMany > 0) await pruning.oldest(tooMany);
  }

  async function tellHead(): Promise<void> {
    await writer.flush();
    const head = writer.head();
    if (head === undefined || head.seq === told) return;
    audit(AUDIT_HEAD, { heads: headText(head) });
    told = head.seq + 1;
    await writer.flush();
  }

  return {
    async find(filter, paging = {}) {
      await writer.flush();
      return findPage(records, filter, paging);
    },
    async get(id) {
      await writer.flush();
      return (await records.get(id))?.record.entry;
    },
    prune: pruning.before,
    keep: writer.write,
    keepFirst: writer.writeFirst,
    flush: writer.flush,
    start() {
      timer ??= setInterval(() => void tellHead().then(pruning.due), HOUR);
      timer.unref();
    },
    async close() {
      clearInterval(timer);
      timer = undefined;
      await tellHead();
    },
  };
}
