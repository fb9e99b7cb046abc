import type { Identified, Principal } from "../identity/principal.ts";
import type { Route } from "./route.ts";

/**
 * The one decision about a request for an application. Adapters (inline proxying, WebSocket upgrades, forward-auth) state
 * the facts and carry the verdict out; none of them decides anything.
 */
export type Facts = {
  readonly route: Route;
  readonly who: Identified;
  /** Whether the page that opens a WebSocket may; true for everything that opens none. */
  readonly originAllowed: boolean;
};

export type Verdict =
  | { readonly verdict: "allow"; readonly principal: Principal }
  /** Not signed in. How to do that is said in the way the caller understands ({@link challengeFor}). */
  | { readonly verdict: "challenge"; readonly refused: boolean }
  | { readonly verdict: "refuse"; readonly reason: "origin" | "not_allowed" };

/** What the caller could make of a challenge. */
export type RequestKind = "upgrade" | "navigation" | "other";

export type Challenge = "login_page" | "login_page_without_return" | "status";

export function decide({ route, who, originAllowed }: Facts): Verdict {
  if (who === undefined || who === "refused") return { verdict: "challenge", refused: who === "refused" };
  if (!route.proofs.has(who.proof.kind)) return { verdict: "refuse", reason: "not_allowed" };
  if (route.policy !== undefined && !("email" in who.subject && route.policy.allows(who.subject.email))) {
    return { verdict: "refuse", reason: "not_allowed" };
  }
  if (!originAllowed) return { verdict: "refuse", reason: "origin" };
  return { verdict: "allow", principal: who };
}

/** @param repeatable GET or HEAD: repeating it after signing in does what was meant. */
export function challengeFor(kind: RequestKind, repeatable: boolean): Challenge {
  // A WebSocket cannot follow a redirect, and a script must never get a login page in place of data (CONTRACT section 4).
  if (kind !== "navigation") return "status";
  return repeatable ? "login_page" : "login_page_without_return";
}
