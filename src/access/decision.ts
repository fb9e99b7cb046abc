import type { Principal } from "../identity/principal.ts";
import type { Application } from "./application.ts";

/**
 * The one decision about a request for an application. Adapters (inline proxying, WebSocket upgrades, forward-auth) state
 * the facts and carry the verdict out; none of them decides anything.
 */
export type Facts = {
  readonly application: Application;
  /** Who proved to be whom, if anybody did. */
  readonly principal: Principal | undefined;
  readonly manner: Manner;
  /** GET or HEAD: repeating it after signing in does what was meant. */
  readonly repeatable: boolean;
  /** Whether the page that opens a WebSocket may; true for everything that opens none. */
  readonly originAllowed: boolean;
};

/** What the caller could make of a challenge. */
export type Manner = "upgrade" | "navigation" | "other";

export type Verdict =
  | { readonly verdict: "allow"; readonly principal: Principal }
  | Challenge
  | { readonly verdict: "refuse"; readonly reason: "origin" | "not_allowed" };

export type Challenge = {
  readonly verdict: "challenge";
  readonly by: "login_page" | "login_page_without_return" | "status";
};

export function decide(facts: Facts): Verdict {
  const { principal } = facts;
  if (principal === undefined) return challenge(facts);
  if (!facts.application.policy.allows(principal.email)) return { verdict: "refuse", reason: "not_allowed" };
  if (!facts.originAllowed) return { verdict: "refuse", reason: "origin" };
  return { verdict: "allow", principal };
}

/** For whoever is not signed in, or no longer. */
export function challenge({ manner, repeatable }: Pick<Facts, "manner" | "repeatable">): Challenge {
  // A WebSocket cannot follow a redirect, and a script must never get a login page in place of data.
  if (manner !== "navigation") return { verdict: "challenge", by: "status" };
  return { verdict: "challenge", by: repeatable ? "login_page" : "login_page_without_return" };
}
