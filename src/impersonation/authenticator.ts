import type { Authenticator } from "../access/admit.ts";
import type { ActingCookie } from "./cookie.ts";
import type { Impersonations } from "./service.ts";

/**
 * An administrator who acts as somebody else is them, for the application that they began it for. Everywhere else, Runegate's own
 * pages included, they are themselves.
 */
export function actingAuthenticator(
  impersonations: Pick<Impersonations, "shown" | "alive" | "onEnded">,
  cookie: ActingCookie,
): Authenticator {
  return {
    kind: "impersonation",
    // A route that takes no such proof is one on which it is over, and that has to be said.
    strict: true,
    authenticate(shown, route) {
      // Nearly everybody: nothing is asked for them.
      if (route === undefined || shown.cookies.valuesOf(cookie.name).length === 0) return undefined;
      return impersonations.shown(shown, route.bind).then((acting) => {
        if (acting === "ended") return ENDED;
        return acting?.route.name === route.name ? acting.principal : undefined;
      });
    },
    alive: impersonations.alive,
    onEnded: impersonations.onEnded,
  };
}

const ENDED = { rejected: "impersonation_ended" } as const;
