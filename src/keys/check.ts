import { decide } from "../access/decision.ts";
import type { Route } from "../access/route.ts";
import { type Routes, routeFor } from "../access/routes.ts";
import { type ExtraHeaders, json } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { type Described, forwardedRequest } from "../edge/described.ts";
import { isApplications } from "../edge/target.ts";
import type { House } from "../house.ts";
import { isPrincipal, isRejected, nameOf, type Principal } from "../identity/principal.ts";

/**
 * `GET /forward-auth`: an edge asks whether a request may pass by its key alone, as it would ask rusty-valkey-forward-auth. No cookie is
 * looked at and nobody is sent to sign in. Where the edge says what was asked for, it is decided on that; where it does not, only a key
 * will do that opens every application that takes keys.
 */
export function keyCheck({
  keyProof,
  routes,
  closures,
  clock,
}: Pick<House, "keyProof" | "routes" | "closures" | "clock">) {
  const takingKeys = routes.all.filter(({ proofs }) => proofs === undefined || proofs.has("key"));

  function mayPass(arrival: Arrival, who: Principal): boolean {
    const about = arrival.client.peerTrusted ? forwardedRequest(arrival) : "it is not believed";
    if (typeof about !== "string") {
      const route = routeAsked(routes, about);
      return route !== undefined && isAllowed(route, about.method, about.target.path);
    }
    // A key without limits of its own is as good for any path as for this one.
    const { scope } = who;
    if (scope?.methods !== undefined || scope?.paths !== undefined) return false;
    return takingKeys.length > 0 && takingKeys.every((route) => isAllowed(route, "GET", route.path));

    function isAllowed(route: Route, method: string, path: string): boolean {
      const verdict = decide({
        ...{ route, who, method, path, now: clock.now() },
        ...{ client: arrival.client, headers: arrival.headers },
        ...{ upgrade: false, originAllowed: true, preflight: false },
        closed: closures.textOf(route) !== undefined,
      });
      return verdict.verdict === "allow";
    }
  }

  return async (arrival: Arrival): Promise<Response> => {
    const who = await keyProof(arrival);
    // Whatever stands there is meant for a key: nothing else is asked for here.
    const isShown = /^(?:bearer|basic) +\S/i.test(arrival.headers.authorization ?? "");
    if (who === undefined) return refuse(isShown ? "invalid token" : "missing token");
    if (isRejected(who) && who.rejected === "rate_limited") {
      const wait: ExtraHeaders = [["Retry-After", String(Math.ceil((who.retryAfterMs ?? 0) / 1000))]];
      return json({ error: who.rejected, message: "too many requests" }, 429, wait);
    }
    if (!isPrincipal(who)) return refuse("invalid token");
    if (!mayPass(arrival, who)) return json({ error: "key_scope", message: "token not good for this" }, 403);
    const headers = {
      "X-Authenticated-User": nameOf(who),
      "X-Authenticated-Token-Id": who.proof.id,
      "Cache-Control": "no-store",
    };
    return new Response(null, { status: 204, headers });
  };
}

function routeAsked(routes: Routes, { host, target }: Described): Route | undefined {
  const site = routes.siteOf(host);
  return site && isApplications(target.path) ? routeFor(site, target.path) : undefined;
}

function refuse(message: string): Response {
  return json({ error: "invalid_key", message }, 401, [["WWW-Authenticate", "Bearer"]]);
}
