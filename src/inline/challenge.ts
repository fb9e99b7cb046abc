import type { Challenge } from "../access/decision.ts";
import { failure, redirect } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { unauthenticated } from "../edge/sign-in.ts";
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

/** For somebody who is signed in and may not. */
export function refusal(arrival: Arrival, reason: "origin" | "not_allowed"): Response {
  return failure(arrival, {
    status: 403,
    error: reason === "origin" ? "origin_not_allowed" : "not_allowed",
    title: "Not allowed",
    message:
      reason === "origin"
        ? "The page that opened this connection may not do that."
        : "You are signed in, but this application is not open to you.",
    action: { href: `${OWN_PREFIX}/logout`, label: "Sign out" },
  });
}
