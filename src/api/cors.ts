import type { Arrival } from "../edge/arrival.ts";
import type { AnswerOwn } from "../edge/own.ts";

/**
 * Pages of other sites at the management API (Fetch Standard, "CORS protocol"). They come with a bearer that they hold themselves,
 * never with cookies: `Access-Control-Allow-Credentials` is not sent, so that a page on a neighboring host, to which `SameSite`
 * is no obstacle, can neither read what a visitor's session would show nor, by the preflight, send what it would allow.
 */
export function withCors(origins: ReadonlySet<string>, answer: AnswerOwn): AnswerOwn {
  if (origins.size === 0) return answer;

  return async (arrival) => {
    const { origin } = arrival.headers;
    const known = origin !== undefined && origins.has(origin) ? origin : undefined;
    const response =
      known !== undefined && isPreflight(arrival)
        ? new Response(null, { status: 204, headers: PREFLIGHT })
        : await answer(arrival);
    // Always: a cache must not hand one page's answer to another.
    response.headers.append("Vary", "Origin");
    if (known !== undefined) {
      response.headers.set("Access-Control-Allow-Origin", known);
      response.headers.set("Access-Control-Expose-Headers", "Retry-After, WWW-Authenticate");
    }
    return response;
  };
}

function isPreflight({ method, headers }: Arrival): boolean {
  return method === "OPTIONS" && "access-control-request-method" in headers;
}

const PREFLIGHT = {
  "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE",
  "Access-Control-Allow-Headers": "Authorization, Content-Type",
  "Access-Control-Max-Age": "600",
  "Cache-Control": "no-store",
};
