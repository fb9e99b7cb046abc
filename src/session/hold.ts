import type { Clock } from "../clock.ts";
import { Refusal } from "../edge/answer.ts";
import type { Address } from "../identity/address.ts";
import { said } from "../pages/language.ts";
import type { Kind, RecordStore } from "../store/records.ts";

/**
 * Addresses with which nobody signs in for a while, because whoever reads their mail said that a sign-in was not theirs. Kept by
 * address.
 */
export const HOLDS: Kind<Record<never, never>> = { name: "hold" };
const HOLD_MS = 60 * 60_000;

export type Holds = {
  /** @returns until when. @throws {StoreUnavailable} */
  put(email: Address): Promise<number>;
  /** Until when, milliseconds since the Unix epoch; undefined for one that is not on hold. @throws {StoreUnavailable} */
  until(email: Address): Promise<number | undefined>;
};

export function createHolds(store: RecordStore, clock: Clock): Holds {
  const records = store.records(HOLDS);
  return {
    async put(email) {
      const until = clock.now() + HOLD_MS;
      await records.take(email);
      await records.add(email, {}, until);
      return until;
    },
    until: async (email) => (await records.get(email))?.expiresAt,
  };
}

/** Nobody gets a session. Whoever is told has proved that the address is theirs as well. */
export class OnHold extends Refusal {
  /** @param remaining milliseconds */
  constructor(remaining: number) {
    const time = { amount: Math.max(1, Math.ceil(remaining / 60_000)), unit: "minute" } as const;
    super({
      status: 403,
      error: "on_hold",
      title: said("hold.title"),
      message: said("hold.message", { time }),
    });
  }
}
