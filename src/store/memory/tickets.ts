import type { Clock } from "../../clock.ts";
import type { TicketStore } from "../contracts.ts";
import { createExpiryBuckets } from "./expiry.ts";

/** A ticket lives for minutes, so its mark goes within seconds of it. */
const BUCKET_MS = 10_000;

/**
 * Spent marks, each kept at least until its ticket has expired. No mark ever makes room for another: at `capacity` live
 * marks the answer is `"unavailable"`, because forgetting one early would let its ticket in a second time.
 */
export function createMemoryTickets(
  clock: Clock,
  capacity = 1_000_000,
): TicketStore & { readonly size: number } {
  const marks = new Set<string>();
  const expiry = createExpiryBuckets(BUCKET_MS);
  const since = clock.now();
  const forget = (jti: string) => void marks.delete(jti);

  return {
    spend(jti, expiresAt) {
      const now = clock.now();
      expiry.sweep(now, forget);
      // A wall clock that is set back makes tickets valid again whose marks are gone: those stay spent.
      if (expiresAt <= now || expiresAt <= expiry.sweptUntil || marks.has(jti)) return "spent";
      if (marks.size >= capacity) return "unavailable";
      marks.add(jti);
      expiry.add(jti, expiresAt);
      return "fresh";
    },

    isSpent: (jti) => marks.has(jti),
    since: () => since,

    get size() {
      return marks.size;
    },
  };
}
