import {
  type Identified,
  isPrincipal,
  isRejected,
  type Principal,
  type Rejected,
} from "../identity/principal.ts";
import { isOverridden } from "./overridden.ts";
import { ADMINS, includes } from "./people.ts";
import { isTooOld, type Route } from "./route.ts";
import { covers, isWithin } from "./scope.ts";

/**
 * The one decision about a request for an application. Adapters (inline proxying, WebSocket upgrades, forward-auth) state
 * the facts and carry the verdict out; none of them decides anything.
 */
export type Question = {
  readonly route: Route;
  readonly who: Identified;
  readonly method: string;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  readonly client: { readonly ip: string };
  /** In normal form, as browsers see it. */
  readonly path: string;
  /** Whether it opens a WebSocket. */
  readonly upgrade: boolean;
  /** Whether the page that opens a WebSocket may; true for everything that opens none. */
  readonly originAllowed: boolean;
  /** Whether it asks if a page elsewhere may send what it means to (Fetch, CORS-preflight request). */
  readonly preflight: boolean;
  /** Whether it is closed for maintenance. */
  readonly closed: boolean;
  /** Wall clock, in milliseconds. */
  readonly now: number;
};

export type Verdict =
  /** Without a principal it is open to everybody, and the application is told of nobody. */
  | { readonly verdict: "allow"; readonly principal: Principal | undefined }
  /**
   * Not signed in, or too long ago (`again`). How to do that is said in the way the caller understands ({@link challengeFor}).
   * `refused`: what was shown is worth nothing, and no page would help.
   */
  | { readonly verdict: "challenge"; readonly refused: boolean; readonly again: boolean }
  | { readonly verdict: "refuse"; readonly reason: Refused; readonly retryAfterMs?: number };

/** `key_scope`: what was shown is not good for this. */
export type Refused =
  | Rejected["rejected"]
  | "key_scope"
  | "read_only"
  | "origin"
  | "not_allowed"
  | "method"
  | "websocket"
  | "maintenance";

export function decide(asked: Question): Verdict {
  if (isRejected(asked.who)) {
    const { rejected: reason, ...wait } = asked.who;
    return { verdict: "refuse", reason, ...wait };
  }
  const who = isPrincipal(asked.who) ? asked.who : undefined;
  const question = goesByMethod(asked.route, who) ? asMeant(asked) : asked;
  const { route, method } = question;
  if (question.closed && who?.groups.has(ADMINS) !== true) return refuse("maintenance");
  if (route.methods !== undefined && !route.methods.has(method)) return refuse("method");
  if (question.upgrade && !route.webSocket) return refuse("websocket");
  if (question.preflight && route.corsPreflight) return ALLOW_NOBODY;
  if (who?.readOnly && (question.upgrade || !READING.has(method))) return refuse("read_only");
  if (who !== undefined && !isWithin(who, question)) return refuse("key_scope");
  const isKnown = who !== undefined && mayGoOn(route, who, question.closed, question.now);
  if (!isKnown && openBecause(question) === undefined) {
    if (who === undefined) return { verdict: "challenge", refused: question.who === "refused", again: false };
    return isAllowed(route, who) ? AGAIN : refuse("not_allowed");
  }
  if (!question.originAllowed) return refuse("origin");
  // What is open to everybody is so for whoever may not use the rest too, and the application takes them for nobody.
  return isKnown ? { verdict: "allow", principal: who } : ALLOW_NOBODY;
}

/** Whether it makes a difference by which method they ask. */
function goesByMethod(route: Route, who: Principal | undefined): boolean {
  const isLimited =
    route.methods !== undefined || who?.scope?.methods !== undefined || who?.readOnly === true;
  return isLimited || route.publicPaths.length > 0 || route.corsPreflight;
}

/** What an application may take for one method or another is by none that a rule names. */
function asMeant(asked: Question): Question {
  return isOverridden(asked.method, asked.headers) ? { ...asked, method: "", preflight: false } : asked;
}

/** RFC 9110 §9.2.1: what whoever sends it does not mean to change anything by. */
const READING: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);

const AGAIN: Verdict = { verdict: "challenge", refused: false, again: true };
const ALLOW_NOBODY: Verdict = { verdict: "allow", principal: undefined };

function refuse(reason: Refused): Verdict {
  return { verdict: "refuse", reason };
}

/**
 * Whether somebody may use it now, and what they have open may go on: a stream or a WebSocket is no better than the next
 * request would be.
 * @param route undefined for one that is no more.
 */
export function mayGoOn(route: Route | undefined, who: Principal, closed: boolean, now: number): boolean {
  if (route === undefined || (closed && !who.groups.has(ADMINS))) return false;
  if (who.scope?.routes?.has(route.name) === false) return false;
  return isAllowed(route, who) && !isTooOld(route, who, now);
}

/** Whether somebody who has signed in may use it. */
export function isAllowed(route: Route, who: Principal): boolean {
  if (route.proofs !== undefined && !route.proofs.has(who.proof.kind)) return false;
  if (route.deny !== undefined && includes(route.deny, who)) return false;
  if (who.granted?.has(route.name) === true) return true;
  if (who.unlisted === true) return route.allow?.everybody === true;
  return route.allow === undefined || includes(route.allow, who);
}

/** @returns in a sentence why it is open to whoever comes; undefined where it is not. */
export function openBecause({
  route,
  method,
  path,
}: Pick<Question, "route" | "method" | "path">): string | undefined {
  if (route.allow?.everybody === true) return "The route is open to everybody (public is in allow).";
  const { publicPaths, publicMethods } = route;
  if (publicPaths.length === 0 || !publicMethods.has(method)) return undefined;
  const open = covers(publicPaths, path);
  return open === undefined ? undefined : `${open} is open to everybody (public_paths).`;
}
