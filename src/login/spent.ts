import type { Clock } from "../clock.ts";
import type { Kind, RecordStore } from "../store/records.ts";

/** Which links and codes have been used, by the id of their ticket. */
export type SpentTickets = {
  /**
   * Marks a ticket used. Of all callers, ever and together, one gets true.
   * @param expiresAt when the ticket itself stops being valid.
   * @throws {StoreUnavailable} which never counts as permission: the mark may have been made all the same.
   */
  spend(jti: string, expiresAt: number): Promise<boolean>;
  /** For telling so early. A false is no promise: only `spend` decides. @throws {StoreUnavailable} */
  has(jti: string): Promise<boolean>;
};

const MARKS: Kind<Record<never, never>> = { name: "ticket", once: true };
/**
 * How long a mark is kept after its ticket has expired. What was spent while the wall clock was ahead is forgotten only if it
 * was so for longer: from then on, no link would work until the time that it showed.
 */
const MARGIN_MS = 24 * 60 * 60_000;

export function createSpentTickets(store: RecordStore, clock: Clock): SpentTickets {
  const marks = store.records(MARKS);
  return {
    spend: async (jti, expiresAt) =>
      expiresAt > clock.now() && marks.add(jti, {}, expiresAt + MARGIN_MS, "grouped"),
    has: async (jti) => (await marks.get(jti)) !== undefined,
  };
}
