import type { AnyElysia, Elysia } from "elysia";
import { said } from "../pages/language.ts";
import { OWN_PREFIX } from "../pages/paths.ts";
import type { Awaitable } from "../store/records.ts";
import { failure, NOT_FOUND } from "./answer.ts";
import type { Arrival } from "./arrival.ts";
import { CLAIM_ALL, CLAIM_NONE, type Claim, type RootPath, type RootPaths } from "./root-paths.ts";

/** How a room declares the paths it answers. */

export type OwnHandler = (arrival: Arrival) => Awaitable<Response>;

/** HEAD is answered by the GET handler; everything not named here is a 405. */
export type OwnHandlers = { readonly GET?: OwnHandler; readonly POST?: OwnHandler };

export type OwnRoute = {
  /** Below the reserved prefix; undefined for what is answered at the root alone. May end in `/*`, for any one name. */
  readonly path?: string;
  /** Older names at the root (`root-paths.ts`). */
  readonly also?: readonly RootPath[];
  /** A path at the root that the operator chose for it. */
  readonly chosen?: string | undefined;
  /** Which requests for those are Runegate's whoever asks; by default none is, and all are where the operator chose the path. */
  readonly claim?: Claim;
  readonly handlers: OwnHandlers;
};

export type OwnPaths = ReadonlyMap<string, OwnHandlers>;

export type OwnRoutes = {
  readonly name: string;
  readonly paths: OwnPaths;
  readonly rootPaths: RootPaths;
  readonly chosenPaths: RootPaths;
};

export function ownRoutes(name: string, routes: readonly OwnRoute[]): OwnRoutes {
  const paths = new Map<string, OwnHandlers>();
  const rootPaths = new Map<string, Claim>();
  const chosenPaths = new Map<string, Claim>();
  for (const { path, also = [], chosen, claim, handlers } of routes) {
    if (path !== undefined) paths.set(OWN_PREFIX + path, handlers);
    if (chosen !== undefined) {
      paths.set(chosen, handlers);
      chosenPaths.set(chosen, claim ?? CLAIM_ALL);
    }
    for (const root of also) {
      paths.set(root, handlers);
      rootPaths.set(root, claim ?? CLAIM_NONE);
    }
  }
  return { name, paths, rootPaths, chosenPaths };
}

/**
 * Handlers that are loaded when the first of them is asked for.
 * @param load see `late.ts`.
 */
export function lateHandlers<Name extends string>(
  load: () => Promise<Readonly<Record<Name, OwnHandler>>>,
): (name: Name) => OwnHandler {
  return (name) => async (arrival) => (await load())[name](arrival);
}

/** Answers what is Runegate's own. */
export type AnswerOwn = (arrival: Arrival) => Promise<Response>;

export function answerFrom(paths: OwnPaths): AnswerOwn {
  return async (arrival) => {
    const { method, target } = arrival;
    const handlers = handlersAt(paths, target.path);
    if (handlers === undefined) return failure(arrival, NOT_FOUND);
    const { GET, POST } = handlers;
    const handler = method === "GET" || method === "HEAD" ? GET : method === "POST" ? POST : undefined;
    return handler === undefined ? methodNotAllowed(arrival, Object.keys(handlers)) : handler(arrival);
  };
}

export function handlersAt(paths: OwnPaths, asked: string): OwnHandlers | undefined {
  // A slash at the end is forgiven.
  const path = asked.endsWith("/") ? asked.slice(0, -1) : asked;
  return paths.get(path) ?? paths.get(`${path.slice(0, path.lastIndexOf("/"))}/*`);
}

const ROUTED_ORIGIN = "http://runegate.invalid";

const arrivals = new WeakMap<Request, Arrival>();

/** Hands an understood request to an Elysia application, whose handlers get the `Arrival` back. */
export async function answerByElysia(app: Elysia, arrival: Arrival): Promise<Response> {
  // Elysia looks for the path behind the eleventh character, which in `http://nas/login` is too late. What it routes by is
  // the path that was decided on, on a host that is always the same.
  const method = arrival.method === "HEAD" ? "GET" : arrival.method;
  const routed = new Request(ROUTED_ORIGIN + arrival.target.path, { method });
  arrivals.set(routed, arrival);
  return app.fetch(routed);
}

export function arrivalOf(request: Request): Arrival {
  const arrival = arrivals.get(request);
  if (arrival === undefined) throw new Error("a request came to a room without passing the door");
  return arrival;
}

/** Has an Elysia application say 405 to everything but `methods`. */
export function refuseOtherMethods(app: AnyElysia, path: string, methods: readonly string[]): void {
  app.all(path, ({ request }) => methodNotAllowed(arrivalOf(request), methods), { parse: "none" });
}

/** @param methods that have a handler: that of GET answers HEAD too. */
function methodNotAllowed(arrival: Arrival, methods: readonly string[]): Response {
  const allowed = methods.flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method])).join(", ");
  return failure(arrival, {
    status: 405,
    error: "method_not_allowed",
    title: said("request.methodTitle"),
    message: said("request.method", { allowed }),
    headers: [["Allow", allowed]],
  });
}
