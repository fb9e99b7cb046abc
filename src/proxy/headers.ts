import { folded, keyIdOf } from "../access/identity-headers.ts";
import type { Client } from "../edge/client.ts";
import { setCookieName } from "../edge/cookies.ts";
import { NO_GROUPS, nameOf, type Principal, sameGroups } from "../identity/principal.ts";
import { remembering } from "../remembering.ts";
import type { Telling } from "./telling.ts";
import { translateLocation, translateOrigin, type UpstreamName } from "./upstream-name.ts";

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

/** Set anew on every request, whoever sent them (CONTRACT section 7). */
const FORWARDING_NAMES: ReadonlySet<string> = new Set([
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-forwarded-host",
  "x-real-ip",
]);

/** By these some frameworks go in place of the path: whoever sends one would ask for another page than the one that was looked at. */
const PATH_NAMES: ReadonlySet<string> = new Set(["x-original-url", "x-rewrite-url"]);

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
  /** Who is asking; undefined where it is open to whoever comes. */
  readonly principal: Principal | undefined;
};

/** Makes the headers the application gets from those the browser sent, by lower-case name. */
export type ToUpstream = (headers: Readonly<Record<string, string>>, forwarded: Forwarded) => Headers;

/** What Runegate says of one visitor, as long as they are in these groups. */
type Visitor = { readonly groups: Principal["groups"]; readonly headers: Headers };

/** Whoever is active at the moment; what is not here is made again. */
const MOST_VISITORS = 512;

/**
 * What Runegate itself says is the same in every request of one visitor from one place, so it is made once and copied, and
 * the browser's headers are added to the copy. (Against a plain object for `fetch`, which makes `Headers` of it every time,
 * that saves 3 µs of 9 for a program's two headers, and 5 of 16 for a browser's thirteen.)
 */
export function createToUpstream(name: UpstreamName | undefined, telling: Telling): ToUpstream {
  const visitors = new Map<string, Visitor>();
  const isDroppedOf = (peerTrusted: boolean) =>
    remembering((field) => mayNotCross(field, peerTrusted, telling.reserved));
  const isDroppedOfEdge = isDroppedOf(true);
  const isDroppedOfOthers = isDroppedOf(false);

  function ownHeadersFor({ client, principal }: Forwarded): Headers {
    // A line feed is in none of them.
    const user =
      principal === undefined ? "" : `${nameOf(principal)}\n${principal.actor ?? ""}\n${keyIdOf(principal)}`;
    const groups = principal?.groups ?? NO_GROUPS;
    const key = `${client.host}\n${client.forwardedFor}\n${client.proto}\n${client.ip}\n${user}`;
    const known = visitors.get(key);
    if (known !== undefined && sameGroups(known.groups, groups)) return known.headers;
    const headers = makeOwnHeaders(client, name?.host ?? client.host);
    for (const [field, value] of telling.headers(principal)) headers.set(field, value);
    if (visitors.size >= MOST_VISITORS) visitors.clear();
    visitors.set(key, { groups, headers });
    return headers;
  }

  return (headers, forwarded) => {
    const result = new Headers(ownHeadersFor(forwarded));
    if (forwarded.cookie !== undefined) result.set("cookie", forwarded.cookie);
    const token = telling.token(forwarded.principal);
    if (token !== undefined) result.set(telling.tokenHeader, token);
    const relayed = telling.relayed?.(forwarded.principal);
    if (relayed !== undefined) result.set("x-forwarded-access-token", relayed);
    const isDropped = forwarded.client.peerTrusted ? isDroppedOfEdge : isDroppedOfOthers;
    // Names that Runegate sets are dropped from what was sent, and naming one in `Connection` removes only the forgery.
    const named = headers.connection === undefined ? NOTHING_NAMED : namedIn(headers.connection);
    for (const field in headers) {
      if (field === "host" || field === "cookie" || named.has(field)) continue;
      if (isDropped(field)) continue;
      const value = headers[field] ?? "";
      if (field === "authorization" && telling.isOwnCredential(value)) continue;
      result.set(field, value);
    }
    if (name !== undefined) translateOrigin(result, forwarded.client, name);
    return result;
  };
}

function makeOwnHeaders({ host, forwardedFor, proto, ip }: Client, hostHeader: string): Headers {
  return new Headers({
    host: hostHeader,
    "x-forwarded-for": forwardedFor,
    "x-forwarded-proto": proto,
    // The public one, whatever `Host` says.
    "x-forwarded-host": host,
    "x-real-ip": ip,
    // `fetch` would otherwise name itself to the application.
    "user-agent": "",
  });
}

/** What a WebSocket's new handshake sets itself, to be left out of the headers it is given. */
export function withoutHandshake(headers: Headers): Headers {
  for (const name of HANDSHAKE_NAMES) headers.delete(name);
  return headers;
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

function mayNotCross(name: string, peerTrusted: boolean, reserved: ReadonlySet<string>): boolean {
  if (HOP_BY_HOP.has(name)) return true;
  const plain = folded(name);
  if (reserved.has(plain)) return true;
  const first = plain.charCodeAt(0);
  if (first !== 120 /* x */ && first !== 114 /* r */ && first !== 102 /* f */ && first !== 112 /* p */) {
    return plain !== name && (HOP_BY_HOP.has(plain) || MESSAGE_NAMES.has(plain));
  }
  if (IDENTITY_NAMES.has(plain) || FORWARDING_NAMES.has(plain) || PATH_NAMES.has(plain)) return true;
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
 * @param upstreamName undefined where the application is addressed by its public name.
 * @param publicOrigin of the host that was asked, where that may be another than the base URL's.
 * @returns what is left, by lower-case name: cheaper to read than `Headers`. `set-cookie` is not to be read here.
 */
export function fromUpstream(
  headers: Headers,
  ownCookies: ReadonlySet<string>,
  upstreamName: UpstreamName | undefined,
  publicOrigin?: string,
): Readonly<Record<string, string>> {
  const fields: Record<string, string> = headers.toJSON();
  const named = fields.connection === undefined ? NOTHING_NAMED : namedIn(fields.connection);
  for (const name in fields) {
    if (!HOP_BY_HOP.has(name) && !name.startsWith("proxy-") && !named.has(name)) continue;
    headers.delete(name);
    delete fields[name];
  }
  if ("set-cookie" in fields) keepOwnCookies(headers, ownCookies);
  if (upstreamName !== undefined && fields.location !== undefined) {
    const location = translateLocation(fields.location, upstreamName, publicOrigin);
    if (location !== undefined) headers.set("location", location);
  }
  return fields;
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
