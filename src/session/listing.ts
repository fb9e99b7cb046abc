import type { Address } from "../identity/address.ts";
import type { Records, Seen } from "../store/records.ts";
import { type KeptSession, readSession, type SessionRecord } from "./record.ts";

/** Sessions as whoever looks after them sees them: nothing is decided by it, and a command line may not have the key. */
export type SessionListing = {
  /**
   * Oldest first.
   * @param email whose; without it, everybody's, which costs as much as there are.
   */
  list(email?: Address): Promise<SessionRecord[]>;
  /**
   * Everybody's, in parts of at most `most`: those that may last longest first. Costs the same however many there are.
   * @param cursor of the part before. @returns undefined for one that is no cursor.
   */
  part(most: number, cursor?: string): Promise<SessionPart | undefined>;
  /** Everybody's, those that have rested for too long included. */
  count(): Promise<number>;
};

export type SessionPart = { readonly items: readonly SessionRecord[]; readonly next: string | undefined };

/** Where a part ends, in the order of the store. */
type Mark = Pick<Seen<unknown>, "id" | "expiresAt">;

/** How many are looked at for one part, where most of them have rested for too long. */
const MOST_LOOKED_AT = 2_000;

export function createListing(
  records: Records<KeptSession>,
  isOver: (record: SessionRecord) => boolean,
): SessionListing {
  function readAlive(all: readonly Seen<KeptSession>[]): SessionRecord[] {
    return all
      .map(readSession)
      .filter((record) => record !== undefined && !isOver(record)) as SessionRecord[];
  }

  /** Those behind a mark, and whether there are more. */
  async function behind(mark: Mark | undefined, most: number): Promise<readonly Seen<KeptSession>[]> {
    const until = mark === undefined ? {} : { until: mark.expiresAt };
    const isBehind = ({ expiresAt, id }: Mark) =>
      mark === undefined || expiresAt < mark.expiresAt || (expiresAt === mark.expiresAt && id < mark.id);
    // Those that expire at the same moment as the mark come again.
    for (let ask = most + 10; ; ask *= 2) {
      const found = await records.find({ newestFirst: true, most: ask, ...until });
      const rest = found.filter(isBehind);
      if (rest.length >= most || found.length < ask) return rest.slice(0, most);
    }
  }

  return {
    async list(email) {
      const where = email === undefined ? {} : { where: { email } };
      const all = readAlive(await records.find({ ...where, most: Number.MAX_SAFE_INTEGER }));
      return all.sort((a, b) => a.createdAt - b.createdAt);
    },

    async part(most, cursor) {
      let mark = cursor === undefined ? undefined : markIn(cursor);
      if (cursor !== undefined && mark === undefined) return undefined;
      const items: SessionRecord[] = [];
      for (let looked = 0; looked < MOST_LOOKED_AT; looked += most) {
        const chunk = await behind(mark, most);
        for (const seen of chunk) {
          if (items.length === most) break;
          items.push(...readAlive([seen]));
          mark = seen;
        }
        if (items.length === most) break;
        if (chunk.length < most) return { items, next: undefined };
      }
      return { items, next: mark && `${mark.expiresAt}_${mark.id}` };
    },

    count: async () => records.count(),
  };
}

function markIn(cursor: string): Mark | undefined {
  const [, expiresAt, id] = /^(\d{1,16})_([\w-]{1,100})$/.exec(cursor) ?? [];
  return id === undefined ? undefined : { id, expiresAt: Number(expiresAt) };
}
