import { type ExtraHeaders, type Failure, failure, NOT_FOUND, page, redirect } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { hasBody, readFields } from "../edge/body.ts";
import { isDeliberate } from "../edge/navigation.ts";
import { NO_REFERRER } from "../hand-off/begin.ts";
import { BINDING_BYTES, REQUEST_SECONDS } from "../hand-off/cookie.ts";
import type { House } from "../house.ts";
import { limitRefusal } from "../limits/answer.ts";
import { createSpentTickets } from "../login/spent.ts";
import { bindingOf } from "../login/ticket.ts";
import { SECOND } from "../option/values.ts";
import { said } from "../pages/language.ts";
import { ACTING_PATH, adminPath } from "../pages/paths.ts";
import { sameSecret } from "../secret/compare.ts";
import { createTickets, TicketError, type TicketKind } from "../secret/ticket.ts";
import { IMPERSONATION_REFUSED } from "./audit.ts";
import { FORGET_ACTING } from "./cookie.ts";
import { actingPage, endedPage } from "./pages.ts";
import { SCREEN } from "./screen.ts";
import type { Acting } from "./service.ts";
import { ACTING_REQUEST, ACTING_TICKET } from "./ticket.ts";

/**
 * An administrator acts as somebody else in one application. What they began where people sign in (`screen.ts`) is opened on the
 * application's host, as a sign-in is handed off there: `/as/open` ties it to the browser, `/as/ticket` at home says what there is to
 * open, `/as/finish` sets the cookie. One way in, whether or not the two are one host.
 */

const TICKET_PATH = `${ACTING_PATH}/ticket`;
const FINISH_PATH = `${ACTING_PATH}/finish`;
const TICKET_MS = 60 * SECOND;
const FORGET: ExtraHeaders = [["Set-Cookie", FORGET_ACTING]];

export function createActingHandlers(house: House) {
  const { impersonations, actingCookie, routes, keys, sessions, sessionCookie, bindingCookie } = house;
  const { audit, clock, random, limiter } = house;
  const { home } = routes;
  const spent = createSpentTickets(house.stores, clock);
  const ticketsFor = (audience: string) => createTickets(keys, { audience, clock });
  const draw = () => Buffer.from(random.bytes(BINDING_BYTES)).toString("base64url");

  function refuse(
    { client, ...arrival }: Arrival,
    reason: string,
    what: Failure = NOT_OPENED,
    headers: ExtraHeaders = [],
  ): Response {
    const facts = { subject: undefined, actor: undefined, route: undefined };
    audit(IMPERSONATION_REFUSED, { ...facts, client: client.ip, reason, host: client.host });
    return failure(arrival, { ...what, headers: [...(what.headers ?? []), NO_REFERRER, ...headers] });
  }

  /** @returns the error itself for what is not good. */
  async function verified<T>(kind: TicketKind<T>, arrival: Arrival, name: string, audience: string) {
    const token = new URLSearchParams(arrival.target.search).get(name) ?? "";
    try {
      return await ticketsFor(audience).verify(kind, token);
    } catch (error) {
      if (error instanceof TicketError) return error;
      throw error;
    }
  }

  /** At the application's host. */
  function open(arrival: Arrival): Response {
    if (!isDeliberate(arrival.method, arrival.request.headers)) return failure(arrival, NOT_A_NAVIGATION);
    const binding = bindingCookie.read(arrival) ?? draw();
    const issuedAt = clock.now();
    const request = ticketsFor(home.origin).sign(ACTING_REQUEST, {
      ...{ app: arrival.origin, bind: bindingOf(binding), jti: draw() },
      ...{ issuedAt, expiresAt: issuedAt + REQUEST_SECONDS * SECOND },
    });
    return redirect(302, `${home.origin}${TICKET_PATH}?request=${request}`, [
      NO_REFERRER,
      ["Set-Cookie", bindingCookie.line(binding)],
    ]);
  }

  /** Where people sign in. */
  async function ticket(arrival: Arrival): Promise<Response> {
    if (arrival.origin !== home.origin) return refuse(arrival, "wrong_host");
    if (!isDeliberate(arrival.method, arrival.request.headers)) return failure(arrival, NOT_A_NAVIGATION);
    const asked = await verified(ACTING_REQUEST, arrival, "request", home.origin);
    if (asked instanceof TicketError) return refuse(arrival, `token_${asked.problem}`);
    const found = await sessions.find(sessionCookie.read(arrival), arrival);
    if (found === undefined) return refuse(arrival, "not_signed_in");
    const one = await impersonations.of(found.principal.subject.email, found.record.id);
    const route = one && routes.all.find((route) => route.name === one.route);
    if (one === undefined || route === undefined || routes.originOf(route) !== asked.app)
      return refuse(arrival, "none_begun");
    const issuedAt = clock.now();
    const signed = ticketsFor(asked.app).sign(ACTING_TICKET, {
      ...{ id: one.id, bind: asked.bind, jti: draw() },
      ...{ issuedAt, expiresAt: issuedAt + TICKET_MS },
    });
    return redirect(303, `${asked.app}${FINISH_PATH}?ticket=${signed}`, [NO_REFERRER]);
  }

  /** At the application's host again. Everything that can fail comes before the ticket is spent, and the cookie after it. */
  async function finish(arrival: Arrival): Promise<Response> {
    if (!isDeliberate(arrival.method, arrival.request.headers)) return failure(arrival, NOT_A_NAVIGATION);
    const { origin } = arrival;
    const good = await verified(ACTING_TICKET, arrival, "ticket", origin);
    if (good instanceof TicketError) return refuse(arrival, `token_${good.problem}`);
    const binding = bindingCookie.read(arrival);
    if (binding === undefined) return refuse(arrival, "no_binding");
    if (!sameSecret(bindingOf(binding), good.bind)) return refuse(arrival, "wrong_binding");
    const one = (await impersonations.running()).find(({ id }) => id === good.id);
    const route = one && routes.all.find((route) => route.name === one.route);
    if (one === undefined || route === undefined) return refuse(arrival, "ended");
    // Their own session goes on, and is needed here too.
    const own = await sessions.findAll(sessionCookie.read(arrival), origin);
    if (own.length > 1) return refuse(arrival, "ambiguous");
    const cookie = sessions.cookieFor(one.login, origin);
    const line = actingCookie.line(one.id, origin);
    const found = await sessions.find([cookie], arrival, route.bind);
    const isLive = found !== undefined && (await impersonations.alive(one.id, true)) !== undefined;
    if (!isLive) return refuse(arrival, "ended");
    const rate = await limiter.handOff(one.login);
    if (!rate.allowed) return refuse(arrival, "rate_limited", limitRefusal("IP", rate.retryAfterMs));
    if (!(await spent.spend(good.jti, good.expiresAt))) return refuse(arrival, "spent");
    const isHere = own[0]?.record.id === one.login;
    const session = isHere ? [] : sessionCookie.issueHere(cookie, found.record.brief);
    return redirect(302, route.path, [
      NO_REFERRER,
      ...[...session, line].map((one) => ["Set-Cookie", one] as const),
    ]);
  }

  const acting = (arrival: Arrival) => impersonations.shown(arrival, undefined);
  const shownOf = ({ one, principal }: Acting) => ({
    ...{ one, isReadOnly: principal.readOnly === true, now: clock.now() },
    control: home.origin + adminPath(SCREEN),
  });

  async function show(arrival: Arrival): Promise<Response> {
    const found = await acting(arrival);
    if (found === undefined) return failure(arrival, NOBODY);
    if (found === "ended") return failure(arrival, { ...NOBODY, headers: FORGET });
    const { path, title } = found.route;
    return page(actingPage(arrival.lookOf(arrival), { ...shownOf(found), title, href: path }));
  }

  async function end(arrival: Arrival): Promise<Response> {
    house.guardPost(arrival);
    if (hasBody(arrival)) await readFields(arrival.request);
    const found = await acting(arrival);
    if (found === undefined) return failure(arrival, NOBODY);
    if (found !== "ended") await impersonations.end(found.one, `by ${found.one.admin}`);
    const href = found === "ended" ? "/" : found.route.path;
    const look = { ...arrival.lookOf(arrival), acting: false };
    return page(endedPage(look, { href, control: home.origin + adminPath(SCREEN) }), 200, FORGET);
  }

  return { show, open, ticket, finish, end };
}

const NOT_OPENED: Failure = {
  status: 401,
  error: "impersonation_refused",
  title: "That did not open",
  message: "It may have ended, or belong to another browser. Open it again from the page where it was begun.",
};

const NOBODY: Failure = {
  ...NOT_FOUND,
  error: "not_impersonating",
  title: "You are yourself",
  message: "On this host, you act as nobody else.",
};

const NOT_A_NAVIGATION: Failure = {
  status: 400,
  error: "not_a_navigation",
  title: said("handOff.ownTabTitle"),
  message: said("handOff.ownTab"),
};
