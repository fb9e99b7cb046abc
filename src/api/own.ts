import { Elysia } from "elysia";
import { ADMINS } from "../access/people.ts";
import type { AdminOptions } from "../admin/options.ts";
import {
  badRequest,
  type ExtraHeaders,
  INVALID_KEY,
  json,
  noContent,
  Refusal,
  unauthenticated,
} from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { hasBody, readJson } from "../edge/body.ts";
import { arrivalOf, refuseOtherMethods } from "../edge/own.ts";
import { API_PREFIX } from "../edge/target.ts";
import type { House } from "../house.ts";
import { type Address, AddressError, parseAddress } from "../identity/address.ts";
import { isPrincipal, isRejected, nameOf, type Principal } from "../identity/principal.ts";
import { isInNetworks, parseIp } from "../net/ip.ts";
import { MINUTE, SECOND } from "../option/values.ts";
import { said } from "../pages/language.ts";
import { loginHref } from "../pages/paths.ts";

/**
 * What the routes of the management API have in common, for a browser with a session, a program with a bearer and the command
 * line on the control socket alike: who may, what was sent, and how it is answered. Each room declares its own.
 */

/** Who may ask, each of these being one of those before. */
export type Rule = {
  /**
   * - `user`: a person or program that may manage what is theirs
   * - `admin`: a user among the administrators
   * - `operator`: whoever may open the control socket
   */
  readonly needs: (typeof RANKS)[number];
  /** Whoever comes with a session must have begun it lately. */
  readonly recent?: true;
  /** Good for a session on further hosts too, as a user: it is about their own sessions alone. */
  readonly anywhere?: true;
};

const RANKS = ["user", "admin", "operator"] as const;

export type ApiHouse = Pick<House, "options" | "guardPost" | "clock">;

/**
 * An Elysia application below the API's prefix. A route says `own: { needs, recent? }` and gets `arrival` and `principal`; what it
 * returns is checked against its `response` and sent as JSON. Declare the routes, then call {@link closeApi}.
 */
export function openApi(name: string, { guardPost, clock, options }: ApiHouse) {
  const principals = new WeakMap<Request, Principal>();

  /** Before anything that was sent is looked at. @throws {Refusal} */
  async function admit(arrival: Arrival, rule: Rule): Promise<Principal> {
    const shown = await arrival.identify(arrival, "api");
    if (isRejected(shown)) throw new Refusal(INVALID_KEY);
    // An application on a host of its own acts there with its visitor's session, and must not rule over others by it.
    const isSession = isPrincipal(shown) && shown.proof.kind === "session";
    const isElsewhere = isSession && arrival.origin !== options.baseUrl;
    // What somebody may not do on the pages from there, they may not do here by the same session either.
    const isLess = isElsewhere || (isSession && !isAdminNetwork(options, arrival.client));
    const who = isLess ? withoutAdmins(shown) : shown;
    const rank = isPrincipal(who) ? rankOf(who) : undefined;
    if (!isPrincipal(who) || rank === undefined) {
      const headers: ExtraHeaders = [["WWW-Authenticate", `Bearer realm="${arrival.origin}"`]];
      throw new Refusal({ ...unauthenticated(arrival.origin), headers });
    }
    if (isElsewhere && rule.anywhere !== true) throw elsewhere(options.baseUrl);
    if (RANKS.indexOf(rank) < RANKS.indexOf(rule.needs)) {
      throw notAllowed(rule.needs === "admin" ? ADMINS_ONLY : undefined);
    }
    if (rule.recent === true) {
      const most = rule.needs === "admin" ? Math.min(RECENT_MS, options.adminMaxAge) : RECENT_MS;
      mustBeRecent(who, arrival, clock.now(), most);
    }
    return who;
  }

  async function arrive(request: Request, rule: Rule): Promise<void> {
    if (!principals.has(request)) principals.set(request, await admit(arrivalOf(request), rule));
  }

  return new Elysia({ name: `api/${name}`, prefix: API_PREFIX }).macro({
    own: (rule: Rule) => ({
      detail: { "x-needs": rule.needs, "x-recent": rule.recent } as object,
      /** Runs first for methods that may have a body, whether or not the route takes one. */
      async parse({ request }) {
        await arrive(request, rule);
        const arrival = arrivalOf(request);
        return hasBody(arrival) ? readJson(arrival.request) : undefined;
      },
      // An arrow: Elysia reads the text of hooks, and takes a minified method's parameter for more than it is.
      transform: async (context) => {
        await arrive(context.request, rule);
        context.query = queryOf(arrivalOf(context.request).target.search);
      },
      resolve({ request }) {
        const principal = principals.get(request);
        if (principal === undefined) throw new Error("a request came to the API without being admitted");
        return { arrival: arrivalOf(request), principal };
      },
      beforeHandle({ request }) {
        const isChange = request.method !== "GET";
        // What a browser sends by itself, any page can make it send.
        if (isChange && principals.get(request)?.proof.kind === "session") guardPost(arrivalOf(request));
      },
      mapResponse({ responseValue, set }) {
        if (responseValue instanceof Response) return undefined;
        const status = typeof set.status === "number" ? set.status : 200;
        return responseValue === undefined ? noContent() : json(responseValue as object, status);
      },
    }),
  });
}

/** Has every other method of the paths so far answered with 405. */
export function closeApi(app: { readonly routes: readonly { method: string; path: string }[] }): Elysia {
  const paths = Map.groupBy(app.routes, ({ path }) => path);
  for (const [path, routes] of paths) {
    refuseOtherMethods(
      app as unknown as Elysia,
      path.slice(API_PREFIX.length),
      routes.map(({ method }) => method),
    );
  }
  return app as unknown as Elysia;
}

/** The words that rusty-valkey-forward-auth says it in. */
const ADMINS_ONLY = "admin privileges required";

/** @returns undefined for whoever proved it by something else, such as a key: one that leaks must not make others. */
function rankOf({ proof: { kind }, groups }: Principal): Rule["needs"] | undefined {
  if (kind === "operator") return "operator";
  if (kind !== "session" && kind !== "bearer") return undefined;
  return groups.has(ADMINS) ? "admin" : "user";
}

export function isAdmin(who: Principal): boolean {
  return rankOf(who) === "admin" || isOperator(who);
}

export function isOperator(who: Principal): boolean {
  return rankOf(who) === "operator";
}

/** What the audit calls whoever did it. */
export function actorOf(who: Principal): string {
  return isOperator(who) ? "operator" : nameOf(who);
}

const RECENT_MS = 15 * MINUTE;

/**
 * Whether they signed in so lately that nobody else is likely to sit there, and in that very browser: who approved it from another
 * one may be somewhere else. @param now wall clock, in milliseconds, as is how long ago it may be.
 */
export function isRecent(
  { provenAt, method }: Pick<Principal, "provenAt" | "method">,
  now: number,
  most = RECENT_MS,
): boolean {
  return method !== "approval" && now - provenAt < most;
}

/** A session that was left open is not enough for what would outlast it (RFC 9470). @throws {Refusal} */
export function mustBeRecent(who: Principal, { origin }: Arrival, now: number, most = RECENT_MS): void {
  if (who.proof.kind !== "session" || isRecent(who, now, most)) return;
  const challenge = `Bearer realm="${origin}", error="insufficient_user_authentication", max_age=${most / SECOND}`;
  throw new Refusal({
    ...unauthenticated(origin),
    error: "sign_in_again",
    fields: { login_url: origin + loginHref("", true) },
    message: "You signed in some time ago. Sign in again for this.",
    headers: [["WWW-Authenticate", challenge]],
  });
}

/** Whether administrators may act from there by their session. */
export function isAdminNetwork(
  { adminNetworks }: Pick<AdminOptions, "adminNetworks">,
  client: { readonly ip: string },
): boolean {
  if (adminNetworks.length === 0) return true;
  const ip = parseIp(client.ip);
  return ip !== undefined && isInNetworks(ip, adminNetworks);
}

function withoutAdmins(who: Principal): Principal {
  return { ...who, groups: new Set([...who.groups].filter((group) => group !== ADMINS)) };
}

function elsewhere(home: string): Refusal {
  return new Refusal({
    status: 421,
    error: "wrong_host",
    title: said("account.elsewhereTitle"),
    message: said("account.elsewhere", { origin: home }),
  });
}

export function notAllowed(message = "You are signed in, but this is not open to you."): Refusal {
  return new Refusal({ status: 403, error: "not_allowed", title: said("notAllowed.title"), message });
}

/** @throws {Refusal} */
export function addressOf(text: string): Address {
  try {
    return parseAddress(text);
  } catch (error) {
    throw error instanceof AddressError ? badRequest(error.message) : error;
  }
}

/** A parameter given twice, of which one would have to be believed, is an error. @throws {Refusal} */
function queryOf(search: string): Record<string, string> {
  const query: Record<string, string> = Object.create(null);
  for (const [name, value] of new URLSearchParams(search)) {
    if (name in query) throw badRequest("A parameter was sent twice.");
    query[name] = value;
  }
  return query;
}
