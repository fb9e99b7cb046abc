import { Elysia } from "elysia";
import { badRequest, INVALID_KEY, json, noContent, Refusal, unauthenticated } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { hasBody, readJson } from "../edge/body.ts";
import { arrivalOf, refuseOtherMethods } from "../edge/own.ts";
import { API_PREFIX } from "../edge/target.ts";
import type { House } from "../house.ts";
import { type Address, AddressError, parseAddress } from "../identity/address.ts";
import { isPrincipal, isRejected, type Principal, type Proof } from "../identity/principal.ts";

/**
 * What the routes of the management API have in common, for a browser with a session and for the command line on the control
 * socket alike: who may, what was sent, and how it is answered. Each room declares its own.
 */

/** Who may ask: a `user` is anybody who is let through, an `admin` whoever may open the control socket. */
export type Rule = {
  readonly needs: "user" | "admin";
  /** How a user must have proved it: a key that leaks should not open everything that its owner may do. */
  readonly by?: Proof["kind"];
};

export type ApiHouse = Pick<House, "options" | "guardPost">;

/**
 * An Elysia application below the API's prefix. A route says `own: { needs, by? }` and gets `arrival` and `principal`; what it
 * returns is checked against its `response` and sent as JSON. Declare the routes, then call {@link closeApi}.
 */
export function openApi(name: string, { guardPost }: ApiHouse) {
  const principals = new WeakMap<Request, Principal>();

  /** Before anything that was sent is looked at. @throws {Refusal} */
  async function admit(arrival: Arrival, rule: Rule): Promise<Principal> {
    const who = await arrival.identify(arrival);
    if (!isPrincipal(who)) throw new Refusal(isRejected(who) ? INVALID_KEY : unauthenticated(arrival.origin));
    const { kind } = who.proof;
    if (isAdmin(who) || (rule.needs === "user" && (rule.by ?? kind) === kind)) return who;
    throw notAllowed();
  }

  async function arrive(request: Request, rule: Rule): Promise<void> {
    if (!principals.has(request)) principals.set(request, await admit(arrivalOf(request), rule));
  }

  return new Elysia({ name: `api/${name}`, prefix: API_PREFIX }).macro({
    own: (rule: Rule) => ({
      detail: { "x-needs": rule.by === undefined ? rule.needs : `${rule.needs}, by ${rule.by}` } as object,
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
