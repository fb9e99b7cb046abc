import type { Audit } from "../observe/audit.ts";
import { said } from "../pages/language.ts";
import { Refusal, SIGN_IN } from "./answer.ts";
import type { Arrival } from "./arrival.ts";
import { ACCESS_REFUSED, refusedOf } from "./audit.ts";

/** Whether a request that changes something, or opens a WebSocket, comes from a page that may send it. */

/**
 * For WebSocket handshakes to the application (cross-site WebSocket hijacking): the same-origin policy does not cover
 * them, so the `Origin` that every browser sends is checked here (RFC 6455 §10.2).
 */
export function mayOpenWebSocket(headers: Headers, allowed: "*" | ReadonlySet<string>): boolean {
  if (allowed === "*") return true;
  const origin = headers.get("origin");
  return origin === null || allowed.has(origin);
}

/**
 * Lets a POST go on that a page of ours sent, or no browser. A browser says where the page was (`Sec-Fetch-Site`, `Origin`); a
 * client that says neither is no browser, and carries no cookie of anybody else's.
 * @throws {Refusal}
 */
export type PostGuard = (arrival: Arrival) => void;

export function createPostGuard(allowed: ReadonlySet<string>, audit: Audit): PostGuard {
  function isOurs(headers: Headers, here: string): boolean {
    const origin = headers.get("origin");
    if (origin !== null && (origin === here || allowed.has(origin))) return true;
    const site = headers.get("sec-fetch-site");
    if (site !== null) return site === "same-origin" || (site === "none" && origin === null);
    return origin === null;
  }

  return ({ request, client, target, origin, id }) => {
    if (isOurs(request.headers, origin)) return;
    const what = { client: client.ip, reason: "cross_site", path: target.path, ...refusedOf(undefined) };
    audit(ACCESS_REFUSED, { ...what, host: client.host, request: id });
    throw new Refusal({
      status: 403,
      error: "cross_site",
      title: said("request.otherSiteTitle"),
      message: said("request.otherSite"),
      action: SIGN_IN,
    });
  };
}
