import type { Refused } from "../access/decision.ts";
import type { Route } from "../access/route.ts";
import {
  type Asked,
  type Failure,
  failure,
  KEY_SCOPE,
  NOT_ALLOWED,
  NOT_ALLOWED_HERE,
  unauthenticated,
} from "../edge/answer.ts";
import { isNavigation } from "../edge/navigation.ts";
import type { Target } from "../edge/target.ts";
import { type Identified, isPrincipal, nameOf } from "../identity/principal.ts";
import { impersonationEnded, readOnly } from "../impersonation/refusals.ts";
import { rejection } from "../limits/answer.ts";
import { said } from "../pages/language.ts";
import { askHref } from "../pages/paths.ts";

/** Carries a verdict other than "allow" out as an HTTP answer: to whoever came straight to us, or by way of an edge. */

export type ToSignIn = {
  /** The public origin of the host that was asked: the login page there knows the way. */
  readonly origin: string;
  readonly landingPath: string;
  /** Sends a person to where they sign in, and from there to `next`. */
  send(status: 302 | 303, next: string): Response;
};

/** What the caller could make of a challenge. */
export type RequestKind = "upgrade" | "navigation" | "other";

type Challenge = "login_page" | "login_page_without_return" | "status";

type Wanted = Asked & { readonly method: string; readonly target: Target };

/** @param repeatable GET or HEAD: repeating it after signing in does what was meant. */
function challengeFor(kind: RequestKind, repeatable: boolean): Challenge {
  // A WebSocket cannot follow a redirect, and a script must never get a login page in place of data (CONTRACT section 4).
  if (kind !== "navigation") return "status";
  return repeatable ? "login_page" : "login_page_without_return";
}

/** Asks to sign in, in the way that the caller understands. */
export function challengeAnswer(wanted: Wanted, kind: RequestKind, toSignIn: ToSignIn): Response {
  const repeatable = wanted.method === "GET" || wanted.method === "HEAD";
  const challenge: Challenge = challengeFor(kind, repeatable);
  switch (challenge) {
    case "status":
      return failure(wanted, unauthenticated(toSignIn.origin));
    case "login_page":
      return toSignIn.send(302, wanted.target.path + wanted.target.search);
    case "login_page_without_return":
      return toSignIn.send(303, toSignIn.landingPath);
  }
}

export function requestKindOf({ request }: Asked, upgrade: boolean): RequestKind {
  if (upgrade) return "upgrade";
  return isNavigation(request.headers) ? "navigation" : "other";
}

/** For what is not to be had here, or not by them. */
export function refusal(asked: Asked, why: Why, about: About): Response {
  return failure(asked, refusalOf(why, about));
}

type Why = { readonly reason: Refused; readonly retryAfterMs?: number };
type About = Pick<Route, "name" | "host" | "methods"> & {
  readonly closed: string | undefined;
  /** Whether they may ask for it. */
  readonly mayAsk: boolean;
  readonly method: string;
  readonly who: Identified;
};

function refusalOf({ reason, retryAfterMs = 0 }: Why, about: About): Failure {
  const { host, methods, closed, method, who } = about;
  switch (reason) {
    case "invalid_key":
    case "several_keys":
    case "rate_limited":
      return rejection({ rejected: reason, retryAfterMs });
    case "key_scope":
      return KEY_SCOPE;
    case "read_only":
      return readOnly(isPrincipal(who) ? nameOf(who) : "");
    case "impersonation_ended":
      return impersonationEnded(method);
    case "origin":
      return {
        ...NOT_ALLOWED,
        error: "origin_not_allowed",
        message: said("notAllowed.page"),
      };
    case "not_allowed":
      if (about.mayAsk)
        return { ...NOT_ALLOWED, action: { href: askHref(about.name), label: said("ask.title") } };
      return host === undefined ? NOT_ALLOWED : NOT_ALLOWED_HERE;
    case "websocket":
      return {
        ...NOT_ALLOWED,
        error: "websocket_not_allowed",
        message: said("notAllowed.webSocket"),
      };
    case "method":
      return {
        status: 405,
        error: "method_not_allowed",
        title: said("request.methodTitle"),
        message: said("notAllowed.method"),
        headers: [["Allow", [...(methods ?? [])].join(", ")]],
      };
    case "maintenance":
      return {
        status: 503,
        error: "maintenance",
        title: said("maintenance.title"),
        message: closed ?? said("maintenance.message"),
        headers: [["Retry-After", "120"]],
      };
  }
}
