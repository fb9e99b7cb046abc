import { ROOT_PATHS } from "../edge/root-paths.ts";
import { applicationPath, placeOf } from "../edge/target.ts";
import type { Address } from "../identity/address.ts";
import type { Principal } from "../identity/principal.ts";
import { decide, openBecause } from "./decision.ts";
import { explain } from "./explain.ts";
import type { Policy, Standing } from "./policy.ts";
import type { Route } from "./route.ts";
import { type Routes, routeFor } from "./routes.ts";

/** What would become of a request, and why, in a sentence: what `runegate routes test` and the administrators' page say. */
export type Trial = {
  readonly route: string | null;
  readonly verdict: "allow" | "challenge" | "refuse" | "own" | "unknown_host" | "not_found";
  readonly why: string;
};

export type TrialHouse = {
  readonly routes: Routes;
  readonly policy: Policy;
  readonly rootPaths: boolean | "auto";
  /** As {@link Route.maintenance}, for whatever reason it is closed. */
  closedBecause(route: Route): string | undefined;
  /** Wall clock, in milliseconds. */
  readonly now: number;
};

/** @param asked.email of somebody who has just signed in; undefined for nobody. */
export function tryRequest(
  house: TrialHouse,
  asked: { readonly url: URL; readonly email: Address | undefined; readonly method: string },
): Trial {
  const { routes, policy, rootPaths, now } = house;
  const { url, email } = asked;
  const site = routes.siteOf(url.host);
  const path = applicationPath(url.pathname);
  const route = site && path !== undefined ? routeFor(site, path) : undefined;
  const nowhere = (verdict: Trial["verdict"], why: string): Trial => ({ route: null, verdict, why });
  if (site === undefined) return nowhere("unknown_host", `No application is at ${url.host}.`);
  const isRoot = rootPaths !== false && ROOT_PATHS.some((root) => root === url.pathname);
  const method = asked.method.toUpperCase();
  const isOpen =
    route !== undefined && path !== undefined && openBecause({ route, method, path }) !== undefined;
  const isRootOurs = isRoot && (rootPaths === true || (email === undefined && !isOpen));
  if (placeOf(url.pathname) === "own" || isRootOurs)
    return nowhere("own", "This is one of Runegate's own pages.");
  if (route === undefined || path === undefined) return nowhere("not_found", "No application has this path.");
  if (email !== undefined && !policy.allows(email))
    return { route: route.name, verdict: "refuse", why: NOT_IN };
  const question = {
    ...{ route, path, originAllowed: true, preflight: false },
    who: email && somebody(email, policy.standingOf({ email }), now),
    ...{ method, headers: {} },
    client: { ip: "127.0.0.1" },
    upgrade: url.protocol.startsWith("ws"),
    closed: house.closedBecause(route) !== undefined,
    now,
  };
  const verdict = decide(question);
  return { route: route.name, verdict: verdict.verdict, why: explain(question, verdict) };
}

const NOT_IN = "They may not sign in: nothing names them, or they are shut out.";

/** The verdict in a word or two. */
export const VERDICT_WORDS: Readonly<Record<Trial["verdict"], string>> = {
  allow: "allowed",
  challenge: "has to sign in",
  refuse: "refused",
  own: "allowed",
  unknown_host: "refused",
  not_found: "refused",
};

function somebody(email: Address, standing: Standing, now: number): Principal {
  return { subject: { email }, ...standing, proof: { kind: "session", id: "" }, provenAt: now };
}

/** Undefined for what is no URL that a browser would ask for, or open a WebSocket at. */
export function urlIn(written: string): URL | undefined {
  const url = URL.parse(written);
  return url !== null && /^(?:https?|wss?):$/.test(url.protocol) ? url : undefined;
}
