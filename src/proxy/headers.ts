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

/** In an odd spelling, another length, host or cookie than the one that was looked at. */
const MESSAGE_NAMES: ReadonlySet<string> = new Set(["content-length", "host", "cookie"]);

export type Forwarded = {
  readonly client: Client;
  /** The `Cookie` header without Runegate's own. */
  readonly cookie: string | undefined;
  /** Who the application is told is asking; undefined when it is told nothing. */
  readonly principal: Principal | undefined;
};

/**
 * The headers the application gets, made from those the browser sent. (A new object costs half of what it takes to change
 * `Headers` one by one.)
 */
export function toUpstream(
  headers: Readonly<Record<string, string>>,
  { client, cookie, principal }: Forwarded,
): Record<string, string> {
  // Without a prototype: a header may be called `__proto__`, and is then one like any other.
  const result: Record<string, string> = Object.create(null);
  result.host = client.host;
  result["x-forwarded-for"] = client.forwardedFor;
  result["x-forwarded-proto"] = client.proto;
  result["x-forwarded-host"] = client.host;
  result["x-real-ip"] = client.ip;
  // `fetch` would otherwise name itself to the application.
  result["user-agent"] = "";
  if (cookie !== undefined) result.cookie = cookie;
  if (principal !== undefined) {
    const { email } = principal;
    result["x-runegate-authenticated"] = "true";
    result["x-runegate-user"] = email;
    result["x-forwarded-user"] = email;
    result["x-forwarded-email"] = email;
    result["remote-user"] = email;
    result["remote-email"] = email;
  }
  // Names that Runegate sets are dropped from what was sent, and naming one in `Connection` removes only the forgery.
  const named = headers.connection === undefined ? NOTHING_NAMED : namedIn(headers.connection);
  for (const name in headers) {
    if (name === "host" || name === "cookie" || isDropped(name, client.peerTrusted)) continue;
    if (named.has(name)) continue;
    result[name] = headers[name] ?? "";
  }
  return result;
}

/** The same for a WebSocket handshake; what the new handshake sets itself is left out. */
export function toUpstreamHandshake(
  headers: Readonly<Record<string, string>>,
  forwarded: Forwarded,
): Record<string, string> {
  const result = toUpstream(headers, forwarded);
  for (const name of HANDSHAKE_NAMES) delete result[name];
  return result;
}

const NOTHING_NAMED: ReadonlySet<string> = new Set();

/** RFC 9110 §7.6.1: fields named in `Connection` go no further, `Connection` itself included. */
function namedIn(connection: string): ReadonlySet<string> {
  // What nearly everybody sends, and names nothing.
  if (connection === "keep-alive" || connection === "close") return NOTHING_NAMED;
  const names = new Set(connection.split(",").map((option) => option.trim().toLowerCase()));
  // It frames the message, and may not be named away (RFC 9110 §7.6.1: "not intended for all recipients").
  names.delete("content-length");
  return names;
}

function isDropped(name: string, peerTrusted: boolean): boolean {
  if (HOP_BY_HOP.has(name)) return true;
  // Gateway interfaces fold every separator into one (CGI: HTTP_X_FORWARDED_USER), so all spellings are one name.
  const plain = /[^a-z0-9-]/.test(name) ? name.replace(/[^a-z0-9]/g, "-") : name;
  const first = plain.charCodeAt(0);
  if (first !== 120 /* x */ && first !== 114 /* r */ && first !== 102 /* f */ && first !== 112 /* p */) {
    return plain !== name && (HOP_BY_HOP.has(plain) || MESSAGE_NAMES.has(plain));
  }
  if (IDENTITY_NAMES.has(plain) || FORWARDING_NAMES.has(plain)) return true;
  if (IDENTITY_PREFIXES.some((prefix) => plain.startsWith(prefix))) return true;
  // `Proxy` alone becomes HTTP_PROXY in gateway interfaces ("httpoxy", CVE-2016-5385).
  if (plain === "proxy" || plain.startsWith("proxy-")) return true;
  const forwarding = plain === "forwarded" || plain.startsWith("x-forwarded-");
  // An odd spelling is nobody's honest header, trusted edge or not.
  return forwarding && (!peerTrusted || plain !== name);
}

/**
 * Turns the application's response headers into those the browser gets, in place.
 * @param ownCookies cookie names the application may not set.
 */
export function fromUpstream(headers: Headers, ownCookies: ReadonlySet<string>): void {
  const connection = headers.get("connection");
  const named = connection === null ? NOTHING_NAMED : namedIn(connection);
  const dropped: string[] = [];
  let setsCookies = false;
  for (const name in headers.toJSON()) {
    if (HOP_BY_HOP.has(name) || name.startsWith("proxy-") || named.has(name)) dropped.push(name);
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
