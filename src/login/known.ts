import type { Clock } from "../clock.ts";
import type { Address } from "../identity/address.ts";
import type { Kind, RecordStore } from "../store/records.ts";

/** One for each address and period, so that a look-up asks for two; only signing in adds any. */
export const MARKS: Kind<Record<never, never>> = { name: "known_address" };
const PERIOD_MS = 90 * 24 * 60 * 60_000;

/**
 * Which addresses cannot have been invented by whoever asks: those that are named one by one, and those that somebody has
 * signed in with.
 */
export function createKnownAddresses(named: ReadonlySet<Address>, store: RecordStore, clock: Clock) {
  const marks = store.records(MARKS);
  const currentPeriod = () => Math.floor(clock.now() / PERIOD_MS);
  const markOf = (email: Address, period: number) => `${period}:${email}`;

  return {
    /** Takes the same steps for every address. @throws {StoreUnavailable} */
    async has(email: Address): Promise<boolean> {
      const period = currentPeriod();
      const [now, before] = await Promise.all(
        [period, period - 1].map(async (at) => marks.get(markOf(email, at))),
      );
      return named.has(email) || now !== undefined || before !== undefined;
    },

    /** Notes that somebody has signed in with it, for three to six months. Never throws: it is a matter of precedence only. */
    async add(email: Address): Promise<void> {
      const period = currentPeriod();
      const noted = async () => marks.add(markOf(email, period), {}, (period + 2) * PERIOD_MS, "light");
      await noted().catch(() => {});
    },
  };
}
