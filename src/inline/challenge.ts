import type { Challenge } from "../access/decision.ts";
import { failure, redirect } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { LOGIN_PATH, loginHref, OWN_PREFIX } from "../pages/paths.ts";

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
      return unauthenticated(arrival, settings);
    case "login_page":
      return redirect(302, loginHref(arrival.target.path + arrival.target.search));
    case "login_page_without_return":
      return redirect(303, loginHref(settings.landingPath));
  }
}

function unauthenticated(arrival: Arrival, { baseUrl }: ChallengeSettings): Response {
  return failure(arrival, {
    status: 401,
    error: "unauthenticated",
    title: "Not signed in",
    // Applications show it to their users as it is.
    message: "Your session has ended. Reload this page to sign in.",
    fields: { login_url: baseUrl + LOGIN_PATH },
    // RFC 9110 §11.6.1 demands a challenge with every 401; this scheme only says where to go.
    headers: [["WWW-Authenticate", `Runegate realm="${baseUrl}"`]],
  });
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
