import type { Clock } from "../clock.ts";
import { type Address, addressIn, domainOf } from "../identity/address.ts";
import { type Awaitable, type Kind, type RecordStore, StoreFull } from "../store/records.ts";
import type { Notice } from "./bounces/notice.ts";

/** Addresses that mail has come back from within a day, as services told. */
export type Undeliverable = {
  /**
   * Whether mail to this address's domain has come back. By domain, since only mail to those who may sign in comes back: a
   * single address would be told to be one of them.
   * @throws {StoreUnavailable}
   */
  has(address: Address): Awaitable<boolean>;
  /**
   * Takes a notice once, and within a day.
   * @param service who sent it.
   * @returns those that were not marked before, with why. @throws {StoreUnavailable}
   */
  take(service: string, notice: Notice): Promise<readonly { address: Address; reason: string }[]>;
};

type Mark = { readonly domain: string };

export const MARKS: Kind<Mark> = { name: "undeliverable", by: ["domain"], capacity: 10_000 };
/** Each notice that was taken, until it is too old to be taken again. */
export const NOTICES: Kind<Record<never, never>> = { name: "bounce_notice", once: true };

const DAY = 24 * 60 * 60_000;
/** So much may a service's clock be ahead of ours. */
const SKEW = 5 * 60_000;

/** @param isOurs whether mail to an address can have been sent from here: a service may be shared with others. */
export function createUndeliverable(
  store: RecordStore,
  clock: Clock,
  isOurs: (address: Address) => boolean,
): Undeliverable {
  const marks = store.records(MARKS);
  const notices = store.records(NOTICES);

  /** @returns false if it is marked already. */
  async function mark(address: Address, until: number): Promise<boolean> {
    try {
      return await marks.add(address, { domain: domainOf(address) }, until, "light");
    } catch (error) {
      // Ten thousand that are known to be are enough to say so.
      if (error instanceof StoreFull) return false;
      throw error;
    }
  }

  return {
    async has(address) {
      return (await marks.find({ where: { domain: domainOf(address) }, most: 1 })).length > 0;
    },
    async take(service, { id, at, bounces }) {
      const until = at + DAY;
      const now = clock.now();
      // A time that is none is in neither.
      if (!(at <= now + SKEW && until > now)) return [];
      if (!(await notices.add(`${service}:${id}`, {}, until, "grouped"))) return [];
      const marked = [];
      for (const bounce of bounces) {
        const address = addressIn(bounce.address);
        if (address === undefined || !isOurs(address) || !(await mark(address, until))) continue;
        marked.push({ address, reason: bounce.reason });
      }
      return marked;
    },
  };
}
