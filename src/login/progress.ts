import type { Clock } from "../clock.ts";
import { type Kind, type RecordStore, StoreUnavailable } from "../store/records.ts";
import type { LoginRequest } from "./ticket.ts";

/** How far a login under way has come: kept from its first wrong code on, or from when its mail is sent again. */
export type Progress = {
  /** Codes that were tried. */
  readonly tries: number;
  /** How often the mail was sent again. */
  readonly sentAgain: number;
  /** When it was sent last, milliseconds since the Unix epoch. */
  readonly sentAt: number;
};

export const PROGRESS: Kind<Progress> = { name: "login_progress" };
/** Not forgotten with the ticket: a wall clock that is set back would give the tries anew. */
const MARGIN_MS = 24 * 60 * 60_000;
/** Of one ticket: what makes a short code safe, so it is no option. */
export const CODE_TRIES = 5;
/** Milliseconds from one mail of a login to the next. There are so many more after the first. */
const WAITS = [30_000, 60_000] as const;
/** More than there can be changes of one login, each of which makes another begin anew at most once. */
const ROUNDS = 32;

type Login = Pick<LoginRequest, "jti" | "issuedAt" | "expiresAt">;

export function createProgress(store: RecordStore, clock: Clock) {
  const records = store.records(PROGRESS);

  /** @param step the progress as it is to be; undefined leaves it as it is. */
  async function change(login: Login, step: (now: Progress) => Progress | undefined): Promise<Progress> {
    for (let round = 0; round < ROUNDS; round++) {
      const seen = await records.get(login.jti);
      const before = seen?.record ?? begun(login);
      const after = step(before);
      if (after === undefined) return before;
      const done =
        seen === undefined
          ? await records.add(login.jti, after, login.expiresAt + MARGIN_MS, "light")
          : await records.replace(seen, after, "light");
      if (done) return before;
    }
    throw new StoreUnavailable("a login under way could not be written");
  }

  return {
    /** @throws {StoreUnavailable} */
    of: async (login: Login): Promise<Progress> => (await records.get(login.jti))?.record ?? begun(login),

    /** Counts a try at the code. @returns how many are left after it; undefined if none was left for it. @throws {StoreUnavailable} */
    async countTry(login: Login): Promise<number | undefined> {
      const before = await change(login, (now) =>
        now.tries >= CODE_TRIES ? undefined : { ...now, tries: now.tries + 1 },
      );
      return before.tries >= CODE_TRIES ? undefined : CODE_TRIES - before.tries - 1;
    },

    /** Takes back a try that was counted, and was none at guessing. @throws {StoreUnavailable} */
    async giveBack(login: Login): Promise<void> {
      await change(login, (now) => (now.tries === 0 ? undefined : { ...now, tries: now.tries - 1 }));
    },

    /**
     * Notes that the mail is sent again, if it may be.
     * @returns for the how manieth time, from 1; or undefined.
     * @throws {StoreUnavailable}
     */
    async sendAgain(login: Login): Promise<number | undefined> {
      const at = clock.now();
      const before = await change(login, (now) =>
        waitOf(now, at) === 0 ? { ...now, sentAgain: now.sentAgain + 1, sentAt: at } : undefined,
      );
      return waitOf(before, at) === 0 ? before.sentAgain + 1 : undefined;
    },
  };
}

function begun({ issuedAt }: Login): Progress {
  return { tries: 0, sentAgain: 0, sentAt: issuedAt };
}

/** Milliseconds until the mail may be sent again; undefined if it may not. */
export function waitOf({ sentAgain, sentAt }: Progress, now: number): number | undefined {
  const wait = WAITS[sentAgain];
  return wait && Math.max(0, sentAt + wait - now);
}
