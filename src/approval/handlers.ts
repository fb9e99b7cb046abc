import { isRecent } from "../api/own.ts";
import { timeOf } from "../api/time.ts";
import {
  type ExtraHeaders,
  type Failure,
  failure,
  json,
  page,
  quiet,
  Refusal,
  redirect,
  SIGN_IN,
  unauthenticated,
} from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { hasBody, readFields } from "../edge/body.ts";
import { isDeliberate, isNavigation } from "../edge/navigation.ts";
import type { House } from "../house.ts";
import type { Address } from "../identity/address.ts";
import { limitRefusal } from "../limits/answer.ts";
import { parseCode, shownCode } from "../login/code.ts";
import { createVisits } from "../login/visit.ts";
import { said } from "../pages/language.ts";
import { APPROVE_PATH, LOGIN_PATH, loginHref, PHONE_PATH } from "../pages/paths.ts";
import { qrOf } from "../pages/qr.ts";
import type { Html } from "../pages/template.ts";
import type { Found } from "../session/session.ts";
import { APPROVAL_REFUSED, APPROVAL_REQUESTED } from "./audit.ts";
import type { ApprovalCookie } from "./cookie.ts";
import { approvePage, decidedPage, enterCodePage, phoneWayIn, screenPage } from "./pages.ts";
import { APPROVAL_MS, KEPT_MS } from "./record.ts";
import { createApprovalService } from "./service.ts";

/** A screen asks at `/phone`, a phone approves at `/approve`. */

export type ApprovalHandlers = ReturnType<typeof createApprovalHandlers>;

export function createApprovalHandlers(house: House, cookie: ApprovalCookie) {
  const { options, routes, limiter, sessionCookie, audit, clock } = house;
  const visits = createVisits(house);
  const service = createApprovalService({ ...house, ...options, store: house.stores });
  const url = routes.home.origin + APPROVE_PATH;
  const gone: ExtraHeaders = [["Set-Cookie", cookie.line("", 0)]];

  /** A screen that wants to be signed in. */
  async function ask(arrival: Arrival): Promise<Response> {
    house.guardPost(arrival);
    visits.stayHome(arrival);
    const { next: wanted = "" } = hasBody(arrival) ? await readFields(arrival.request) : {};
    const { client } = arrival;
    const rate = await limiter.loginRequest(client);
    audit(APPROVAL_REQUESTED, { client: client.ip, reason: rate.allowed ? "shown" : "rate_limited" });
    if (!rate.allowed) return failure(arrival, { ...limitRefusal("IP", rate.retryAfterMs), action: SIGN_IN });
    const userAgent = arrival.headers["user-agent"] ?? "";
    const screen = { next: visits.nextOf(arrival, wanted), ip: client.ip, userAgent };
    const made = await service.ask(screen, cookie.read(arrival));
    const headers: ExtraHeaders = [["Set-Cookie", cookie.line(made.cookie, KEPT_MS)]];
    if (isNavigation(arrival.request.headers)) return redirect(303, PHONE_PATH, headers);
    const expires_at = timeOf(clock.now() + APPROVAL_MS);
    return json({ code: shownCode(made.code), url, expires_at }, 200, headers);
  }

  /** Its page; for the script on it, how it stands. Once it is approved, this signs in. */
  async function show(arrival: Arrival): Promise<Response> {
    const value = cookie.read(arrival);
    const person = isNavigation(arrival.request.headers);
    const standing = await service.standing(value, arrival.client);
    if (value === undefined || standing === undefined) {
      return person ? redirect(303, LOGIN_PATH, gone) : quiet(json({ state: "none" }));
    }
    const { state, number, next, expiresAt } = standing;
    if (!person) {
      const shown = state === "shown" ? { number } : {};
      return quiet(json({ state, expires_at: timeOf(expiresAt), ...shown }));
    }
    if (state === "approved" && isDeliberate(arrival.method, arrival.request.headers)) {
      return signIn(arrival, value, next);
    }
    const code = state === "waiting" ? await qrOf(`${url}?code=${standing.code}`) : undefined;
    const address = url.replace(/^https?:\/\//, "");
    // Once it is approved, whoever only looks ahead sees what was there before.
    const seen = state === "approved" ? "shown" : state;
    const shown = { ...standing, state: seen, address, qr: code, now: clock.now() };
    return page(screenPage(arrival.lookOf(arrival, next), shown));
  }

  async function signIn(arrival: Arrival, value: string, next: string): Promise<Response> {
    const started = await service.redeem(value, {
      client: arrival.client,
      request: arrival.id,
      userAgent: arrival.headers["user-agent"] ?? "",
      oldSessions: sessionCookie.read(arrival),
      origin: arrival.origin,
    });
    // Another tab may have been quicker: whoever is signed in by now is sent on from there.
    if (started === undefined) return redirect(303, loginHref(next), gone);
    const headers = [...(await visits.cookiesOf(arrival, started)), ...gone];
    return redirect(302, visits.onward(arrival, next), headers);
  }

  /** Whoever may approve, having signed in lately, here, and by themselves. @returns what to answer to others */
  async function approver(arrival: Arrival, back: string): Promise<Found | Response> {
    const found = await visits.findSession(arrival);
    const isGood = found !== undefined && isRecent(found.principal, clock.now());
    if (isGood) return found;
    if (isNavigation(arrival.request.headers)) {
      return redirect(arrival.method === "POST" ? 303 : 302, loginHref(back, found !== undefined));
    }
    if (found === undefined) return failure(arrival, unauthenticated(arrival.origin));
    return failure(arrival, {
      ...TOO_LONG_AGO,
      fields: { login_url: arrival.origin + loginHref(back, true) },
    });
  }

  /** @throws {Refusal} if no further code may be tried. */
  async function countTry({ client }: Arrival, { record: { email } }: Found): Promise<void> {
    const ofClient = await limiter.redemption(client);
    const rate = ofClient.allowed ? await limiter.approvalCode(email as Address) : ofClient;
    if (rate.allowed) return;
    audit(APPROVAL_REFUSED, { client: client.ip, reason: "rate_limited", subject: email });
    throw new Refusal(limitRefusal("IP", rate.retryAfterMs));
  }

  /** The phone: asks for the code, or says whose screen it is and offers the choice. */
  async function open(arrival: Arrival): Promise<Response> {
    const { search } = arrival.target;
    if (!visits.isHome(arrival)) return redirect(302, url + search);
    const typed = new URLSearchParams(search).get("code") ?? "";
    const code = parseCode(typed);
    const found = await approver(arrival, code === undefined ? APPROVE_PATH : `${APPROVE_PATH}?code=${code}`);
    if (found instanceof Response) return found;
    const look = arrival.lookOf(arrival);
    if (typed === "") return page(enterCodePage(look));
    await countTry(arrival, found);
    const by = { who: found, client: arrival.client };
    const approval = code === undefined ? undefined : await service.look(code, by);
    if (code === undefined || approval === undefined) {
      if (!isNavigation(arrival.request.headers)) return failure(arrival, NO_SUCH_CODE);
      return page(enterCodePage(look, NO_SUCH_CODE.message), NO_SUCH_CODE.status);
    }
    const { state } = approval;
    if (state !== "waiting" && state !== "shown") return page(decidedPage(look, state));
    if (isDeliberate(arrival.method, arrival.request.headers)) await service.show(code);
    const shown = {
      ...{ approval, code, email: found.record.email, ip: arrival.client.ip, now: clock.now() },
      target: arrival.lookOf(arrival, visits.nextOf(arrival, approval.next)),
      asksKeep: options.remember === "ask",
    };
    return page(approvePage(look, shown));
  }

  async function decide(arrival: Arrival): Promise<Response> {
    house.guardPost(arrival);
    visits.stayHome(arrival);
    const { code: typed = "", number, deny, remember } = await readFields(arrival.request);
    const code = parseCode(typed);
    const found = await approver(arrival, code === undefined ? APPROVE_PATH : `${APPROVE_PATH}?code=${code}`);
    if (found instanceof Response) return found;
    await countTry(arrival, found);
    // What says nothing of either is no decision.
    const isDecided = deny === "true" || number !== undefined;
    const by = { who: found, client: arrival.client };
    const picked = deny === "true" ? undefined : number;
    const decision =
      code !== undefined && isDecided
        ? await service.decide(code, picked, by, remember === "true")
        : undefined;
    const person = isNavigation(arrival.request.headers);
    const look = arrival.lookOf(arrival);
    if (decision === undefined) {
      return person
        ? page(enterCodePage(look, NO_SUCH_CODE.message), NO_SUCH_CODE.status)
        : failure(arrival, NO_SUCH_CODE);
    }
    if (person) return page(decidedPage(look, decision), decision === "wrong_number" ? 403 : 200);
    if (decision === "wrong_number") return failure(arrival, WRONG_NUMBER);
    return json({ message: decision === "approved" ? "Approved." : "Denied." });
  }

  return {
    ...{ ask, show, open, decide },
    /** On the login page. */
    wayIn: (arrival: Arrival, next: string): Html => phoneWayIn(arrival.lookOf(arrival), next),
  };
}

const NO_SUCH_CODE: Failure = {
  status: 404,
  error: "invalid_code",
  title: said("approve.overTitle"),
  message: said("approve.over"),
};

const WRONG_NUMBER: Failure = {
  status: 403,
  error: "wrong_number",
  title: said("approve.wrongTitle"),
  message: said("approve.wrong"),
};

const TOO_LONG_AGO: Failure = {
  status: 403,
  error: "sign_in_again",
  title: said("approve.oldTitle"),
  message: said("approve.old"),
};
