import type { Authenticator } from "../access/admit.ts";
import type { SessionCookie } from "./cookie.ts";
import type { Found, Sessions } from "./session.ts";

/** Whoever holds the cookie of a live session is let through. */
export function sessionAuthenticator(sessions: Sessions, cookie: SessionCookie): Authenticator {
  const principalOf = (found: Found | undefined) => found?.principal;
  return {
    kind: "session",
    authenticate(shown, route) {
      const found = sessions.find(cookie.read(shown), shown, route?.bind);
      return found instanceof Promise ? found.then(principalOf) : principalOf(found);
    },
    alive: sessions.alive,
    onEnded: sessions.onEnded,
  };
}
