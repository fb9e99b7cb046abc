import type { Clock } from "../clock.ts";
import type { AuditFirst } from "../observe/audit.ts";
import type { Logger } from "../observe/logger.ts";
import { messageOf } from "../observe/message-of.ts";
import { DAY, HOUR, MINUTE } from "../option/values.ts";
import type { Limits } from "../store/limits.ts";
import { AUDIT_PRUNED } from "./audit.ts";
import { type Head, headText } from "./chain.ts";
import type { AuditRecords } from "./record.ts";

/** Deletes the oldest events. What is deleted is told first, with the hash that each chain goes on from. */
export type Pruning = {
  /**
   * All from before a time, in milliseconds since the epoch. @returns how many
   * @throws {StoreUnavailable}
   */
  before(time: number): Promise<number>;
  /** So many of the oldest. */
  oldest(count: number): Promise<number>;
  /** What is due by age: to be called every hour. Never rejects. */
  due(): Promise<void>;
};

const BATCH = 1_000;
/** A wall clock that has gone otherwise than time has, by more than this, is believed again after a day. */
const LEAP_MS = 5 * MINUTE;
/** However late it is: so much of the past is deleted in an hour and no more, and the operator may see a wrong clock meanwhile. */
const MOST_AN_HOUR = DAY;

export function createPruning(settings: {
  readonly records: AuditRecords;
  readonly auditFirst: AuditFirst;
  readonly limits: Limits;
  /** Milliseconds; 0 is for ever. */
  readonly keep: number;
  readonly clock: Clock;
  readonly log: Logger;
}): Pruning {
  const { records, auditFirst, keep, clock, log } = settings;
  let seen = { now: clock.now(), monotonic: clock.monotonic() };
  let leaptAt: number | undefined;

  async function prune(until: number | undefined, most: number): Promise<number> {
    let deleted = 0;
    while (deleted < most) {
      const wanted = Math.min(BATCH, most - deleted);
      const old = await records.find({ ...(until === undefined ? {} : { until }), most: wanted });
      const last = old.at(-1);
      if (last === undefined) break;
      const heads = new Map<string, Head>(
        old.map(({ record }) => [record.entry.chain.writer, record.entry.chain]),
      );
      await auditFirst(AUDIT_PRUNED, {
        n: `${old.length}`,
        before: last.record.entry.time,
        heads: [...heads.values()].map(headText).join(" "),
      });
      for (const { id } of old) await records.take(id, "light");
      deleted += old.length;
      if (old.length < wanted) break;
      await new Promise((resolve) => setImmediate(resolve));
    }
    return deleted;
  }

  /** Whether the wall clock has gone as time has, for a day. */
  function isSteady(): boolean {
    const [now, monotonic] = [clock.now(), clock.monotonic()];
    const leap = now - seen.now - (monotonic - seen.monotonic);
    seen = { now, monotonic };
    if (Math.abs(leap) > LEAP_MS) {
      leaptAt = monotonic;
      log.warn("the wall clock was set: nothing is deleted from the audit for a day", {
        seconds: Math.round(leap / 1000),
      });
    }
    return leaptAt === undefined || monotonic - leaptAt >= DAY;
  }

  async function due(): Promise<void> {
    if (!isSteady() || keep === 0) return;
    try {
      // Of several processes one does it.
      const turn = await settings.limits.hit("audit:prune", { limit: 1, windowMs: HOUR - 5 * MINUTE });
      if (!turn.allowed) return;
      const [oldest] = await records.find({ most: 1 });
      if (oldest === undefined) return;
      await prune(
        Math.min(clock.now() - keep, oldest.record.at + MOST_AN_HOUR) - 1,
        Number.POSITIVE_INFINITY,
      );
    } catch (error) {
      log.warn("old events of the audit could not be deleted, will try again", { reason: messageOf(error) });
    }
  }

  return {
    before: (time) => prune(time - 1, Number.POSITIVE_INFINITY),
    oldest: (count) => prune(undefined, count),
    due,
  };
}
