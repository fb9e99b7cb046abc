import type { Clock } from "../clock.ts";
import type { Address } from "../identity/address.ts";
import type { TicketStore } from "../store/contracts.ts";

/**
 * Which addresses cannot have been invented by whoever asks: those that are named one by one, and those that somebody has
 * signed in with.
 */
export type KnownAddresses = {
  /** Takes the same steps for every address. @throws {StoreUnavailable} */
  has(email: Address): Promise<boolean>;
  /** Notes that somebody has signed in with it, for three to six months. Never throws: it is a matter of precedence only. */
  add(email: Address): Promise<void>;
};

const PERIOD_MS = 90 * 24 * 60 * 60_000;

/**
 * @param marks the store of spent tickets, which keeps marks until they run out. One for each address and period, so that a
 * look-up asks for two; only signing in adds any.
 */
export function createKnownAddresses(
  named: ReadonlySet<Address>,
  marks: TicketStore,
  clock: Clock,
): KnownAddresses {
  const currentPeriod = () => Math.floor(clock.now() / PERIOD_MS);
  const markOf = (email: Address, period: number) => `known:${period}:${email}`;

  return {
    async has(email) {
      const period = currentPeriod();
      const marked = await Promise.all([period, period - 1].map((at) => marks.isSpent(markOf(email, at))));
      return named.has(email) || marked.includes(true);
    },

    async add(email) {
      const period = currentPeriod();
      await (async () => marks.spend(markOf(email, period), (period + 2) * PERIOD_MS))().catch(() => {});
    },
  };
}
