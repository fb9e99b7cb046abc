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
} from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { readFields } from "../edge/body.ts";
import { isNavigation, isPrefetch } from "../edge/navigation.ts";
import { ownRoutes } from "../edge/own.ts";
import type { Target } from "../edge/target.ts";
import type { House, Room } from "../house.ts";
import { type Address, AddressError, parseAddress } from "../identity/address.ts";
import { busyRefusal, limitRefusal } from "../limits/answer.ts";
import { mayReadMailbox } from "../mail/routes.ts";
import { confirmPage, loginPage, sentPage } from "../pages/pages.ts";
import { AGAIN, LOGIN_PATH } from "../pages/paths.ts";
import { loginApi } from "./api.ts";
import { LOGIN_REFUSED, REDEMPTION_REFUSED } from "./audit.ts";
import { describeDevice } from "./device.ts";
import { safeNext } from "./next.ts";
import type { Redeemed, Redeemer } from "./service.ts";
import { isLoginToken } from "./ticket.ts";

/** `/login` and `/auth`: from a visitor's address to a session (CONTRACT section 2). */

const INVALID_CODE = "That code is not right, or it has expired. Check it, or ask for a new link.";
const SAME_BROWSER = "A code works only in the browser that asked for it.";
const NEW_LINK = { href: LOGIN_PATH, label: "Ask for a new link" };
const ASKED = "If this address may sign in, a mail with a link is on its way.";

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
  const { options, login: service, loginCookie, sessions, sessionCookie, limiter, audit, clock } = house;
  const expiryMinutes = Math.round(options.magicLinkExpiry / 60_000);
  const nextOf = (arrival: Arrival, input: string | undefined | null) =>
    safeNext(input, options.landingPath, arrival.isOwn);
  /** Whether mail is in the development mailbox, for whoever asks to read. */
  const showsMailbox = (arrival: Arrival) => house.mailbox !== undefined && mayReadMailbox(arrival);

  async function showLogin(arrival: Arrival): Promise<Response> {
    const query = new URLSearchParams(arrival.target.search);
    const wanted = query.get("next");
    const next = nextOf(arrival, wanted);
    const isSignedIn = (await sessions.find(sessionCookie.read(arrival))) !== undefined;
    if (isSignedIn && !query.has(AGAIN)) return redirect(302, next);
    return page(loginPage({ next: wanted === null ? "" : next }));
  }

  async function ask(arrival: Arrival): Promise<Response> {
    house.guardPost(arrival);
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
    return page(sent(arrival, { email, next: shown }), 200, headers);
  }

  function sent(arrival: Arrival, shown: { email: Address; next: string; error?: string }): string {
    // To the development mailbox, if mail goes there, for whoever may read it.
    const mailbox = house.mailbox !== undefined && mayReadMailbox(arrival);
    return sentPage({ ...shown, expiryMinutes, mailbox });
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
    const deliberate = isDeliberate(arrival);
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
    await countAttempt(arrival);
    const { token = "", code = "" } = await readFields(arrival.request);
    if (token === "" && code === "") throw new Refusal(MISSING_TOKEN);
    const by = redeemerOf(arrival);
    const redeemed =
      token === "" ? await service.redeemCode(code, by) : valid(await service.redeemLink(token, by));
    if (redeemed === undefined) return wrongCode(arrival);
    if (isNavigation(arrival.request.headers)) return signedIn(303, arrival, redeemed);
    const next = nextOf(arrival, redeemed.next);
    return json({ message: "Signed in.", next }, 200, sessionHeaders(redeemed));
  }

  async function wrongCode(arrival: Arrival): Promise<Response> {
    const pending = await service.pending(loginCookie.read(arrival));
    if (pending !== undefined && isNavigation(arrival.request.headers)) {
      const { email } = pending;
      const next = nextOf(arrival, pending.next);
      const mailbox = showsMailbox(arrival);
      return page(sentPage({ email, expiryMinutes, error: INVALID_CODE, next, mailbox }), 401);
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
    };
  }

  function sessionHeaders(redeemed: Redeemed): ExtraHeaders {
    return sessionCookie.issue(redeemed.cookie).map((line) => ["Set-Cookie", line]);
  }

  function signedIn(status: 302 | 303, arrival: Arrival, redeemed: Redeemed): Response {
    return redirect(status, nextOf(arrival, redeemed.next), sessionHeaders(redeemed));
  }

  const routes = ownRoutes("login", [
    { path: "", handlers: { GET: showLogin } },
    { path: "/login", also: ["/login"], handlers: { GET: showLogin, POST: ask } },
    { also: ["/login.html"], handlers: { GET: showLogin } },
    { path: "/auth", also: ["/auth"], claim: holdsLoginToken, handlers: { GET: openLink, POST: redeem } },
  ]);
  return { ...routes, api: () => loginApi(house), cookies: [loginCookie] };
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

/** Not a scanner's HEAD, a preview, a prefetch, or something that a page fetches or puts into a frame: those never redeem. */
function isDeliberate({ method, request: { headers } }: Arrival): boolean {
  const mode = headers.get("sec-fetch-mode") ?? "navigate";
  const destination = headers.get("sec-fetch-dest") ?? "document";
  return method === "GET" && !isPrefetch(headers) && mode === "navigate" && destination === "document";
}
