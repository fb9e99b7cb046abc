import { isAllowed } from "../access/decision.ts";
import type { Route } from "../access/route.ts";
import { isRecent } from "../api/own.ts";
import { timeOf } from "../api/time.ts";
import {
  badRequest,
  type ExtraHeaders,
  type Failure,
  failure,
  json,
  NOT_ALLOWED,
  NOT_FOUND,
  page,
  Refusal,
  redirect,
  unauthenticated,
} from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { readFields } from "../edge/body.ts";
import { isNavigation } from "../edge/navigation.ts";
import type { OwnHandler } from "../edge/own.ts";
import type { House } from "../house.ts";
import { createVisits } from "../login/visit.ts";
import { said } from "../pages/language.ts";
import { askHref, loginHref, REQUESTS_PATH } from "../pages/paths.ts";
import type { Found } from "../session/session.ts";
import { askPage, requestsPage, type Standing } from "./pages.ts";
import { untilIn } from "./until.ts";

/** `/access`, where somebody asks for an application, and `/requests`, where those are who decide about it. */
export function accessPages(house: House): Record<"show" | "ask" | "list" | "decide", OwnHandler> {
  const { accessRequests: requests, routes, options, clock } = house;
  const visits = createVisits(house);

  /** @throws {Refusal} 404 for one that nobody can ask for */
  function routeNamed(name: string | null | undefined): Route {
    const route = routes.all.find((one) => one.name === name);
    if (route === undefined || !route.requestAccess || !options.dynamicUsers) throw new Refusal(NOT_FOUND);
    return route;
  }

  /** Whoever has to sign in first. A script must never get a page in place of data. */
  function toLogin(arrival: Arrival, next: string, again = false): Response {
    const status = arrival.method === "POST" ? 303 : 302;
    if (isNavigation(arrival.request.headers)) return house.signIn(arrival, status, next, again);
    return failure(arrival, unauthenticated(arrival.origin));
  }

  async function standingOf(arrival: Arrival, route: Route, { principal }: Found): Promise<Standing> {
    if (isAllowed(route, principal)) return "granted";
    if (!requests.mayAsk(route, principal)) throw new Refusal(NOT_ALLOWED);
    const asked = await requests.standing(principal.subject.email, route);
    if (asked?.state === "open") return "waiting";
    if (asked?.state === "granted") {
      // Another process may just have let them in; or what it gave has ended.
      await house.grants.look();
      const now = await visits.findSession(arrival);
      return now !== undefined && isAllowed(route, now.principal) ? "granted" : "new";
    }
    return asked?.state === "refused" ? "refused" : "new";
  }

  async function showStanding(
    arrival: Arrival,
    route: Route,
    found: Found,
    refused?: Sent,
  ): Promise<Response> {
    const state = await standingOf(arrival, route, found);
    if (!isNavigation(arrival.request.headers)) return json({ state });
    const { name, title } = route;
    const href = routes.urlOf(route) ?? options.landingPath;
    const shown = { state, email: found.record.email, name, title, href, reason: refused?.reason ?? "" };
    const error = refused?.failure;
    // HTML Standard, "the Refresh header": without a URL, it is the page's own.
    const polls: ExtraHeaders = state === "waiting" ? [["Refresh", `${POLL_SECONDS}`]] : [];
    const html = askPage(arrival.lookOf(arrival), { ...shown, ...(error && { error: error.message }) });
    return page(html, error?.status, [...polls, ...(error?.headers ?? [])]);
  }

  async function show(arrival: Arrival): Promise<Response> {
    const route = routeNamed(new URLSearchParams(arrival.target.search).get("route"));
    const found = await visits.findSession(arrival);
    return found === undefined ? toLogin(arrival, askHref(route.name)) : showStanding(arrival, route, found);
  }

  async function ask(arrival: Arrival): Promise<Response> {
    house.guardPost(arrival);
    const fields = await readFields(arrival.request);
    const route = routeNamed(fields.route);
    const found = await visits.findSession(arrival);
    if (found === undefined) return toLogin(arrival, askHref(route.name));
    const { reason = "" } = fields;
    try {
      await requests.ask(route, found.principal, reason, arrival.client);
    } catch (error) {
      const isTheirs = error instanceof Refusal && error.failure.status !== NOT_ALLOWED.status;
      if (!isTheirs || !isNavigation(arrival.request.headers)) throw error;
      return showStanding(arrival, route, found, { reason, failure: error.failure });
    }
    if (isNavigation(arrival.request.headers)) return redirect(303, askHref(route.name));
    return showStanding(arrival, route, found);
  }

  /** Whoever decides, having signed in lately, here. @throws {Refusal} 403 for whoever decides about nothing */
  async function decider(arrival: Arrival): Promise<Found | Response> {
    if (!options.dynamicUsers) throw new Refusal(NOT_FOUND);
    const found = await visits.findSession(arrival);
    if (found === undefined) return toLogin(arrival, REQUESTS_PATH);
    if (!requests.decidesAny(found.principal)) throw new Refusal(NOT_YOURS);
    if (isRecent(found.principal, clock.now())) return found;
    if (isNavigation(arrival.request.headers))
      return redirect(arrival.method === "POST" ? 303 : 302, loginHref(REQUESTS_PATH, true));
    throw new Refusal({ ...unauthenticated(arrival.origin), error: "sign_in_again" });
  }

  async function list(arrival: Arrival): Promise<Response> {
    if (!visits.isHome(arrival)) return redirect(302, routes.home.origin + REQUESTS_PATH);
    const found = await decider(arrival);
    if (found instanceof Response) return found;
    const open = await requests.list(found.principal);
    if (!isNavigation(arrival.request.headers)) {
      return json({
        items: open.map(({ id, email, route, reason, ip, askedAt }) => ({
          ...{ id, email, route, reason, ip, asked_at: timeOf(askedAt) },
        })),
      });
    }
    const done = new URLSearchParams(arrival.target.search).get("done");
    const titleOf = (name: string) => routes.all.find((one) => one.name === name)?.title ?? name;
    const shown = { email: found.record.email, open, titleOf, now: clock.now() };
    return page(
      requestsPage(arrival.lookOf(arrival), {
        ...shown,
        done: done === "granted" || done === "refused" ? DONE[done] : undefined,
      }),
    );
  }

  async function decide(arrival: Arrival): Promise<Response> {
    house.guardPost(arrival);
    visits.stayHome(arrival);
    const found = await decider(arrival);
    if (found instanceof Response) return found;
    const { id = "", until, do: what } = await readFields(arrival.request);
    // What says nothing of either is no decision.
    if (what !== "refuse" && until === undefined) throw badRequest("Say until when, or refuse.");
    const { state } =
      what === "refuse"
        ? await requests.refuse(id, found.principal)
        : await requests.approve(id, untilIn(until || null, clock.now()) ?? null, found.principal);
    if (isNavigation(arrival.request.headers)) return redirect(303, `${REQUESTS_PATH}?done=${state}`);
    return json({ state });
  }

  return { show, ask, list, decide };
}

type Sent = { readonly reason: string; readonly failure: Failure };

const POLL_SECONDS = 10;
const DONE = { granted: said("decide.granted"), refused: said("decide.refused") } as const;
const NOT_YOURS: Failure = { ...NOT_ALLOWED, message: said("decide.notYours") };
