import { type Failure, failure, json, page, Refusal, redirect, SIGN_IN } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { readFields } from "../edge/body.ts";
import { isDeliberate, isNavigation } from "../edge/navigation.ts";
import type { House } from "../house.ts";
import { limitRefusal } from "../limits/answer.ts";
import { said } from "../pages/language.ts";
import { confirmPage, goOnPage, linkPage } from "../pages/pages.ts";
import { LOGIN_PATH } from "../pages/paths.ts";
import type { Found } from "../session/session.ts";
import { REDEMPTION_REFUSED } from "./audit.ts";
import type { CodeRefused, LinkRefused, Redeemed, Redeemer } from "./service.ts";
import type { LoginTicket } from "./ticket.ts";
import { type UnderWayPages, usedBy } from "./under-way.ts";
import type { Visits } from "./visit.ts";

const NEW_LINK = { href: LOGIN_PATH, label: said("error.newLink") };

const INVALID_LINK: Failure = {
  status: 401,
  error: "invalid_token",
  title: said("link.failed"),
  message: said("link.invalid"),
  action: NEW_LINK,
};

const MISSING_TOKEN: Failure = {
  status: 400,
  error: "missing_token",
  title: said("link.missingTitle"),
  message: said("link.missing"),
  action: SIGN_IN,
};

/** `/auth`: a link or a code becomes a session, or it is said why not. */
export function createRedemption(house: House, visits: Visits, underWayPages: UnderWayPages) {
  const { login: service, loginCookie, sessionCookie, limiter, audit, clock } = house;
  const { nextOf, onward, findSession, cookiesOf } = visits;

  /** @returns what to answer if no further attempt may be made. */
  async function countAttempt({ client }: Arrival): Promise<Failure | undefined> {
    const outcome = await limiter.redemption(client);
    if (outcome.allowed) return undefined;
    audit(REDEMPTION_REFUSED, { client: client.ip, reason: "rate_limited", subject: undefined });
    return limitRefusal("IP", outcome.retryAfterMs);
  }

  async function open(arrival: Arrival): Promise<Response> {
    // Only what could redeem is an attempt: a page elsewhere must not use up its visitor's with images or frames of links.
    visits.stayHome(arrival);
    const deliberate = isDeliberate(arrival.method, arrival.request.headers);
    const limited = deliberate ? await countAttempt(arrival) : undefined;
    // Its page opens the link once more, when that may be.
    if (limited !== undefined) {
      return failure(arrival, { ...limited, passing: Number(limited.fields?.retry_after) });
    }
    const token = new URLSearchParams(arrival.target.search).get("token") ?? "";
    if (token === "") throw new Refusal(MISSING_TOKEN);
    const opened = await service.openLink(token, redeemerOf(arrival), deliberate);
    if (opened.outcome === "signed_in") return signedIn(302, arrival, opened);
    if (opened.outcome !== "confirm") return refuse(arrival, opened);
    const { ticket } = opened;
    const found = await findSession(arrival);
    if (await isAlready(arrival, found, ticket)) return redirect(302, onward(arrival, ticket.next));
    return confirm(arrival, token, ticket, found);
  }

  /** Whether a link has nothing to do: whoever it is for is signed in here. */
  async function isAlready(arrival: Arrival, found: Found | undefined, { email, next }: LoginTicket) {
    if (found?.record.email !== email) return false;
    return (await visits.problemWith(found, nextOf(arrival, next), arrival)) === undefined;
  }

  function confirm(
    arrival: Arrival,
    token: string,
    { email, issuedAt: requestedAt, from, next }: LoginTicket,
    found: Found | undefined,
    limited?: Failure,
  ): Response {
    const who = found?.record.email === email ? undefined : found?.record.email;
    const shown = {
      email,
      token,
      requestedAt,
      from,
      next,
      who,
      error: limited?.message,
      keep: visits.keepOf(),
    };
    return page(confirmPage(arrival.lookOf(arrival, next), shown), limited?.status, limited?.headers);
  }

  async function refuse(arrival: Arrival, refused: LinkRefused): Promise<Response> {
    const { outcome } = refused;
    const ticket = outcome === "not_ours" ? undefined : refused.ticket;
    const found = await findSession(arrival);
    if (outcome === "used" && (await isAlready(arrival, found, refused.ticket))) {
      return redirect(302, onward(arrival, refused.ticket.next));
    }
    if (!isNavigation(arrival.request.headers)) {
      return failure(arrival, { ...INVALID_LINK, fields: { reason: outcome } });
    }
    const next = ticket?.next === undefined ? "" : nextOf(arrival, ticket.next);
    const look = arrival.lookOf(arrival, next);
    const html = linkPage(look, {
      ...{ outcome, next, now: clock.now(), requestId: arrival.id },
      // One that may not sign in any more is offered nothing.
      email: outcome === "withdrawn" ? undefined : ticket?.email,
      who: ticket === undefined || found?.record.email === ticket.email ? undefined : found?.record.email,
      expiresAt: ticket?.expiresAt ?? 0,
      // Of one for several, nobody is told who else has used it.
      use: outcome === "used" && ticket?.uses === undefined ? usedBy(look, refused.use) : undefined,
      uses: ticket?.uses,
    });
    return page(html, INVALID_LINK.status);
  }

  async function redeem(arrival: Arrival): Promise<Response> {
    house.guardPost(arrival);
    visits.stayHome(arrival);
    const { token = "", code = "", remember } = await readFields(arrival.request);
    const limited = await countAttempt(arrival);
    if (limited !== undefined) return tooMany(arrival, token, limited);
    if (token === "" && code === "") throw new Refusal(MISSING_TOKEN);
    // A page that shows the link asks anew: it may be open in another browser than the one that asked for it.
    const isAsked = token !== "" && isNavigation(arrival.request.headers);
    const keep = isAsked || remember !== undefined ? remember === "true" : undefined;
    const by = { ...redeemerOf(arrival), keep };
    if (token !== "") {
      const redeemed = await service.redeemLink(token, by);
      return redeemed.outcome === "signed_in" ? redeemedBy(arrival, redeemed) : refuse(arrival, redeemed);
    }
    const redeemed = await service.redeemCode(code, by);
    return redeemed.outcome === "signed_in" ? redeemedBy(arrival, redeemed) : refuseCode(arrival, redeemed);
  }

  async function redeemedBy(arrival: Arrival, redeemed: Redeemed): Promise<Response> {
    if (isNavigation(arrival.request.headers)) return signedIn(303, arrival, redeemed);
    const next = onward(arrival, redeemed.next);
    return json({ message: "Signed in.", next }, 200, await cookiesOf(arrival, redeemed));
  }

  /** The page the person was on, with the time to wait. */
  async function tooMany(arrival: Arrival, token: string, limited: Failure): Promise<Response> {
    if (!isNavigation(arrival.request.headers)) return failure(arrival, limited);
    const ticket = token === "" ? undefined : await service.look(token);
    if (ticket !== undefined) return confirm(arrival, token, ticket, await findSession(arrival), limited);
    const back = token === "" ? await underWayPages.refuse(arrival, limited) : undefined;
    return back ?? failure(arrival, { ...limited, action: NEW_LINK });
  }

  /** For whoever has a login under way, its page says what is wrong, and says so again when it is loaded again. */
  function refuseCode(arrival: Arrival, { outcome: reason, triesLeft }: CodeRefused): Response {
    if (isNavigation(arrival.request.headers) && reason !== "nothing" && reason !== "withdrawn") {
      return underWayPages.go(reason === "no_code" ? reason : undefined);
    }
    return failure(arrival, {
      status: 401,
      error: "invalid_code",
      title: said("code.wrongTitle"),
      message: said(reason === "nothing" ? "code.wrongElsewhere" : "code.wrong"),
      action: NEW_LINK,
      fields: triesLeft === undefined ? { reason } : { reason, tries_left: triesLeft },
    });
  }

  function redeemerOf(arrival: Arrival): Redeemer {
    return {
      client: arrival.client,
      request: arrival.id,
      userAgent: arrival.request.headers.get("user-agent") ?? "",
      loginCookie: loginCookie.read(arrival),
      oldSessions: sessionCookie.read(arrival),
      origin: arrival.origin,
    };
  }

  async function signedIn(status: 302 | 303, arrival: Arrival, redeemed: Redeemed): Promise<Response> {
    const href = onward(arrival, redeemed.next);
    const cookies = await cookiesOf(arrival, redeemed);
    if (status === 302 || href.startsWith("/")) return redirect(status, href, cookies);
    // A form of ours may lead to this host only (`form-action`), and browsers hold redirects to that too.
    return page(goOnPage(arrival.lookOf(arrival), { href }), 200, [
      ...cookies,
      ["Refresh", `0; url=${href}`],
    ]);
  }

  return { open, redeem };
}
