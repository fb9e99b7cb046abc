import type { Challenge, Refused } from "../access/decision.ts";
import type { Route } from "../access/route.ts";
import { type Failure, failure, redirect, unauthenticated } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { loginHref, OWN_PREFIX } from "../pages/paths.ts";

/** Carries a verdict other than "allow" out as an HTTP answer to whoever came straight to us. */

export type ChallengeSettings = { readonly baseUrl: string; readonly landingPath: string };

/** Asks to sign in, in the way that the caller understands. */
export function challengeAnswer(
  arrival: Arrival,
  challenge: Challenge,
  settings: ChallengeSettings,
): Response {
  switch (challenge) {
    case "status":
      return failure(arrival, unauthenticated(settings.baseUrl));
    case "login_page":
      return redirect(302, loginHref(arrival.target.path + arrival.target.search));
    case "login_page_without_return":
      return redirect(303, loginHref(settings.landingPath));
  }
}

/** For what is not to be had here, or not by them. */
export function refusal(arrival: Arrival, reason: Refused, about: About): Response {
  return failure(arrival, refusalOf(reason, about));
}

type About = Pick<Route, "methods"> & { readonly closed: string | undefined };

function refusalOf(reason: Refused, { methods, closed }: About): Failure {
  switch (reason) {
    case "origin":
      return {
        ...NOT_ALLOWED,
        error: "origin_not_allowed",
        message: "The page that opened this connection may not do that.",
      };
    case "not_allowed":
      return NOT_ALLOWED;
    case "websocket":
      return {
        ...NOT_ALLOWED,
        error: "websocket_not_allowed",
        message: "This application takes no WebSockets.",
      };
    case "method":
      return {
        status: 405,
        error: "method_not_allowed",
        title: "Not possible here",
        message: "This application does not take requests of this kind.",
        headers: [["Allow", [...(methods ?? [])].join(", ")]],
      };
    case "maintenance":
      return {
        status: 503,
        error: "maintenance",
        title: "Closed for maintenance",
        message: closed ?? "Come back a little later.",
        headers: [["Retry-After", "120"]],
      };
  }
}

const NOT_ALLOWED = {
  status: 403,
  error: "not_allowed",
  title: "Not allowed",
  message: "You are signed in, but this application is not open to you.",
  action: { href: `${OWN_PREFIX}/logout`, label: "Sign out" },
} as const;
