import { type Failure, failure, page, Refusal, redirect, SIGN_IN, unauthenticated } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { type OwnHandler, ownRoutes } from "../edge/own.ts";
import type { House, Room } from "../house.ts";
import { said } from "../pages/language.ts";
import { ACCOUNT_PATH, loginHref, OWN_PREFIX } from "../pages/paths.ts";
import type { Found } from "../session/session.ts";
import { accountPage, startPage } from "./pages.ts";
import { sessionSection } from "./sessions.ts";
import { applicationsOf } from "./start.ts";

/** For whoever is signed in: the applications that they may open, and their account. */

type AccountHouse = Pick<
  House,
  "options" | "routes" | "sessions" | "sessionCookie" | "guardPost" | "audit" | "auditFirst"
>;

/** @param rooms all there are, asked when the page is: what each of them shows on it follows one's sessions. */
export function accountRoom(house: AccountHouse, rooms: () => readonly Pick<Room, "account">[]): Room {
  const { options, routes, sessions, sessionCookie } = house;
  const { origin } = routes.home;
  const elsewhere: Failure = {
    status: 421,
    error: "wrong_host",
    title: said("account.elsewhereTitle"),
    message: said("account.elsewhere", { origin }),
    action: SIGN_IN,
  };
  const own = sessionSection(house);
  const findSession = async (arrival: Arrival) => sessions.find(sessionCookie.read(arrival), arrival);

  async function showStart(arrival: Arrival): Promise<Response> {
    const found = await findSession(arrival);
    if (found === undefined) return toLogin(arrival, 302, "");
    const applications = applicationsOf(routes, found.principal, options.landingPath);
    const [only, ...more] = applications;
    if (only !== undefined && more.length === 0) return redirect(302, only.href);
    return page(startPage(arrival.lookOf(arrival), { email: found.record.email, applications }));
  }

  async function showAccount(arrival: Arrival): Promise<Response> {
    // What runs on a further host is no place from which to look after all of one's sign-ins.
    if (arrival.origin !== origin) return redirect(302, origin + ACCOUNT_PATH);
    const found = await findSession(arrival);
    if (found === undefined) return toLogin(arrival, 302);
    const look = arrival.lookOf(arrival);
    const done = new URLSearchParams(arrival.target.search).get("done");
    const sections = [own.section, ...rooms().flatMap(({ account }) => account ?? [])];
    const shown = await Promise.all(
      sections.map(async (one) => {
        const part = await one.show({ arrival, found, look, done });
        return part === undefined ? [] : [{ id: one.id, ...part }];
      }),
    );
    return page(accountPage(look, { found, sections: shown.flat() }));
  }

  /** A script must never get a page in place of data. */
  function toLogin(arrival: Arrival, status: 302 | 303, next = ACCOUNT_PATH): Response {
    const isScript = (arrival.headers["sec-fetch-mode"] ?? "navigate") !== "navigate";
    return isScript ? failure(arrival, unauthenticated(arrival.origin)) : redirect(status, loginHref(next));
  }

  /** A form on the page, which is shown again afterwards. @param act gives what the page then says was done. */
  function form(act: (arrival: Arrival, found: Found) => Promise<string>): OwnHandler {
    return async (arrival) => {
      house.guardPost(arrival);
      if (arrival.origin !== origin) throw new Refusal(elsewhere);
      const found = await findSession(arrival);
      if (found === undefined) return toLogin(arrival, 303);
      return redirect(303, `${ACCOUNT_PATH}?done=${await act(arrival, found)}`);
    };
  }

  const below = ACCOUNT_PATH.slice(OWN_PREFIX.length);
  return ownRoutes("account", [
    { path: "", handlers: { GET: showStart } },
    { path: below, handlers: { GET: showAccount } },
    { path: `${below}/sessions/end`, handlers: { POST: form(own.endOne) } },
    { path: `${below}/sessions/end-others`, handlers: { POST: form(own.endOthers) } },
  ]);
}
