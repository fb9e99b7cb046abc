import { isTooOld } from "../access/route.ts";
import { routeFor } from "../access/routes.ts";
import { timeOf } from "../api/list.ts";
import {
  type ExtraHeaders,
  type Failure,
  failure,
  json,
  NOT_UNDERSTOOD,
  page,
  Refusal,
  redirect,
  SIGN_IN,
  unauthenticated,
} from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { readFields } from "../edge/body.ts";
import { isDeliberate, isNavigation } from "../edge/navigation.ts";
import { ownRoutes } from "../edge/own.ts";
import { cutTarget, type Target } from "../edge/target.ts";
import type { House, Room } from "../house.ts";
import { type Address, AddressError, domainOf, parseAddress } from "../identity/address.ts";
import { busyRefusal, limitRefusal } from "../limits/answer.ts";
import { mayReadMailbox } from "../mail/routes.ts";
import { confirmPage, goOnPage, loginPage, sentPage, startPage } from "../pages/pages.ts";
import { AGAIN, LOGIN_PATH } from "../pages/paths.ts";
import type { Found } from "../session/session.ts";
import { StoreUnavailable } from "../store/records.ts";
import { loginApi } from "./api.ts";
import { LOGIN_REFUSED, REDEMPTION_REFUSED } from "./audit.ts";
import { describeDevice } from "./device.ts";
import { landingAt, onwardFrom, partsOf, safeDestination } from "./next.ts";
import type { Redeemed, Redeemer } from "./service.ts";
import { applicationsOf } from "./start.ts";
import { isLoginToken } from "./ticket.ts";

/** `/login` and `/auth`: from a visitor's address to a session (CONTRACT section 2). */

const INVALID_CODE = "That code is not right, or it has expired. Check it, or ask for a new link.";
const SAME_BROWSER = "A code works only in the browser that asked for it.";
const NEW_LINK = { href: LOGIN_PATH, label: "Ask for a new link" };
const ASKED = "If this address may sign in, a mail with a link is on its way.";

const LATER = "It has been too long since you signed in. Do so again to go on.";

const INVALID_LINK: Failure = {
  status: 401,
  error: "invalid_token",
  title: "That link does not work",
  message: "This login link is invalid or has expired.",
  action: NEW_LINK,
};

const MISSING_TOKEN: Failure = {
  status: 400,
  error: "missing_token",
  title: "Something is missing",
  message: "A login link or a code is needed here. Open the link from the mail as a whole.",
  action: SIGN_IN,
};

export function loginRoom(house: House): Room {
  const { options, routes, login: service, loginCookie, sessions, sessionCookie } = house;
  const { limiter, audit, clock } = house;
  const expiryMinutes = Math.round(options.magicLinkExpiry / 60_000);
  const landingOf = ({ origin }: Arrival) => landingAt(routes, origin, options.landingPath);
  /** A path here, or a URL on another host. */
  const nextOf = (arrival: Arrival, input: string | undefined | null) =>
    safeDestination(input, arrival.origin, landingOf(arrival), arrival.isOwn, routes.siteAt);
  const isHome = ({ origin }: Arrival) => origin === routes.home.origin;
  const findSession = async (arrival: Arrival) => sessions.find(sessionCookie.read(arrival), arrival.origin);
  /** Whether mail is in the development mailbox, for whoever asks to read. */
  const showsMailbox = (arrival: Arrival) => house.mailbox !== undefined && mayReadMailbox(arrival);

  /** Whether the application that `next` is in wants a later sign-in than this one. */
  function isTooOldFor(next: string, arrival: Arrival, found: Found): boolean {
    const { origin, path } = partsOf(next, arrival.origin);
    const site = routes.siteAt(origin);
    const route = site && routeFor(site, cutTarget(path, 0).path);
    return route !== undefined && isTooOld(route, found.principal, clock.now());
  }

  async function showLogin(arrival: Arrival): Promise<Response> {
    // A proxy may send everybody here; a script must never get a page in place of data.
    if ((arrival.headers["sec-fetch-mode"] ?? "navigate") !== "navigate") {
      return failure(arrival, unauthenticated(arrival.origin));
    }
    const query = new URLSearchParams(arrival.target.search);
    // `rd` is what ingress-nginx calls it.
    const wanted = query.get("next") ?? (arrival.target.path === LOGIN_PATH ? query.get("rd") : null);
    const next = nextOf(arrival, wanted);
    const found = await findSession(arrival);
    const again = found !== undefined && (query.get(AGAIN) === "1" || isTooOldFor(next, arrival, found));
    if (found !== undefined && !again) return redirect(302, onwardFrom(arrival.origin, next));
    if (isHome(arrival)) {
      return page(loginPage({ next: wanted === null ? "" : next, notice: again ? LATER : undefined }));
    }
    const { origin, path } = partsOf(next, arrival.origin);
    if (origin !== arrival.origin) return redirect(302, onwardFrom(arrival.origin, next));
    return house.signIn(arrival, 302, path, again);
  }

  async function showStart(arrival: Arrival): Promise<Response> {
    const found = await findSession(arrival);
    if (found === undefined) return showLogin(arrival);
    const applications = applicationsOf(routes, found.principal, options.landingPath);
    const [only, ...others] = applications;
    if (only !== undefined && others.length === 0) return redirect(302, only.href);
    return page(startPage({ email: found.record.email, applications }));
  }

  /** What signs in is for the host where people do so: what it gives is good on every host. @throws {Refusal} */
  function stayHome(arrival: Arrival): void {
    if (isHome(arrival)) return;
    throw new Refusal({
      status: 421,
      error: "wrong_host",
      title: "Sign in elsewhere",
      message: `People sign in at ${routes.home.origin}, and come back here from there.`,
      action: SIGN_IN,
    });
  }

  async function ask(arrival: Arrival): Promise<Response> {
    house.guardPost(arrival);
    stayHome(arrival);
    const { email: typed = "", next: wanted = "" } = await readFields(arrival.request);
    const next = nextOf(arrival, wanted);
    const shown = wanted === "" ? "" : next;
    const person = isNavigation(arrival.request.headers);
    /** A person gets the form once more, with what is wrong. */
    function refuse(refusal: Failure): Response {
      if (!person) return failure(arrival, refusal);
      const { status, message, headers } = refusal;
      return page(loginPage({ next: shown, email: typed, error: message }), status, headers);
    }

    let email: Address;
    try {
      email = parseAddress(typed);
    } catch (error) {
      if (!(error instanceof AddressError)) throw error;
      audit(LOGIN_REFUSED, { client: arrival.client.ip, reason: error.problem });
      const { code, message } = error;
      return refuse({ status: 400, error: code, title: NOT_UNDERSTOOD, message });
    }

    const device = describeDevice(arrival.request.headers.get("user-agent"));
    const asked = await service.ask({ email, next, client: arrival.client, device });
    if (asked.outcome === "busy") return refuse(busyRefusal(asked.retryAfterMs));
    if (asked.outcome === "limited") return refuse(limitRefusal(asked.scope, asked.retryAfterMs));
    const cookie = loginCookie.line(asked.loginCookie, asked.expiresAt - clock.now());
    const headers: ExtraHeaders = [["Set-Cookie", cookie]];
    if (!person) return json({ message: ASKED }, 200, headers);
    return sent(arrival, { email, next: shown }, 200, headers);
  }

  async function sent(
    arrival: Arrival,
    shown: { readonly email: Address; readonly next: string; readonly error?: string },
    status: number,
    headers: ExtraHeaders = [],
  ): Promise<Response> {
    const found = await findSession(arrival);
    const before = found && timeOf(found.record.createdAt);
    const mailbox = showsMailbox(arrival);
    const refusing = (await isRefusing(shown.email)) ? domainOf(shown.email) : undefined;
    return page(sentPage({ ...shown, expiryMinutes, before, mailbox, refusing }), status, headers);
  }

  /** Whether mail to an address's domain comes back. Said where that is known: the page is of use without. */
  async function isRefusing(email: Address): Promise<boolean> {
    try {
      return await house.undeliverable.has(email);
    } catch (error) {
      if (error instanceof StoreUnavailable) return false;
      throw error;
    }
  }

  /** @throws {Refusal} if no further attempt may be made. */
  async function countAttempt({ client }: Arrival): Promise<void> {
    const outcome = await limiter.redemption(client);
    if (outcome.allowed) return;
    audit(REDEMPTION_REFUSED, { client: client.ip, reason: "rate_limited", subject: undefined });
    throw new Refusal(limitRefusal("IP", outcome.retryAfterMs));
  }

  async function openLink(arrival: Arrival): Promise<Response> {
    // Only what could redeem is an attempt: a page elsewhere must not use up its visitor's with images or frames of links.
    stayHome(arrival);
    const deliberate = isDeliberate(arrival.method, arrival.request.headers);
    if (deliberate) await countAttempt(arrival);
    const token = new URLSearchParams(arrival.target.search).get("token") ?? "";
    if (token === "") throw new Refusal(MISSING_TOKEN);
    const worth = valid(await service.openLink(token, redeemerOf(arrival), deliberate));
    if ("cookie" in worth) return signedIn(302, arrival, worth);
    const { email, issuedAt: requestedAt, from, next } = worth;
    return page(confirmPage({ email, token, requestedAt, from, next }));
  }

  async function redeem(arrival: Arrival): Promise<Response> {
    house.guardPost(arrival);
    stayHome(arrival);
    await countAttempt(arrival);
    const { token = "", code = "" } = await readFields(arrival.request);
    if (token === "" && code === "") throw new Refusal(MISSING_TOKEN);
    const by = redeemerOf(arrival);
    const redeemed =
      token === "" ? await service.redeemCode(code, by) : valid(await service.redeemLink(token, by));
    if (redeemed === undefined) return wrongCode(arrival);
    if (isNavigation(arrival.request.headers)) return signedIn(303, arrival, redeemed);
    const next = onwardFrom(arrival.origin, nextOf(arrival, redeemed.next));
    return json({ message: "Signed in.", next }, 200, sessionHeaders(redeemed));
  }

  async function wrongCode(arrival: Arrival): Promise<Response> {
    const pending = await service.pending(loginCookie.read(arrival));
    if (pending !== undefined && isNavigation(arrival.request.headers)) {
      const { email, next } = pending;
      return sent(arrival, { email, next: nextOf(arrival, next), error: INVALID_CODE }, 401);
    }
    return failure(arrival, {
      status: 401,
      error: "invalid_code",
      title: "That code does not work",
      message: pending === undefined ? `${INVALID_CODE} ${SAME_BROWSER}` : INVALID_CODE,
      action: NEW_LINK,
    });
  }

  function redeemerOf(arrival: Arrival): Redeemer {
    return {
      client: arrival.client,
      userAgent: arrival.request.headers.get("user-agent") ?? "",
      loginCookie: loginCookie.read(arrival),
      oldSessions: sessionCookie.read(arrival),
      origin: arrival.origin,
    };
  }

  function sessionHeaders(redeemed: Redeemed): ExtraHeaders {
    return sessionCookie.issue(redeemed.cookie).map((line) => ["Set-Cookie", line]);
  }

  function signedIn(status: 302 | 303, arrival: Arrival, redeemed: Redeemed): Response {
    const href = onwardFrom(arrival.origin, nextOf(arrival, redeemed.next));
    const cookies = sessionHeaders(redeemed);
    if (status === 302 || href.startsWith("/")) return redirect(status, href, cookies);
    // A form of ours may lead to this host only (`form-action`), and browsers hold redirects to that too.
    return page(goOnPage({ href }), 200, [...cookies, ["Refresh", `0; url=${href}`]]);
  }

  const own = ownRoutes("login", [
    { path: "", handlers: { GET: showStart } },
    { path: "/login", also: ["/login"], handlers: { GET: showLogin, POST: ask } },
    { also: ["/login.html"], handlers: { GET: showLogin } },
    { path: "/auth", also: ["/auth"], claim: holdsLoginToken, handlers: { GET: openLink, POST: redeem } },
  ]);
  return { ...own, api: () => loginApi(house), cookies: [loginCookie] };
}

/** An application's own `/auth?token=` holds something else. What the link is worth is seen when it is opened. */
function holdsLoginToken({ search }: Target): boolean {
  const token = new URLSearchParams(search).get("token");
  return token !== null && isLoginToken(token);
}

/** What a link was refused for is for the operator: all visitors are told one thing. @throws {Refusal} */
function valid<T>(worth: T | undefined): T {
  if (worth === undefined) throw new Refusal(INVALID_LINK);
  return worth;
}
