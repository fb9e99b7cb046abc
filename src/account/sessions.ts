import type { Arrival } from "../edge/arrival.ts";
import { readFields } from "../edge/body.ts";
import type { House } from "../house.ts";
import type { Address } from "../identity/address.ts";
import { type SessionRecord, shortId } from "../session/record.ts";
import { revoke } from "../session/revoke.ts";
import type { Found } from "../session/session.ts";
import { sessionsPart } from "./pages.ts";
import type { AccountSection } from "./section.ts";

/** One's own sessions, on the page of the account: what there is, ending one, ending all others. */

/** More are counted, not shown: nobody reads a longer list, and anybody may sign in as often as they like. */
const MOST_SHOWN = 50;

export function sessionSection(house: Pick<House, "sessions" | "audit" | "auditFirst">) {
  const { sessions } = house;
  const section: AccountSection = {
    id: "sessions",
    async show({ found, look, done }) {
      const all = await sessions.list(found.record.email as Address);
      const others = all
        .filter(({ id }) => id !== found.record.id)
        .sort((a, b) => b.seenAt - a.seenAt || b.createdAt - a.createdAt);
      return sessionsPart(look, found.record, others.slice(0, MOST_SHOWN), others.length, done);
    },
  };

  const othersOf = async ({ record }: Found) =>
    (await sessions.list(record.email as Address)).filter(({ id }) => id !== record.id);

  const end = async (records: readonly SessionRecord[]): Promise<string> => {
    const ended = await revoke(house, records, () => "user");
    return ended === 0 ? "none" : ended === 1 ? "one" : "several";
  };

  return {
    section,
    /** The one that is named, which is not the one that asks: that one signs out. */
    async endOne({ request }: Arrival, found: Found): Promise<string> {
      const { session = "" } = await readFields(request);
      return end((await othersOf(found)).filter(({ id }) => shortId(id) === session));
    },
    endOthers: async (_: Arrival, found: Found) => end(await othersOf(found)),
  };
}
