import type { Clock } from "../clock.ts";
import { atMostEvery } from "../observe/at-most-every.ts";
import type { Logger } from "../observe/logger.ts";
import type { Limits } from "../store/limits.ts";
import type { Awaitable } from "../store/records.ts";
import type { MailOptions } from "./options.ts";

/** How many mails an hour leave in all, whichever process sends them (`RUNEGATE_MAIL_CEILING`). */
export type Ceiling = {
  /**
   * Counts a mail if it may be sent now.
   * @param first whether it is one of those that go first.
   * @returns milliseconds until the next of its kind may be; 0 if this one may. @throws {StoreUnavailable}
   */
  admit(first: boolean): Awaitable<number>;
};

const HOUR = 60 * 60_000;
/** Under a flood it is reached again with every mail that there is room for. */
const LOGGED_EVERY = HOUR / 2;
/** Addresses that anybody may have invented never use up what is there for those that are known. */
const SHARE_OF_OTHERS = 3 / 4;

export function createCeiling(settings: {
  readonly mailCeiling: MailOptions["mailCeiling"];
  readonly limits: Limits;
  readonly clock: Clock;
  readonly log: Logger;
}): Ceiling {
  const { mailCeiling, limits, clock, log } = settings;
  if (mailCeiling === 0) return { admit: () => 0 };

  /** @param waiting what the log says is kept back. */
  function rate(key: string, limit: number, waiting: string): () => Promise<number> {
    let closedUntil = Number.NEGATIVE_INFINITY;
    const mayLog = atMostEvery(LOGGED_EVERY);
    return async () => {
      const now = clock.monotonic();
      // Closed is closed for everybody: no need to ask the store again for each mail.
      if (now < closedUntil) return closedUntil - now;
      const outcome = await limits.hit(key, { limit, windowMs: HOUR });
      if (outcome.allowed) return 0;
      closedUntil = now + outcome.retryAfterMs;
      if (mayLog(now)) {
        const minutes = Math.ceil(outcome.retryAfterMs / 60_000);
        log.warn("the mail ceiling is reached", { mails_an_hour: limit, waiting, for_minutes: minutes });
      }
      return outcome.retryAfterMs;
    };
  }

  const all = rate("mails", mailCeiling, "all mails");
  const others = rate(
    "mails:others",
    Math.ceil(mailCeiling * SHARE_OF_OTHERS),
    "mails to addresses that are not named and have not signed in before",
  );
  return { admit: async (first) => (first ? 0 : await others()) || all() };
}
