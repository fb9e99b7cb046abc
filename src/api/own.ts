import { Elysia } from "elysia";
import { ADMINS } from "../access/people.ts";
import {
  badRequest,
  type Failure,
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
import { isPrincipal, isRejected, type Principal, type Proof } from "../identity/principal.ts";
import { MINUTE } from "../option/values.ts";
import { loginHref } from "../pages/paths.ts";

/**
 * What the routes of the management API have in common, for a browser with a session and for the command line on the control
 * socket alike: who may, what was sent, and how it is answered. Each room declares its own.
 */

/**
 * Who may ask: a `user` is anybody who is let through, an `administrator` one in the group of that name, and an `admin` whoever may
 * open the control socket, who may do all that the others may.
 */
export type Rule = {
  readonly needs: "user" | "administrator" | "admin";
  /** How they must have proved it: a key that leaks should not open everything that its owner may do. */
  readonly by?: Proof["kind"] | readonly Proof["kind"][];
  /** Whether whoever has a session must have begun it a short while ago: it may have been left open somewhere. */
  readonly recent?: true;
};

export type ApiHouse = Pick<House, "options" | "guardPost" | "clock">;

const RECENT_MS = 15 * MINUTE;

/**
 * An Elysia application below the API's prefix. A route says `own: { needs, by? }` and gets `arrival` and `principal`; what it
 * returns is checked against its `response` and sent as JSON. Declare the routes, then call {@link closeApi}.
 */
export function openApi(name: string, { guardPost, clock }: ApiHouse) {
  const principals = new WeakMap<Request, Principal>();

  /** Before anything that was sent is looked at. @throws {Refusal} */
  async function admit(arrival: Arrival, rule: Rule): Promise<Principal> {
    const who = await arrival.identify(arrival);
    if (!isPrincipal(who)) throw new Refusal(isRejected(who) ? INVALID_KEY : unauthenticated(arrival.origin));
    if (isAdmin(who)) return who;
    const { kind } = who.proof;
    if (rule.by !== undefined && ![rule.by].flat().includes(kind)) throw notAllowed();
    if (rule.needs === "administrator" && !isAdministrator(who)) throw notAllowed(ADMINISTRATORS_ONLY);
    if (rule.needs === "admin") throw notAllowed();
    if (rule.recent && kind === "session" && !isRecent(who, clock.now()))
      throw new Refusal(signInAgain(arrival.origin));
    return who;
  }

  async function arrive(request: Request, rule: Rule): Promise<void> {
    if (!principals.has(request)) principals.set(request, await admit(arrivalOf(request), rule));
  }

  return new Elysia({ name: `api/${name}`, prefix: API_PREFIX }).macro({
    own: (rule: Rule) => ({
      detail: {
        "x-needs": rule.by === undefined ? rule.needs : `${rule.needs}, by ${[rule.by].flat().join(" or ")}`,
      } as object,
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

export function isAdmin({ proof }: Principal): boolean {
  return proof.kind === "operator";
}

export function isAdministrator(who: Principal): boolean {
  return isAdmin(who) || who.groups.has(ADMINS);
}

/** Whether they signed in so lately that nobody else is likely to sit there. @param now wall clock, in milliseconds. */
export function isRecent({ provenAt }: Principal, now: number): boolean {
  return now - provenAt < RECENT_MS;
}

/** The words that rusty-valkey-forward-auth says it in. */
const ADMINISTRATORS_ONLY = "admin privileges required";

/** RFC 9470 has a challenge for that, which programs with a cookie do not look for. */
function signInAgain(origin: string): Failure {
  return {
    status: 401,
    error: "sign_in_again",
    title: "Sign in again",
    message: "This takes a sign-in of the last 15 minutes. Sign in again to go on.",
    fields: { login_url: origin + loginHref("", true) },
    headers: [["WWW-Authenticate", `Runegate realm="${origin}"`]],
  };
}

export function notAllowed(message = "You are signed in, but this is not open to you."): Refusal {
  return new Refusal({ status: 403, error: "not_allowed", title: "Not allowed", message });
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
