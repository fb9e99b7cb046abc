import type { Clock } from "../clock.ts";
import { DAY } from "../option/values.ts";
import { Changed, type KeyBook, shown } from "./book.ts";
import type { ApiKey } from "./record.ts";
import type { KeyRules } from "./rules.ts";

/** Keys that end soon, and those that have ended. */

const SOON = 7 * DAY;
/** Whoever makes one for so short a time knows when it ends. */
const SHORT_LIFE = SOON + DAY;
const KEPT_AFTER = 30 * DAY;

/** @param idle milliseconds without use that end a key; 0: none do. */
export function createEndings(book: KeyBook, rules: KeyRules, idle: number, clock: Clock) {
  return {
    async takeEndingSoon(): Promise<ApiKey[]> {
      const now = clock.now();
      const taken: ApiKey[] = [];
      for (const { ours } of await book.find({ from: now, until: now + SOON })) {
        const done = await book.change<undefined>(ours.id, (one) => {
          const { record, subject } = one.ours;
          const isShort = record.expiresAt - record.createdAt <= SHORT_LIFE;
          if (record.warned || isShort || record.disabledAt !== null || !rules.isKnown(subject))
            return undefined;
          return new Changed({ ...record, warned: true });
        });
        if (done !== undefined) taken.push(shown(done));
      }
      return taken;
    },

    async removeLongEnded(): Promise<void> {
      const before = clock.now() - KEPT_AFTER;
      // Those that end for want of use may have years to go.
      for (const one of await book.find(idle === 0 ? { until: before } : {}))
        if (rules.isOver(shown(one), before)) await book.take(one.ours.id);
    },
  };
}
