import { isAllowed } from "../access/decision.ts";
import { isTooOld } from "../access/route.ts";
import { routeFor, type Site } from "../access/routes.ts";
import { type ExtraHeaders, type Failure, failure, NOT_ALLOWED_HERE, redirect } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { isDeliberate } from "../edge/navigation.ts";
import { ownRoutes } from "../edge/own.ts";
import { cutTarget } from "../edge/target.ts";
import type { House, Room } from "../house.ts";
import type { Principal } from "../identity/principal.ts";
import { limitRefusal } from "../limits/answer.ts";
import { landingAt, safeNext } from "../login/next.ts";
import { createSpentTickets } from "../login/spent.ts";
import { bindingOf } from "../login/ticket.ts";
import { said } from "../pages/language.ts";
import { keptIn, loginHref, nextToSend, OWN_PREFIX, START_PATH } from "../pages/paths.ts";
import { sameSecret } from "../secret/compare.ts";
import { createTickets, TicketError, type TicketKind } from "../secret/ticket.ts";
import { HAND_OFF_REFUSED, HANDED_OFF } from "./audit.ts";
import { NO_REFERRER, REQUEST_PATH } from "./begin.ts";
import { BINDING_BYTES } from "./cookie.ts";
import { HAND_OFF, HAND_OFF_REQUEST } from "./ticket.ts";

/**
 * One sign-in for several hosts. Where people sign in, a request of another host becomes a ticket (`/handoff`), and there the ticket
 * becomes a session cookie of its own (`/handoff/finish`).
 */

const FINISH_PATH = `${REQUEST_PATH}/finish`;
const TICKET_MS = 60_000;
/** Another tab of the same browser may just be setting the cookie that this one lacks. */
const LOOK_AGAIN = ["Refresh", "2"] as const;

export function handOffRoom(
  house: Pick<
    House,
    | "options"
    | "routes"
    | "keys"
    | "stores"
    | "sessions"
    | "sessionCookie"
    | "bindingCookie"
    | "keptPosts"
    | "limiter"
    | "audit"
    | "clock"
    | "random"
  >,
): Room {
  const { options, routes, keys, sessions, sessionCookie, bindingCookie, limiter, audit, clock, random } =
    house;
  const { home } = routes;
  const homeName = new URL(home.origin).hostname;
  if (routes.all.every(({ host }) => host === undefined || host === homeName))
    return { name: "hand-off", cookies: [bindingCookie] };
  const spent = createSpentTickets(house.stores, clock);
  const ticketsFor = (audience: string) => createTickets(keys, { audience, clock });

  function mayUse(site: Site, path: string, who: Principal): boolean {
    const route = routeFor(site, path);
    return route === undefined ? site.routes.some((one) => isAllowed(one, who)) : isAllowed(route, who);
  }

  function refuse(arrival: Arrival, reason: string, what: Failure, more: ExtraHeaders = []): Response {
    audit(HAND_OFF_REFUSED, { client: arrival.client.ip, reason, host: arrival.client.host });
    return failure(arrival, { ...what, headers: [...(what.headers ?? []), NO_REFERRER, ...more] });
  }

  /** @returns the error itself for what is not good. */
  async function verified<T>(kind: TicketKind<T>, token: string, audience: string) {
    try {
      return await ticketsFor(audience).verify(kind, token);
    } catch (error) {
      if (error instanceof TicketError) return error;
      throw error;
    }
  }

  async function request(arrival: Arrival): Promise<Response> {
    if (arrival.origin !== home.origin) return refuse(arrival, "wrong_host", NOT_FINISHED);
    if (!isDeliberate(arrival.method, arrival.request.headers)) return failure(arrival, NOT_A_NAVIGATION);
    const query = new URLSearchParams(arrival.target.search);
    const token = query.get("request") ?? "";
    const asked = await verified(HAND_OFF_REQUEST, token, home.origin);
    if (asked instanceof TicketError) return refuse(arrival, `token_${asked.problem}`, NOT_ASKED);
    const site = routes.siteAt(asked.app);
    if (site === undefined) return refuse(arrival, "unknown_host", NOT_ASKED);
    const path = safeNext(asked.next, landingAt(routes, site.origin, options.landingPath), arrival.isOwn);
    const route = routeFor(site, cutTarget(path, 0).path);
    const found = await sessions.find(sessionCookie.read(arrival), arrival, route?.bind);
    const now = clock.now();
    const isOld =
      found !== undefined &&
      ((asked.again && found.principal.provenAt < asked.issuedAt) ||
        (route !== undefined && isTooOld(route, found.principal, now)));
    if (found === undefined || isOld) {
      // Too long a path is left out, and not the host.
      const back = nextToSend(site.origin + path) || `${site.origin}/`;
      return redirect(302, loginHref(back, isOld, keptIn(query)), [NO_REFERRER]);
    }
    if (!mayUse(site, cutTarget(path, 0).path, found.principal))
      return refuse(arrival, "not_allowed", NOT_ALLOWED_HERE);
    const ticket = ticketsFor(site.origin).sign(HAND_OFF, {
      email: found.principal.subject.email,
      session: found.record.id,
      bind: asked.bind,
      next: path,
      jti: Buffer.from(random.bytes(BINDING_BYTES)).toString("base64url"),
      issuedAt: now,
      expiresAt: now + TICKET_MS,
    });
    return redirect(303, `${site.origin}${FINISH_PATH}?ticket=${ticket}`, [NO_REFERRER]);
  }

  /** Everything that can fail comes before the ticket is spent, and the cookie after it. */
  async function finish(arrival: Arrival): Promise<Response> {
    if (!isDeliberate(arrival.method, arrival.request.headers)) return failure(arrival, NOT_A_NAVIGATION);
    const { origin } = arrival;
    const site = routes.siteAt(origin);
    const token = new URLSearchParams(arrival.target.search).get("ticket") ?? "";
    const ticket = await verified(HAND_OFF, token, origin);
    if (ticket instanceof TicketError) return refuse(arrival, `token_${ticket.problem}`, NOT_FINISHED);
    const next = safeNext(ticket.next, landingAt(routes, origin, options.landingPath), arrival.isOwn);

    const before = await sessions.findAll(sessionCookie.read(arrival), origin);
    // By another tab, or the ticket is looked at again: nothing is to be done.
    if (before.length === 1 && before[0]?.record.id === ticket.session) {
      return redirect(302, next, [NO_REFERRER]);
    }
    // Somebody has planted one, and a further cookie would not decide it: it would all begin anew, for ever.
    if (before.length > 1) return refuse(arrival, "ambiguous", AMBIGUOUS);

    const binding = bindingCookie.read(arrival);
    if (binding === undefined) return refuse(arrival, "no_binding", NOT_FINISHED);
    if (!sameSecret(bindingOf(binding), ticket.bind)) {
      return refuse(arrival, "wrong_binding", NOT_FINISHED, [LOOK_AGAIN]);
    }
    const cookie = sessions.cookieFor(ticket.session, origin);
    const route = site && routeFor(site, cutTarget(next, 0).path);
    // Where the browser comes to this host by another network than to the other, it would all begin anew, for ever.
    const found = await sessions.find([cookie], arrival, route?.bind);
    if (found === undefined || found.record.email !== ticket.email) {
      return refuse(arrival, "ended", NOT_FINISHED);
    }
    if (site === undefined || !mayUse(site, cutTarget(next, 0).path, found.principal)) {
      return refuse(arrival, "not_allowed", NOT_ALLOWED_HERE);
    }
    const rate = await limiter.handOff(ticket.session);
    if (!rate.allowed) return refuse(arrival, "rate_limited", limitRefusal("IP", rate.retryAfterMs));
    if (!(await spent.spend(ticket.jti, ticket.expiresAt))) return refuse(arrival, "spent", NOT_FINISHED);
    const { client } = arrival;
    audit(HANDED_OFF, {
      ...{ subject: found.record.email, client: client.ip, session: found.record.id },
      host: client.host,
    });
    return redirect(302, house.keptPosts.onward(arrival, next), [
      NO_REFERRER,
      ...house.keptPosts.remember(ticket.email),
      ...sessionCookie.issueHere(cookie, found.record.brief).map((line) => ["Set-Cookie", line] as const),
    ]);
  }

  const own = ownRoutes("hand-off", [
    { path: REQUEST_PATH.slice(OWN_PREFIX.length), handlers: { GET: request } },
    { path: FINISH_PATH.slice(OWN_PREFIX.length), handlers: { GET: finish } },
  ]);
  return { ...own, cookies: [bindingCookie] };
}

const NOT_FINISHED: Failure = {
  status: 401,
  error: "hand_off_refused",
  title: said("handOff.title"),
  message: said("handOff.message"),
  action: { href: "/", label: said("error.tryAgain") },
};

const NOT_ASKED: Failure = {
  ...NOT_FINISHED,
  title: said("handOff.oldTitle"),
  message: said("handOff.old"),
  action: { href: START_PATH, label: said("error.start") },
};

const AMBIGUOUS: Failure = {
  ...NOT_FINISHED,
  title: said("handOff.twoTitle"),
  message: said("handOff.two"),
  action: { href: `${OWN_PREFIX}/logout`, label: said("error.signOut") },
};

const NOT_A_NAVIGATION: Failure = {
  status: 400,
  error: "not_a_navigation",
  title: said("handOff.ownTabTitle"),
  message: said("handOff.ownTab"),
};
