import type { House } from "../house.ts";
import { CLIENT_KEYS_ROTATED, CLIENT_TOKENS_REVOKED } from "./audit.ts";
import type { Endings } from "./endings.ts";
import { useOf } from "./records.ts";
import type { ProviderService } from "./service.ts";

/** Who uses which client, and ending that, for administrators; and new keys, for the operator. */
export type ClientBook = {
  /** @param most newest ones there are at most, of all sessions. @throws {StoreUnavailable} */
  people(client: string): Promise<readonly ClientUse[]>;
  /** Ends somebody's tokens at a client, which is told if it can be, and what they agreed to. @throws {StoreUnavailable} */
  revoke(client: string, email: string, by: string): Promise<boolean>;
  /** As `ProviderKeys.rotate`. @throws {StoreUnavailable} */
  rotateKeys(compromised: boolean, by: string): Promise<number>;
};

export type ClientUse = {
  readonly email: string;
  /** When they signed in there last, milliseconds since the Unix epoch. */
  readonly at: number;
  readonly sessions: number;
};

const MOST = 10_000;

export function createClientBook(
  { auditFirst }: Pick<House, "auditFirst">,
  { records, keys }: Pick<ProviderService, "records" | "keys">,
  endings: Pick<Endings, "endedAt">,
): ClientBook {
  return {
    async people(client) {
      const found = await records.uses.find({ where: { client }, most: MOST });
      const byPerson = Map.groupBy(found, ({ record }) => record.email);
      return [...byPerson]
        .map(([email, all]) => ({
          email,
          at: Math.max(...all.map(({ record }) => record.at)),
          sessions: all.length,
        }))
        .sort((a, b) => b.at - a.at);
    },

    async revoke(client, email, by) {
      const use = useOf({ client, email });
      const [one] = await records.uses.find({ where: { use }, most: 1 });
      if (one === undefined) return false;
      await auditFirst(CLIENT_TOKENS_REVOKED, { subject: email, by: client, actor: by });
      await records.families.takeAll("use", use);
      await records.consents.take(use);
      await endings.endedAt(use);
      return true;
    },

    async rotateKeys(compromised, by) {
      await auditFirst(CLIENT_KEYS_ROTATED, { actor: by, reason: compromised ? "compromised" : "asked" });
      return keys.rotate(compromised);
    },
  };
}
