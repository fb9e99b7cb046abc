import type { Clock } from "../clock.ts";
import type { Kind, RecordStore } from "../store/records.ts";

const MARKS: Kind<Record<never, never>> = { name: "ticket", once: true };
/**
 * How long a mark is kept after its ticket has expired. What was spent while the wall clock was ahead is forgotten only if it
 * was so for longer: from then on, no link would work until the time that it showed.
 */
const MARGIN_MS = 24 * 60 * 60_000;

/** Which links and codes have been used, by the id of their ticket. */
export function createSpentTickets(store: RecordStore, clock: Clock) {
  const marks = store.records(MARKS);
  return {
    /**
     * Marks a ticket used. Of all callers, ever and together, one gets true. The mark survives a power cut with
     * the session that begins on it: before that nobody is told anything.
     * @param expiresAt when the ticket itself stops being valid.
     * @throws {StoreUnavailable} which never counts as permission: the mark may have been made all the same.
     */
    spend: async (jti: string, expiresAt: number): Promise<boolean> =>
      expiresAt > clock.now() && marks.add(jti, {}, expiresAt + MARGIN_MS, "light"),

    /** For telling so early. A false is no promise: only `spend` decides. @throws {StoreUnavailable} */
    has: async (jti: string): Promise<boolean> => (await marks.get(jti)) !== undefined,
  };
}
