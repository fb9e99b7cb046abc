import {
  type Failure,
  failure,
  json,
  NOT_UNDERSTOOD,
  page,
  redirect,
  unauthenticated,
} from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { type Fields, readFields } from "../edge/body.ts";
import { isNavigation } from "../edge/navigation.ts";
import { ownRoutes } from "../edge/own.ts";
import { policyWith } from "../edge/page-policy.ts";
import { cutTarget, type Target } from "../edge/target.ts";
import type { House, Room } from "../house.ts";
import { type Address, AddressError, parseAddress } from "../identity/address.ts";
import { busyRefusal, limitRefusal } from "../limits/answer.ts";
import { type Said, said } from "../pages/language.ts";
import type { Look } from "../pages/look.ts";
import { loginPage } from "../pages/pages.ts";
import { AGAIN, AUTHORIZE_PATH, type Kept, keptIn, LOGIN_PATH } from "../pages/paths.ts";
import { LOGIN_REFUSED } from "./audit.ts";
import { onwardFrom, partsOf } from "./next.ts";
import { createRedemption } from "./redeem.ts";
import { isLoginToken } from "./ticket.ts";
import { createUnderWay } from "./under-way.ts";
import { askerOf, createVisits } from "./visit.ts";

/** `/login`, `/code` and `/auth`: from a visitor's address to a session (CONTRACT section 2). */

type LoginPage = Parameters<typeof loginPage>[1];

const ASKED = "If this address may sign in, a mail with a link is on its way.";

/** @param rooms all there are, asked when the login page is: what each of them shows on it, in the form or after it. */
export function loginRoom(house: House, rooms: () => readonly Pick<Room, "wayIn" | "beforeAsk">[]): Room {
  const { options, login: service, loginCookie, audit } = house;
  const visits = createVisits(house);
  const underWayPages = createUnderWay(house, visits);
  const redemption = createRedemption(house, visits, underWayPages);
  const { nextOf, findSession } = visits;

  async function drawLogin(
    arrival: Arrival,
    look: Look,
    shown: LoginPage,
    { status, headers }: Partial<Pick<Failure, "status" | "headers">> = {},
  ): Promise<Response> {
    const ways = rooms().map(async ({ wayIn }) => (await wayIn?.(arrival, shown.next)) ?? []);
    const parts = rooms().map(async ({ beforeAsk }) => (await beforeAsk?.part(arrival)) ?? []);
    const [waysIn, before] = [(await Promise.all(ways)).flat(), (await Promise.all(parts)).flat()];
    const html = loginPage(look, { ...shown, waysIn, beforeAsk: before.map((part) => part.html) });
    return page(html, status, headers, policyWith(before.map(({ sources = {} }) => sources)));
  }

  /** Why a mail is not to be asked for, if a room has a reason. Undefined where none asks anything of those who do. */
  function objectionTo(arrival: Arrival, fields: Fields): (() => Promise<Failure | undefined>) | undefined {
    const judges = rooms().flatMap(({ beforeAsk }) => beforeAsk ?? []);
    if (judges.length === 0) return undefined;
    return async () => {
      for (const { judge } of judges) {
        const objection = await judge(arrival, fields);
        if (objection !== undefined) return objection;
      }
      return undefined;
    };
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
    const notice = found && (asked ?? (await visits.problemWith(found, next, arrival)));
    const again = notice !== undefined;
    if (found !== undefined && !again) return redirect(302, visits.onward(arrival, next));
    if (visits.isHome(arrival)) {
      const underWay = await underWayPages.find(arrival);
      const goesOn = underWay?.state === "waiting" || underWay?.state === "used_up";
      const shown = {
        next: wanted === null ? "" : next,
        email: hintIn(next) ?? (await house.devices.lastAddress(arrival)),
        notice,
        keep: visits.keepOf(),
        kept: keptNotice(keptIn(query), options.magicLinkExpiry),
        underWay: goesOn ? masked(underWay.request.email) : undefined,
      };
      return drawLogin(arrival, arrival.lookOf(arrival, next), shown);
    }
    const { origin, path } = partsOf(next, arrival.origin);
    if (origin !== arrival.origin) return redirect(302, onwardFrom(arrival.origin, next));
    return house.signIn(arrival, 302, path, again);
  }

  async function ask(arrival: Arrival): Promise<Response> {
    house.guardPost(arrival);
    visits.stayHome(arrival);
    const fields = await readFields(arrival.request);
    const { email: typed = "", next: wanted = "", remember } = fields;
    const keep = remember === "true";
    const next = nextOf(arrival, wanted);
    const person = isNavigation(arrival.request.headers);
    const look = arrival.lookOf(arrival, next);
    /** A person gets the form once more, with what is wrong. */
    async function refuse(refusal: Failure): Promise<Response> {
      if (!person) return failure(arrival, refusal);
      const shown = { next: wanted === "" ? "" : next, email: typed, error: refusal.message };
      return drawLogin(arrival, look, { ...shown, keep: visits.keepOf(keep) }, refusal);
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

    const objection = objectionTo(arrival, fields);
    const asked = await service.ask({ email, next, keep, objection, ...askerOf(arrival, look) });
    if (asked.outcome === "objected") return refuse(asked.failure);
    if (asked.outcome === "busy") return refuse(busyRefusal(asked.retryAfterMs));
    if (asked.outcome === "limited") {
      const refusal = limitRefusal(asked.scope, asked.retryAfterMs);
      const underWay = person ? await underWayPages.find(arrival) : undefined;
      if (underWay?.request.email !== email) return refuse(refusal);
      const isComing = underWay.state === "waiting" && asked.scope === "Email";
      return isComing
        ? underWayPages.go("on_its_way")
        : ((await underWayPages.refuse(arrival, refusal)) ?? refuse(refusal));
    }
    const headers = underWayPages.cookieOf(asked);
    return person ? underWayPages.go(undefined, headers) : json({ message: ASKED }, 200, headers);
  }

  const own = ownRoutes("login", [
    { path: "/login", also: ["/login"], handlers: { GET: showLogin, POST: ask } },
    { path: "/code", handlers: { GET: underWayPages.show, POST: underWayPages.sendAgain } },
    { also: ["/login.html"], handlers: { GET: showLogin } },
    {
      path: "/auth",
      also: ["/auth"],
      claim: holdsLoginToken,
      handlers: { GET: redemption.open, POST: redemption.redeem },
    },
  ]);
  return { ...own, api: async () => (await import("./api.ts")).loginApi(house), cookies: [loginCookie] };
}

/** An application's own `/auth?token=` holds something else. What the link is worth is seen when it is opened. */
function holdsLoginToken({ search }: Target): boolean {
  const token = new URLSearchParams(search).get("token");
  return token !== null && isLoginToken(token);
}

/** What the login page says to whoever was about to send something. @param lifetime of what is kept, in milliseconds. */
function keptNotice(kept: Kept | undefined, lifetime: number): Said | undefined {
  if (kept === undefined) return undefined;
  if (kept !== "yes") return said(kept === "large" ? "login.keptLarge" : "login.keptFull");
  return said("login.kept", { lifetime: { amount: Math.round(lifetime / 60_000), unit: "minute" } });
}

/** Whom an application that sent them here expects (OpenID Connect Core §3.1.2.1, `login_hint`). */
function hintIn(next: string): string | undefined {
  const { path, search } = cutTarget(next, 0);
  const hint = path === AUTHORIZE_PATH ? new URLSearchParams(search).get("login_hint") : null;
  return hint === null || hint.length > MAX_HINT || !hint.includes("@") ? undefined : hint;
}

/** RFC 5321 §4.5.3.1.3. */
const MAX_HINT = 254;

/** `a…@example.org`: whose it is, for whoever knows. */
function masked(email: Address): string {
  return `${email.slice(0, 1)}…${email.slice(email.indexOf("@"))}`;
}
