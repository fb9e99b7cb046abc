import { cutTarget, type Target } from "./target.ts";

/**
 * What a visitor asked an edge for, as the edge describes it when it asks whether to let that pass. Beside `client.ts` the only
 * reader of headers that say such things; whether the edge is believed is for the caller to see to.
 *
 * A visitor can send any of these headers too, and edges pass on what they do not set. So each dialect reads its own, which its edge
 * does set, and no other: never `X-Original-URI`, `X-Forwarded-Prefix`, `-Port`, `Forwarded` or `Referer`.
 */
export type Described = {
  readonly method: string;
  /** A name, perhaps with a port, as it came. */
  readonly host: string;
  /** ASCII. Its spelling is the visitor's: dot segments and doubled slashes are still there. */
  readonly target: Target;
  readonly proto: Proto;
};

/** Traefik says `wss` and `ws` of WebSockets. */
export type Proto = "https" | "http" | "wss" | "ws";

/** @returns what is wrong with the description, as a clause for the operator, where it cannot be understood. */
export type Describe = (check: {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly target: Target;
}) => Described | string;

/** As nginx is told to write it: `X-Original-URL` and `X-Original-Method`. */
export const originalRequest: Describe = ({ headers }) => {
  const url = headers["x-original-url"];
  if (url === undefined) return "X-Original-URL is missing";
  const proto = url.startsWith("https://") ? "https" : "http";
  const start = proto.length + "://".length;
  const slash = url.indexOf("/", start);
  if (!url.startsWith(`${proto}://`) || slash === -1) return "X-Original-URL is no http or https URL";
  return described(
    "X-Original",
    headers["x-original-method"],
    url.slice(start, slash),
    url.slice(slash),
    proto,
  );
};

/** As most proxies write it by themselves: `X-Forwarded-Method`, `-Proto`, `-Host` and `-Uri`. */
export const forwardedRequest: Describe = ({ headers }) => {
  const proto = protoOf(headers);
  if (proto === undefined) return NO_PROTO;
  const host = headers["x-forwarded-host"];
  if (host === undefined) return "X-Forwarded-Host is missing";
  const uri = headers["x-forwarded-uri"];
  if (uri === undefined) return "X-Forwarded-Uri is missing";
  return described("X-Forwarded", headers["x-forwarded-method"], host, uri, proto);
};

/**
 * As Envoy does with a `path_prefix`: the check is the visitor's request itself, its path put behind a prefix. Dot segments in that
 * have been resolved by now, so that what leads out of the prefix is no check any more.
 */
export function prefixedRequest(prefix: string): Describe {
  return ({ method, headers, target }) => {
    const proto = protoOf(headers);
    if (proto === undefined) return NO_PROTO;
    const uri = target.path.slice(prefix.length) + target.search;
    return described("the check's", method, headers.host ?? "", uri, proto);
  };
}

const NO_PROTO = "X-Forwarded-Proto is missing, or none of https, wss, http and ws";
const PROTOS: ReadonlySet<string> = new Set<Proto>(["https", "wss", "http", "ws"]);

function protoOf(headers: Readonly<Record<string, string>>): Proto | undefined {
  const proto = headers["x-forwarded-proto"];
  return proto !== undefined && PROTOS.has(proto) ? (proto as Proto) : undefined;
}

/** A header that came twice has a comma and a blank in it by now, which none of these takes. */
const METHOD = /^[A-Z]{1,32}$/;
const URI = /^\/[\x21\x22\x24-\x7e]*$/;
/** Latin-1 is what header values are read as: a character a byte. */
const RAW_URI = /^\/[\x21\x22\x24-\x7e\x80-\xff]*$/;

function described(
  names: string,
  method: string | undefined,
  host: string,
  uri: string,
  proto: Proto,
): Described | string {
  if (method === undefined || !METHOD.test(method)) return `${names}-Method is missing or none`;
  if (!RAW_URI.test(uri)) return `${names} URL has no path, or a fragment or a blank in it`;
  return { method, host, target: cutTarget(URI.test(uri) ? uri : percentEncoded(uri), 0), proto };
}

/** As a URL parser would have it (WHATWG URL, "percent-encode sets"). */
function percentEncoded(uri: string): string {
  return uri.replace(/[\x80-\xff]/g, (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase()}`);
}
