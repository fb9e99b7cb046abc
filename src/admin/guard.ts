import { ADMINS } from "../access/people.ts";
import { isAdminNetwork, isRecent } from "../api/own.ts";
import { NOT_FOUND, Refusal, redirect } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import type { House } from "../house.ts";
import { isPrincipal, nameOf, type Principal } from "../identity/principal.ts";
import { HOUR } from "../option/values.ts";
import { loginHref } from "../pages/paths.ts";
import { ADMIN_OPENED, ADMIN_REFUSED } from "./audit.ts";
import type { AdminVisit } from "./screen.ts";

/** Who may see the admin pages. To everybody else they are not there. */

type Guard = {
  /**
   * @param recent whether a session that was left open is not enough.
   * @returns the way to sign in, for whoever has to.
   * @throws {Refusal} 404 @throws {StoreUnavailable}
   */
  admit(arrival: Arrival, recent: boolean): Promise<AdminVisit | Response>;
};

export function createGuard(
  house: Pick<
    House,
    "options" | "routes" | "sessions" | "sessionCookie" | "stores" | "audit" | "auditFirst" | "clock"
  >,
): Guard {
  const { options, routes, sessions, sessionCookie, stores, audit, auditFirst, clock } = house;

  /** Why somebody who is known is refused. */
  function whyNot({ proof, actor, groups }: Principal, { client }: Arrival): string | undefined {
    if (proof.kind !== "session") return `by ${proof.kind}`;
    if (actor !== undefined) return "acting as somebody else";
    if (!groups.has(ADMINS)) return "no administrator";
    return isAdminNetwork(options, client) ? undefined : "from another network";
  }

  return {
    async admit(arrival, recent) {
      const { target, client } = arrival;
      // An application on a further host acts there with its visitor's session, and must not rule over others by it.
      if (arrival.origin !== routes.home.origin) throw new Refusal(NOT_FOUND);
      const status = arrival.method === "POST" ? 303 : 302;
      const here = target.path + target.search;
      const who = await arrival.identify(arrival, "pages");
      if (who === undefined) return redirect(status, loginHref(here));
      const reason = isPrincipal(who) ? whyNot(who, arrival) : "what was shown is worth nothing";
      const found =
        reason === undefined ? await sessions.find(sessionCookie.read(arrival), arrival) : undefined;
      if (reason !== undefined || found === undefined) {
        const subject = isPrincipal(who) ? nameOf(who) : undefined;
        audit(ADMIN_REFUSED, { subject, client: client.ip, path: target.path, reason });
        throw new Refusal(NOT_FOUND);
      }
      const now = clock.now();
      const { principal, record } = found;
      if (recent && !isRecent(principal, now, options.adminMaxAge))
        return redirect(status, loginHref(here, true));
      const admin = principal.subject.email;
      const opened = await stores.limits.hit(`admin:${record.id}`, { limit: 1, windowMs: HOUR });
      if (opened.allowed)
        await auditFirst(ADMIN_OPENED, { subject: admin, client: client.ip, session: record.id });
      return { arrival, found, admin, query: new URLSearchParams(target.search), now };
    },
  };
}
