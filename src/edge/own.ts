import { Elysia } from "elysia";
import type { Awaitable } from "../store/records.ts";
import { failure } from "./answer.ts";
import type { Arrival } from "./arrival.ts";
import { CLAIM_NONE, type Claim, type RootPath, type RootPaths } from "./root-paths.ts";
import { OWN_PREFIX } from "./target.ts";

/** How a room declares the paths it answers. */

export type OwnHandler = (arrival: Arrival) => Awaitable<Response>;

export type OwnRoute = {
  /** Below the reserved prefix; undefined for what is answered at the root alone. May end in `/*`. */
  readonly path?: string;
  /** Older names at the root (`root-paths.ts`). */
  readonly also?: readonly RootPath[];
  /** Which requests for those are Runegate's whoever asks; by default none is. */
  readonly claim?: Claim;
  /** HEAD is answered by the GET handler; everything not named here is a 405. */
  readonly handlers: { readonly GET?: OwnHandler; readonly POST?: OwnHandler };
};

export type OwnRoutes = {
  readonly app: Elysia;
  /** The root paths that belong to this room. */
  readonly rootPaths: RootPaths;
};

const ROUTED_ORIGIN = "http://runegate.invalid";

const arrivals = new WeakMap<Request, Arrival>();

export function ownRoutes(name: string, routes: readonly OwnRoute[]): OwnRoutes {
  const app = new Elysia({ name });
  const rootPaths = new Map<string, Claim>();
  for (const { path, also = [], claim = CLAIM_NONE, handlers } of routes) {
    if (path !== undefined) declare(app, OWN_PREFIX + path, handlers);
    for (const root of also) {
      declare(app, root, handlers);
      rootPaths.set(root, claim);
    }
  }
  return { app, rootPaths };
}

/** Hands an understood request to the Elysia application, whose handlers get the `Arrival` back. */
export function answerOwn(app: Elysia, arrival: Arrival): Awaitable<Response> {
  // Elysia looks for the path behind the eleventh character, which in `http://nas/login` is too late. What it routes by is
  // the path that was decided on, on a host that is always the same.
  const routed = new Request(ROUTED_ORIGIN + arrival.target.path, { method: arrival.method });
  arrivals.set(routed, arrival);
  return app.fetch(routed);
}

function declare(app: Elysia, path: string, handlers: OwnRoute["handlers"]): void {
  // Bodies are read by the rooms themselves, with a limit; Elysia leaves them alone.
  const hook = { parse: "none" } as const;
  const allowed = [...(handlers.GET ? ["GET", "HEAD"] : []), ...(handlers.POST ? ["POST"] : [])];
  const { GET, POST } = handlers;
  if (GET !== undefined) {
    app.get(path, ({ request }) => GET(arrivalOf(request)), hook);
    app.head(path, async ({ request }) => withoutBody(await GET(arrivalOf(request))), hook);
  }
  if (POST !== undefined) app.post(path, ({ request }) => POST(arrivalOf(request)), hook);
  app.all(path, ({ request }) => methodNotAllowed(arrivalOf(request), allowed), hook);
}

export function arrivalOf(request: Request): Arrival {
  const arrival = arrivals.get(request);
  if (arrival === undefined) throw new Error("a request came to a room without passing the door");
  return arrival;
}

/** A HEAD says what a GET would, length included (RFC 9110 §9.3.2). */
async function withoutBody(response: Response): Promise<Response> {
  const length = (await response.arrayBuffer()).byteLength;
  const headers = new Headers(response.headers);
  headers.set("Content-Length", String(length));
  return new Response(null, { status: response.status, headers });
}

function methodNotAllowed(arrival: Arrival, allowed: readonly string[]): Response {
  return failure(arrival, {
    status: 405,
    error: "method_not_allowed",
    title: "Not possible here",
    message: `This address answers ${allowed.join(", ")} only.`,
    headers: [["Allow", allowed.join(", ")]],
  });
}
