import type { Clock } from "../clock.ts";
import type { Device } from "../session/device.ts";
import type { Kind, RecordStore } from "../store/records.ts";

/** When a ticket was used, and by which browser; empty where nobody is to be told. */
export type Use = { readonly at?: number; readonly device?: Device };

export const MARKS: Kind<Use> = { name: "ticket", once: true };
/**
 * How long a mark is kept after its ticket has expired. What was spent while the wall clock was ahead is forgotten only if it
 * was so for longer: from then on, no link would work until the time that it showed.
 */
const MARGIN_MS = 24 * 60 * 60_000;

export type SpentTickets = ReturnType<typeof createSpentTickets>;

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
    spend: async (jti: string, expiresAt: number, use: Use = {}): Promise<boolean> =>
      expiresAt > clock.now() && marks.add(jti, use, expiresAt + MARGIN_MS, "light"),

    /**
     * How it was used, for telling so. That it was not is no promise: only `spend` decides.
     * @throws {StoreUnavailable}
     */
    useOf: async (jti: string): Promise<Use | undefined> => {
      const mark = await marks.get(jti);
      return mark && readUse(mark.record);
    },
  };
}

/** Whoever writes to the store may have put anything there. */
function readUse({ at, device }: Use): Use {
  const { browser, system } = device ?? {};
  return {
    ...(Number.isSafeInteger(at) && at !== undefined && Math.abs(at) < 8.64e15 ? { at } : {}),
    device: {
      ...(typeof browser === "string" ? { browser } : {}),
      ...(typeof system === "string" ? { system } : {}),
    },
  };
}
