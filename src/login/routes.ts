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
import { type Address, AddressError, parseAddress } from "../identity/address.ts";
import { busyRefusal, limitRefusal } from "../limits/answer.ts";
import { mayReadMailbox } from "../mail/routes.ts";
import { type Said, said } from "../pages/language.ts";
import { confirmPage, goOnPage, loginPage, sentPage } from "../pages/pages.ts";
import { AGAIN, LOGIN_PATH } from "../pages/paths.ts";
import { describeDevice } from "../session/device.ts";
import type { Found } from "../session/session.ts";
import { loginApi } from "./api.ts";
import { LOGIN_REFUSED, REDEMPTION_REFUSED } from "./audit.ts";
import { landingAt, onwardFrom, partsOf, safeDestination } from "./next.ts";
import type { Redeemed, Redeemer } from "./service.ts";
import { isLoginToken } from "./ticket.ts";

/** `/login` and `/auth`: from a visitor's address to a session (CONTRACT section 2). */

const NEW_LINK = { href: LOGIN_PATH, label: said("error.newLink") };
const ASKED = "If this address may sign in, a mail with a link is on its way.";

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

/** @param rooms all there are, asked when the login page is: what each of them shows on it follows the form. */
export function loginRoom(house: House, rooms: () => readonly Pick<Room, "wayIn">[]): Room {
  const { options, routes, login: service, loginCookie, sessions, sessionCookie } = house;
  const { limiter, audit, clock } = house;
  const expiryMinutes = Math.round(options.magicLinkExpiry / 60_000);
  const landingOf = ({ origin }: Arrival) => landingAt(routes, origin, options.landingPath);
  /** A path here, or a URL on another host. */
  const nextOf = (arrival: Arrival, input: string | undefined | null) =>
    safeDestination(input, arrival.origin, landingOf(arrival), arrival.isOwn, routes.siteAt);
  /** What to show of being kept signed in, if that is asked here. */
  const keepOf = (answered: boolean) => (options.remember === "ask" ? answered : undefined);
  const isHome = ({ origin }: Arrival) => origin === routes.home.origin;
  const findSession = async (arrival: Arrival) => sessions.find(sessionCookie.read(arrival), arrival);
  /** Whether mail is in the development mailbox, for whoever asks to read. */
  const showsMailbox = (arrival: Arrival) => house.mailbox !== undefined && mayReadMailbox(arrival);

  /** Why the application that `next` is in wants another sign-in than this one, if it does. */
  async function problemWith(found: Found, next: string, arrival: Arrival): Promise<Said | undefined> {
    const { origin, path } = partsOf(next, arrival.origin);
    const site = routes.siteAt(origin);
    const route = site && routeFor(site, cutTarget(path, 0).path);
    if (route === undefined) return undefined;
    if (isTooOld(route, found.principal, clock.now())) return said("login.tooOld");
    const counts = await sessions.find(sessionCookie.read(arrival), arrival, route.bind);
    return counts === undefined ? said("login.strayed") : undefined;
  }

  async function loginPageOf(arrival: Arrival, shown: Parameters<typeof loginPage>[1]): Promise<string> {
    const parts = await Promise.all(
      rooms().map(async ({ wayIn }) => (await wayIn?.(arrival, shown.next)) ?? []),
    );
    return loginPage(arrival.lookOf(arrival), { ...shown, waysIn: parts.flat() });
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
    const asked = query.get(AGAIN) === "1" ? said("login.tooOld") : undefined;
    const notice = found && (asked ?? (await problemWith(found, next, arrival)));
    const again = notice !== undefined;
    if (found !== undefined && !again) return redirect(302, onwardFrom(arrival.origin, next));
    if (isHome(arrival)) {
      return page(
        await loginPageOf(arrival, {
          next: wanted === null ? "" : next,
          email: await house.devices.lastAddress(arrival),
          notice,
          keep: keepOf(false),
        }),
      );
    }
    const { origin, path } = partsOf(next, arrival.origin);
    if (origin !== arrival.origin) return redirect(302, onwardFrom(arrival.origin, next));
    return house.signIn(arrival, 302, path, again);
  }

  /** What signs in is for the host where people do so: what it gives is good on every host. @throws {Refusal} */
  function stayHome(arrival: Arrival): void {
    if (isHome(arrival)) return;
    throw new Refusal({
      status: 421,
      error: "wrong_host",
      title: said("link.elsewhereTitle"),
      message: said("link.elsewhere", { origin: routes.home.origin }),
      action: SIGN_IN,
    });
  }

  async function ask(arrival: Arrival): Promise<Response> {
    house.guardPost(arrival);
    stayHome(arrival);
    const { email: typed = "", next: wanted = "", remember } = await readFields(arrival.request);
    const keep = remember === "true";
    const next = nextOf(arrival, wanted);
    const shown = wanted === "" ? "" : next;
    const person = isNavigation(arrival.request.headers);
    const look = arrival.lookOf(arrival);
    /** A person gets the form once more, with what is wrong. */
    async function refuse(refusal: Failure): Promise<Response> {
      if (!person) return failure(arrival, refusal);
      const { status, message, headers } = refusal;
      const html = await loginPageOf(arrival, {
        ...{ next: shown, email: typed, error: message, keep: keepOf(keep) },
      });
      return page(html, status, headers);
    }

    let email: Address;
    try {
      email = parseAddress(typed);
    } catch (error) {
      if (!(error instanceof AddressError)) throw error;
      audit(LOGIN_REFUSED, { client: arrival.client.ip, reason: error.problem });
      const { code, problem } = error;
      return refuse({ status: 400, error: code, title: NOT_UNDERSTOOD, message: said(`address.${problem}`) });
    }

    const device = describeDevice(look.language, arrival.request.headers.get("user-agent"));
    const asked = await service.ask({ email, next, keep, client: arrival.client, device, look });
    if (asked.outcome === "busy") return refuse(busyRefusal(asked.retryAfterMs));
    if (asked.outcome === "limited") return refuse(limitRefusal(asked.scope, asked.retryAfterMs));
    const cookie = loginCookie.line(asked.loginCookie, asked.expiresAt - clock.now());
    const headers: ExtraHeaders = [["Set-Cookie", cookie]];
    if (!person) return json({ message: ASKED }, 200, headers);
    return sent(arrival, { email, next: shown }, 200, headers);
  }

  async function sent(
    arrival: Arrival,
    shown: { readonly email: Address; readonly next: string; readonly error?: Said },
    status: number,
    headers: ExtraHeaders = [],
  ): Promise<Response> {
    const found = await findSession(arrival);
    const before = found && timeOf(found.record.createdAt);
    const mailbox = showsMailbox(arrival);
    return page(
      sentPage(arrival.lookOf(arrival), { ...shown, expiryMinutes, before, mailbox }),
      status,
      headers,
    );
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
    const shown = { email, token, requestedAt, from, next, keep: keepOf(false) };
    return page(confirmPage(arrival.lookOf(arrival), shown));
  }

  async function redeem(arrival: Arrival): Promise<Response> {
    house.guardPost(arrival);
    stayHome(arrival);
    await countAttempt(arrival);
    const { token = "", code = "", remember } = await readFields(arrival.request);
    if (token === "" && code === "") throw new Refusal(MISSING_TOKEN);
    const person = isNavigation(arrival.request.headers);
    // A page that shows the link asks anew: it may be open in another browser than the one that asked for it.
    const isAsked = person && token !== "";
    const by = {
      ...redeemerOf(arrival),
      keep: isAsked || remember !== undefined ? remember === "true" : undefined,
    };
    const redeemed =
      token === "" ? await service.redeemCode(code, by) : valid(await service.redeemLink(token, by));
    if (redeemed === undefined) return wrongCode(arrival);
    if (person) return signedIn(303, arrival, redeemed);
    const next = onwardFrom(arrival.origin, nextOf(arrival, redeemed.next));
    return json({ message: "Signed in.", next }, 200, await sessionHeaders(arrival, redeemed));
  }

  async function wrongCode(arrival: Arrival): Promise<Response> {
    const pending = await service.pending(loginCookie.read(arrival));
    if (pending !== undefined && isNavigation(arrival.request.headers)) {
      const { email, next } = pending;
      return sent(arrival, { email, next: nextOf(arrival, next), error: said("code.wrong") }, 401);
    }
    return failure(arrival, {
      status: 401,
      error: "invalid_code",
      title: said("code.wrongTitle"),
      message: said(pending === undefined ? "code.wrongElsewhere" : "code.wrong"),
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

  async function sessionHeaders(arrival: Arrival, { cookie, record }: Redeemed): Promise<ExtraHeaders> {
    const lines = [
      ...sessionCookie.issue(cookie, record.brief),
      ...(await house.devices.signedIn(arrival, record)),
    ];
    return lines.map((line) => ["Set-Cookie", line]);
  }

  async function signedIn(status: 302 | 303, arrival: Arrival, redeemed: Redeemed): Promise<Response> {
    const href = onwardFrom(arrival.origin, nextOf(arrival, redeemed.next));
    const cookies = await sessionHeaders(arrival, redeemed);
    if (status === 302 || href.startsWith("/")) return redirect(status, href, cookies);
    // A form of ours may lead to this host only (`form-action`), and browsers hold redirects to that too.
    return page(goOnPage(arrival.lookOf(arrival), { href }), 200, [
      ...cookies,
      ["Refresh", `0; url=${href}`],
    ]);
  }

  const own = ownRoutes("login", [
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
