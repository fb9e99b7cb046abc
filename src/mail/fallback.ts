import type { Clock } from "../clock.ts";
import type { Logger } from "../observe/logger.ts";
import { messageOf } from "../observe/message-of.ts";
import { type BackendMailer, MailError, type Mailer } from "./mailer.ts";

/** When a back-end has taken no mail for so long, the next one is tried. No longer than this anyone waits for it at a time. */
export const PATIENCE = 10_000;
/** So long after it has failed again, it is tried again before the others. */
const AGAIN = 30_000;

/**
 * Several back-ends as one mailer: a service that is down must not mean that nobody gets in. Until one has failed for ten
 * seconds its mails wait for it, as those of a single back-end do. What is refused for good is refused: another would be asked
 * to write to somebody who does not want it.
 */
export function createFallback(backends: readonly BackendMailer[], clock: Clock, log: Logger): Mailer {
  type Tried = {
    readonly backend: BackendMailer;
    /** Beginning of the first attempt since which none has succeeded, and of the last. */
    failingSince: number;
    triedAt: number;
    reason: string;
    isLogged: boolean;
  };
  const all = backends.map(
    (backend): Tried => ({
      backend,
      failingSince: Number.POSITIVE_INFINITY,
      triedAt: 0,
      reason: "",
      isLogged: false,
    }),
  );

  function isDown(one: Tried): boolean {
    if (clock.monotonic() - one.failingSince < PATIENCE) return false;
    const { backend, reason, isLogged } = one;
    if (!isLogged && all.length > 1)
      log.error("a mail back-end takes no mail, another is tried", { backend: backend.name, reason });
    one.isLogged = true;
    return true;
  }

  /** In the order they are tried: what is down comes last, but for once in a while. */
  function order(): Tried[] {
    const now = clock.monotonic();
    const last = new Set(all.filter((one) => isDown(one) && now - one.triedAt < AGAIN));
    return [...all.filter((one) => !last.has(one)), ...last];
  }

  return {
    async send(mail) {
      let failure: unknown;
      for (const one of order()) {
        const startedAt = clock.monotonic();
        one.triedAt = startedAt;
        try {
          const receipt = await one.backend.send(mail);
          if (one.isLogged && all.length > 1)
            log.info("a mail back-end takes mail again", { backend: one.backend.name });
          one.failingSince = Number.POSITIVE_INFINITY;
          one.isLogged = false;
          return receipt;
        } catch (error) {
          if (error instanceof MailError && error.permanent) throw error;
          one.failingSince = Math.min(one.failingSince, startedAt);
          one.reason = messageOf(error);
          failure = error;
          if (!isDown(one)) break;
        }
      }
      throw failure;
    },
  };
}
