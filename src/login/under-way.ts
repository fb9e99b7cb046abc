import { timeOf } from "../api/time.ts";
import {
  type ExtraHeaders,
  type Failure,
  failure,
  json,
  page,
  quiet,
  redirect,
  SIGN_IN,
} from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { hasBody, readFields } from "../edge/body.ts";
import { isNavigation } from "../edge/navigation.ts";
import type { House } from "../house.ts";
import { type Address, domainOf } from "../identity/address.ts";
import { busyRefusal, limitRefusal } from "../limits/answer.ts";
import { loginSubject } from "../mail/message.ts";
import { mayReadMailbox } from "../mail/routes.ts";
import { said } from "../pages/language.ts";
import type { Look } from "../pages/look.ts";
import { type CodePage, codePage } from "../pages/pages.ts";
import { CODE_PATH, LOGIN_PATH } from "../pages/paths.ts";
import { describeDevice } from "../session/device.ts";
import { StoreUnavailable } from "../store/records.ts";
import { CODE_TRIES } from "./progress.ts";
import type { SentAgain, UnderWay } from "./service.ts";
import type { Use } from "./spent.ts";
import { askerOf, type Visits } from "./visit.ts";

/** What the page of a login says once, by its query. */
export type Note = "on_its_way" | "sent_again" | "no_code";

const NOTES: Readonly<Record<Note, Pick<CodePage, "error" | "notice">>> = {
  on_its_way: { notice: said("code.onItsWay") },
  sent_again: { notice: said("code.sentAgain") },
  no_code: { error: said("code.noCode") },
};

/** In place of the code in a subject, for finding the mail by it. */
const HIDDEN_CODE = "•••• ••••";
/** For so long after its end, the page of a login says what came of it. */
const AFTERWARDS_MS = 60 * 60_000;

const NO_LOGIN: Failure = {
  status: 403,
  error: "no_login",
  title: said("notAllowed.title"),
  message: said("code.nobody"),
  action: SIGN_IN,
};

const LOGIN_OVER: Failure = {
  status: 409,
  error: "login_over",
  title: said("link.failed"),
  message: said("code.over"),
  action: SIGN_IN,
};

/** `/code`: a login under way has an address, at which all there is to see comes from its cookie and the store. */
export function createUnderWay(house: House, visits: Visits) {
  const { options, login: service, loginCookie, clock } = house;
  const { nextOf, landingOf } = visits;

  /** The cookie of a login that was begun, or whose mail was sent again. */
  function cookieOf(sent: { readonly loginCookie: string; readonly expiresAt: number }): ExtraHeaders {
    return [["Set-Cookie", loginCookie.line(sent.loginCookie, sent.expiresAt - clock.now() + AFTERWARDS_MS)]];
  }

  function go(note?: Note, headers?: ExtraHeaders): Response {
    return redirect(303, note === undefined ? CODE_PATH : `${CODE_PATH}?note=${note}`, headers);
  }

  const find = (arrival: Arrival) => service.underWay(loginCookie.read(arrival));

  /** For a person the page, for its script how the login stands. */
  async function show(arrival: Arrival): Promise<Response> {
    const underWay = await find(arrival);
    const person = isNavigation(arrival.request.headers);
    if (underWay === undefined) return person ? redirect(303, LOGIN_PATH) : quiet(json({ state: "none" }));
    const { request, state, triesLeft } = underWay;
    const found = await visits.findSession(arrival);
    // One that is older does not end a login that was begun because it is too old; tickets know whole seconds.
    const begun = state === "used" ? request.issuedAt : request.issuedAt + 1000;
    if (found?.record.email === request.email && found.record.createdAt >= begun) {
      if (!person) return quiet(json({ state: "signed_in" }));
      return redirect(303, visits.onward(arrival, request.next));
    }
    if (!person) {
      return quiet(json({ state, tries_left: triesLeft, expires_at: timeOf(request.expiresAt) }));
    }
    const note = new URLSearchParams(arrival.target.search).get("note") ?? "";
    return draw(arrival, underWay, Object.hasOwn(NOTES, note) ? NOTES[note as Note] : {});
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

  async function draw(
    arrival: Arrival,
    { request, use, ...shown }: UnderWay,
    more: Pick<CodePage, "error" | "notice">,
    { status, headers }: Partial<Pick<Failure, "status" | "headers">> = {},
  ): Promise<Response> {
    const { email, expiresAt, issuedAt } = request;
    const next = nextOf(arrival, request.next);
    const look = arrival.lookOf(arrival, next);
    const { from } = house.email ?? {};
    const html = codePage(look, {
      ...shown,
      ...more,
      ...{ email, expiresAt, now: clock.now(), tries: CODE_TRIES },
      next: next === landingOf(arrival) ? "" : next,
      askAt: issuedAt + options.emailCooldown,
      use: usedBy(look, use),
      sender: from && (from.name === undefined ? from.address : `${from.name} <${from.address}>`),
      subject: loginSubject(look, house.email, HIDDEN_CODE),
      letters: options.codeKind === "letters",
      refusing: (await isRefusing(email)) ? domainOf(email) : undefined,
      mailbox: house.mailbox !== undefined && mayReadMailbox(arrival),
    });
    return page(html, status, headers);
  }

  /** The page the person was on, with what is wrong; undefined if they were not on it. */
  async function refuse(arrival: Arrival, refusal: Failure): Promise<Response | undefined> {
    const underWay = await find(arrival);
    return underWay && draw(arrival, underWay, { error: refusal.message }, refusal);
  }

  async function sendAgain(arrival: Arrival): Promise<Response> {
    house.guardPost(arrival);
    visits.stayHome(arrival);
    if (hasBody(arrival)) await readFields(arrival.request);
    const person = isNavigation(arrival.request.headers);
    const before = await find(arrival);
    const look = arrival.lookOf(arrival, before && nextOf(arrival, before.request.next));
    const sent = await service.sendAgain(loginCookie.read(arrival), askerOf(arrival, look));
    if (sent.outcome === "nothing") return failure(arrival, NO_LOGIN);
    if (sent.outcome === "over") return person ? go() : failure(arrival, LOGIN_OVER);
    if (sent.outcome === "accepted") {
      return person
        ? go("sent_again", cookieOf(sent))
        : json({ message: "Sent again." }, 200, cookieOf(sent));
    }
    const underWay = await find(arrival);
    const refusal = refusalOf(sent, underWay);
    if (!person || underWay === undefined) return failure(arrival, refusal);
    // That there is none any more is said where the button was.
    const isLast = sent.outcome === "wait" && sent.retryAfterMs === undefined;
    return draw(arrival, underWay, isLast ? {} : { error: refusal.message }, refusal);
  }

  function refusalOf(
    sent: SentAgain & { outcome: "busy" | "limited" | "wait" },
    underWay: UnderWay | undefined,
  ): Failure {
    if (sent.outcome === "busy") return busyRefusal(sent.retryAfterMs);
    if (sent.outcome === "limited") return limitRefusal(sent.scope, sent.retryAfterMs);
    const { retryAfterMs } = sent;
    if (retryAfterMs !== undefined) {
      const refusal = limitRefusal("Email", retryAfterMs);
      const amount = Number(refusal.fields?.retry_after);
      return { ...refusal, message: said("code.tooSoon", { time: { amount, unit: "second" } }) };
    }
    const askAt = (underWay?.request.issuedAt ?? 0) + options.emailCooldown;
    const message = said("code.noMore", { askAt: timeOf(askAt) });
    return { ...limitRefusal("Email", askAt - clock.now()), message };
  }

  return { show, sendAgain, find, go, cookieOf, refuse };
}

export type UnderWayPages = ReturnType<typeof createUnderWay>;

/** When and by what a link was used, for its page. */
export function usedBy({ language }: Look, use: Use | undefined): CodePage["use"] {
  return use && { at: use.at, device: describeDevice(language, use.device ?? {}) };
}
