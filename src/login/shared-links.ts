import type { Clock } from "../clock.ts";
import { DAY } from "../option/values.ts";
import type { Kind, RecordStore, Seen } from "../store/records.ts";
import type { SpentTickets, Use } from "./spent.ts";
import type { LoginTicket } from "./ticket.ts";

/** Links that an operator makes for several uses: what is known of them, and how their uses are counted. */

export type SharedLink = {
  /** Canonical address (`identity/address.ts`) that it signs in. */
  readonly email: string;
  readonly uses: number;
  /** Where it leads, as the name of an application; empty for the landing path. */
  readonly route: string;
  /** Milliseconds since the Unix epoch. */
  readonly createdAt: number;
};

export type ListedLink = Seen<SharedLink> & { readonly used: number };

/** For the list alone: that a link is good stands in its signature, and how often it was used in the marks. */
export const LINKS: Kind<SharedLink> = { name: "shared_link", order: "createdAt", capacity: 1000 };

export const MOST_USES = 20;
export const LONGEST_LINK = 7 * DAY;

type Shared = Pick<LoginTicket, "jti" | "uses" | "expiresAt">;

export type SharedLinks = ReturnType<typeof createSharedLinks>;

export function createSharedLinks(store: RecordStore, spent: SpentTickets, clock: Clock) {
  const records = store.records(LINKS);
  // One for each use, that of the last being there only with all others. A link in a mail has the one under its id.
  const markOf = ({ jti, uses }: Pick<Shared, "jti" | "uses">, n: number) => (uses ? `${jti}.${n}` : jti);
  const revocationOf = (jti: string) => `revoked:${jti}`;

  return {
    add: async (jti: string, link: SharedLink, expiresAt: number): Promise<boolean> =>
      records.add(jti, link, expiresAt),

    /**
     * Marks a link used once more. Of all callers, ever and together, as many get a number as it has uses.
     * @returns for the how manieth time, from 1; undefined if it was used as often.
     * @throws {StoreUnavailable} which never counts as permission.
     */
    async spend(ticket: Shared, use: Use): Promise<number | undefined> {
      for (let n = 1; n <= (ticket.uses ?? 1); n++) {
        if (await spent.spend(markOf(ticket, n), ticket.expiresAt, use)) return n;
      }
      return undefined;
    },

    /** How it was used last, once it is no longer good for that. @throws {StoreUnavailable} */
    useOf: (ticket: Shared): Promise<Use | undefined> => spent.useOf(markOf(ticket, ticket.uses ?? 1)),

    /** @throws {StoreUnavailable} */
    isRevoked: async (jti: string): Promise<boolean> => (await spent.useOf(revocationOf(jti))) !== undefined,

    /** Those that have not expired or been revoked, oldest first. @throws {StoreUnavailable} */
    async list(): Promise<ListedLink[]> {
      const all = await records.find({ most: Number.MAX_SAFE_INTEGER });
      return Promise.all(
        all.map(async (seen) => {
          let used = 0;
          const { uses } = seen.record;
          while (used < uses && (await spent.useOf(markOf({ jti: seen.id, uses }, used + 1)))) used++;
          return { ...seen, used };
        }),
      );
    },

    /** One that has not expired or been revoked. @throws {StoreUnavailable} */
    find: async (jti: string): Promise<SharedLink | undefined> => (await records.get(jti))?.record,

    /** Ends what it could still be used for. @returns false if there is none such. @throws {StoreUnavailable} */
    async revoke(jti: string): Promise<boolean> {
      const seen = await records.get(jti);
      if (seen === undefined) return false;
      await spent.spend(revocationOf(jti), seen.expiresAt, { at: clock.now() });
      await records.take(jti);
      return true;
    },
  };
}
