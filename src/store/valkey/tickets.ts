import type { Clock } from "../../clock.ts";
import type { Logger } from "../../observe/logger.ts";
import { StoreUnavailable, type TicketStore } from "../contracts.ts";
import { SINCE, ticketKey } from "./keys.ts";
import type { Link } from "./link.ts";
import { MARGIN_MS } from "./script.ts";

/**
 * Spent marks: one key each, set if it is not there. A mark outlives its ticket by a day, so that a wall clock set back
 * does not make it fresh.
 */
export function createValkeyTickets(link: Link, clock: Clock, log: Logger): TicketStore {
  return {
    async spend(jti, expiresAt) {
      const left = expiresAt - clock.now();
      if (left <= 0) return "spent";
      try {
        const set = await link.run("SET", [
          ticketKey(jti),
          "",
          "NX",
          "PX",
          String(Math.ceil(left) + MARGIN_MS),
        ]);
        return set === "OK" ? "fresh" : "spent";
      } catch (error) {
        if (!(error instanceof StoreUnavailable)) throw error;
        // The mark may have been set and only the answer lost. Asking again would then say "spent", never "fresh".
        log.warn("a link could not be marked used", { reason: error.message });
        return "unavailable";
      }
    },

    isSpent: async (jti) => Boolean(await link.run("EXISTS", [ticketKey(jti)])),

    async since() {
      const now = String(clock.now());
      return Number((await link.run("SET", [SINCE, now, "NX", "GET"])) ?? now);
    },
  };
}
