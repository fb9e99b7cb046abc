import type { Principal } from "../access/principal.ts";
import type { Client } from "../edge/client.ts";
import { setCookieName } from "../edge/cookies.ts";

/** Which headers cross the gateway, in both directions. Names are compared in lower case, as `Headers` gives them. */

/**
 * RFC 9110 §7.6.1: these concern one connection only. `expect` joins them because `Bun.serve` has already answered it
 * (RFC 9110 §10.1.1) and `fetch` would ask again.
 */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "proxy-connection",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-authentication-info",
  "proxy-features",
  "proxy-instruction",
  "proxy-security-scheme",
  "expect",
]);

/** What only Runegate may say. A prefix ends in `-`. */
const IDENTITY_NAMES: ReadonlySet<string> = new Set([
  "x-forwarded-user",
  "x-forwarded-email",
  "x-forwarded-groups",
  "x-forwarded-preferred-username",
  "x-forwarded-access-token",
]);
const IDENTITY_PREFIXES = [
  "x-runegate-",
  "remote-",
  "x-auth-request-",
  "x-authenticated-",
  "x-webauth-",
] as const;

/** Set anew on every request, whoever sent them (SPEC section 7). */
const FORWARDING_NAMES: ReadonlySet<string> = new Set([
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-forwarded-host",
  "x-real-ip",
]);

/** What the application's WebSocket handshake gets from the client that makes it (RFC 6455 §4.1). */
const HANDSHAKE_NAMES: ReadonlySet<string> = new Set([
  "sec-websocket-key",
  "sec-websocket-version",
  "sec-websocket-extensions",
  "sec-websocket-protocol",
]);

export type Forwarded = {
  readonly client: Client;
  /** The `Cookie` header without Runegate's own. */
  readonly cookie: string | undefined;
  /** Who the application is told is asking; undefined when it is told nothing. */
  readonly principal: Principal | undefined;
};

/** Turns the request headers a browser sent into those the application gets, in place. */
export function toUpstream(headers: Headers, { client, cookie, principal }: Forwarded): void {
  const connection = headers.get("connection");
  const dropped: string[] = [];
  for (const name of headers.keys()) {
    if (isDropped(name, client.peerTrusted)) dropped.push(name);
  }
  // Before Runegate's own are set, so that naming one of those in `Connection` removes only a forgery.
  for (const name of dropped) headers.delete(name);
  if (connection !== null) dropNamed(headers, connection);

  if (cookie === undefined) headers.delete("cookie");
  else headers.set("cookie", cookie);
  headers.set("host", client.host);
  headers.set("x-forwarded-for", client.forwardedFor);
  headers.set("x-forwarded-proto", client.proto);
  headers.set("x-forwarded-host", client.host);
  headers.set("x-real-ip", client.ip);
  if (principal === undefined) return;
  const { email } = principal;
  headers.set("x-runegate-authenticated", "true");
  headers.set("x-runegate-user", email);
  headers.set("x-forwarded-user", email);
  headers.set("x-forwarded-email", email);
  headers.set("remote-user", email);
  headers.set("remote-email", email);
}

/** The same for a WebSocket handshake, as a plain object; what the new handshake sets itself is left out. */
export function toUpstreamHandshake(headers: Headers, forwarded: Forwarded): Record<string, string> {
  const copy = new Headers(headers);
  toUpstream(copy, forwarded);
  for (const name of HANDSHAKE_NAMES) copy.delete(name);
  return Object.fromEntries(copy);
}

function isDropped(name: string, peerTrusted: boolean): boolean {
  if (HOP_BY_HOP.has(name)) return true;
  // Gateway interfaces fold every separator into one (CGI: HTTP_X_FORWARDED_USER), so all spellings are one name.
  const plain = /[^a-z0-9-]/.test(name) ? name.replace(/[^a-z0-9]/g, "-") : name;
  const first = plain.charCodeAt(0);
  if (first !== 120 /* x */ && first !== 114 /* r */ && first !== 102 /* f */ && first !== 112 /* p */) {
    return plain !== name && HOP_BY_HOP.has(plain);
  }
  if (IDENTITY_NAMES.has(plain) || FORWARDING_NAMES.has(plain)) return true;
  if (IDENTITY_PREFIXES.some((prefix) => plain.startsWith(prefix))) return true;
  if (plain.startsWith("proxy-")) return true;
  const forwarding = plain === "forwarded" || plain.startsWith("x-forwarded-");
  // An odd spelling is nobody's honest header, trusted edge or not.
  return forwarding && (!peerTrusted || plain !== name);
}

/** RFC 9110 §7.6.1: fields named in `Connection` go no further, `Connection` itself included. */
function dropNamed(headers: Headers, connection: string): void {
  for (const option of connection.split(",")) {
    const name = option.trim().toLowerCase();
    // Some that frame or route the message may not be named away (RFC 9110 §7.6.1: "not intended for all recipients").
    if (name === "" || name === "host" || name === "content-length" || name === "cookie") continue;
    if (/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name)) headers.delete(name);
  }
}

/**
 * Turns the application's response headers into those the browser gets, in place.
 * @param ownCookies cookie names the application may not set.
 */
export function fromUpstream(headers: Headers, ownCookies: ReadonlySet<string>): void {
  const connection = headers.get("connection");
  if (connection !== null) dropNamed(headers, connection);
  const dropped: string[] = [];
  let setsCookies = false;
  for (const name of headers.keys()) {
    if (HOP_BY_HOP.has(name) || name.startsWith("proxy-")) dropped.push(name);
    else if (name === "set-cookie") setsCookies = true;
  }
  for (const name of dropped) headers.delete(name);
  if (setsCookies) keepOwnCookies(headers, ownCookies);
}

/** An application that sets a cookie of Runegate's could sign its users in as anybody, or out. */
function keepOwnCookies(headers: Headers, own: ReadonlySet<string>): void {
  const lines = headers.getSetCookie();
  const others = lines.filter((line) => !own.has(nameSentBack(line)));
  if (others.length === lines.length) return;
  headers.delete("set-cookie");
  for (const line of others) headers.append("set-cookie", line);
}

/** A browser sends `=name=value`, a cookie without a name, back as `name=value` (RFC 6265bis §5.8.3). */
function nameSentBack(line: string): string {
  return setCookieName(line.replace(/^\s*=/, ""));
}
