import { isBinding } from "../access/binding.ts";
import type { Route } from "../access/route.ts";
import type { Site } from "../access/routes.ts";
import type { Arrival } from "../edge/arrival.ts";
import type { Principal } from "../identity/principal.ts";

/**
 * Whether an edge may answer by itself, for two seconds, what it has asked here once. It does not look at the path then: its key is the
 * host, the method, the session cookie, `Authorization` and `X-Runegate-Key`. So this is said only where whatever else a request for
 * the host may say, path, headers and all, changes nothing about the verdict on this credential:
 *
 * - It is a session, and the only cookie of its name in any spelling: an edge might have another one of them in its key.
 * - No grant opens it, which may end at any moment.
 * - The host has one route, for all of its paths, which nobody uses as somebody else: by which cookie is not in the key.
 * - That has no rule by path, by method, by how long ago somebody signed in, or from where.
 * - It takes no WebSocket, or takes them from the pages of any site. Whether a request opens one, and from where, is not in the key; so
 *   where none is taken, the edge passes no `Upgrade` on.
 */
export function isSameForHost(
  asked: Pick<Arrival, "headers">,
  site: Site,
  route: Route,
  principal: Principal | undefined,
  sessionCookieName: string,
): boolean {
  return (
    principal?.proof.kind === "session" &&
    principal.granted === undefined &&
    standsOnce(sessionCookieName.toLowerCase(), (asked.headers.cookie ?? "").toLowerCase()) &&
    site.routes.length === 1 &&
    route.path === "/" &&
    route.impersonation === "deny" &&
    route.publicPaths.length === 0 &&
    route.methods === undefined &&
    !route.corsPreflight &&
    route.maxAge === undefined &&
    route.idle === undefined &&
    !isBinding(route.bind) &&
    (!route.webSocket || route.webSocketOrigins === "*")
  );
}

function standsOnce(word: string, text: string): boolean {
  const at = text.indexOf(word);
  return at !== -1 && at === text.lastIndexOf(word);
}
