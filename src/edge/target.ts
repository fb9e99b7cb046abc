import { OWN_PREFIX } from "../pages/paths.ts";

/**
 * The request target in its one normal form: what access is decided on is what the application receives.
 *
 * `Bun.serve` hands over a URL that has been through a WHATWG parser once (dot segments and backslashes resolved,
 * absolute-form reduced to its path), so the string is cut here, not parsed again.
 */

/** What lies below is for programs: every failure is said in JSON there. */
export const API_PREFIX = `${OWN_PREFIX}/api`;

/** `search` is empty or starts with `?`. Both are ASCII. */
export type Target = { readonly path: string; readonly search: string };

/**
 * Cuts path and query out of `request.url`.
 * @returns undefined if the request's `Host` was missing or not a host: Bun then leaves the target unparsed, and
 * RFC 9112 §3.2 demands a 400.
 */
export function parseTarget(url: string): Target | undefined {
  if (!url.startsWith("http")) return undefined;
  const start = url.indexOf("/", "https://".length);
  return start === -1 ? undefined : cutTarget(url, start);
}

/** @param start where the path begins, in what is an URL or the end of one. */
export function cutTarget(url: string, start: number): Target {
  // A fragment has no place in a request target (RFC 9110 §7.1); Bun keeps one that is sent.
  const hash = url.indexOf("#", start);
  const end = hash === -1 ? url.length : hash;
  const query = url.indexOf("?", start);
  if (query === -1 || query > end) return { path: url.slice(start, end), search: "" };
  return { path: url.slice(start, query), search: url.slice(query, end) };
}

export type Place =
  /** One of Runegate's own paths, written plainly. */
  | "own"
  /** The reserved prefix in another spelling, which some server behind us might decode: nobody's. */
  | "disguised"
  | "application";

/** Whose path it is. Only the plain spelling reaches Runegate's handlers; no spelling reaches the application. */
export function placeOf(path: string): Place {
  if (isBelow(path, OWN_PREFIX)) return "own";
  // What none of these characters is in has only one spelling, but for case.
  if (!/[%;]|\/\//.test(path)) return isBelow(path.toLowerCase(), OWN_PREFIX) ? "disguised" : "application";
  return isBelow(plainest(path).toLowerCase(), OWN_PREFIX) ? "disguised" : "application";
}

/** Whether a path, in the visitor's spelling, could be none of Runegate's own. */
export function isApplications(path: string): boolean {
  if (placeOf(path) !== "application") return false;
  return isPlain(path) || placeOf(plainest(path)) === "application";
}

/** Reaches the application with this prefix removed, for paths that Runegate answers itself at the root. */
const PROXY_PREFIX = "/proxy";

/** Path as applications are asked for it; undefined if it is one that none gets. */
export function applicationPath(path: string): string | undefined {
  if (placeOf(path) !== "application") return undefined;
  const inner = isBelow(path, PROXY_PREFIX) ? withoutPrefix(path, PROXY_PREFIX) : path;
  if (inner !== path && placeOf(inner) !== "application") return undefined;
  // `fetch` folds leading slashes into one; done here, so that what is decided on is what the application receives.
  return inner.startsWith("//") ? inner.replace(/^\/+/, "/") : inner;
}

/**
 * Whether a path has one reading only, whatever the server behind us decodes: what is decided by paths (which of several
 * applications, what is public) goes by such paths alone, so that an odd spelling never gains anything.
 */
export function isPlain(path: string): boolean {
  if (/[;\\\0]|\/\/|\/\.{1,2}(?:\/|$)/.test(path)) return false;
  if (!path.includes("%")) return true;
  // Written in full though it need not be (RFC 3986 §2.3), a delimiter of paths, another percent sign, or a control character.
  if (/%(?:[01][0-9a-f]|2[def5]|3[0-9b]|4[1-9a-f]|5[0-9acf]|6[1-9a-f]|7[0-9aef])/i.test(path)) return false;
  try {
    decodeURIComponent(path);
    return true;
  } catch {
    return false;
  }
}

/** Whether `path` is `prefix` or lies under it, cut at the segment boundary: `/proxyfoo` is not below `/proxy`. */
export function isBelow(path: string, prefix: string): boolean {
  return path.startsWith(prefix) && (path.length === prefix.length || path[prefix.length] === "/");
}

/** Path with `prefix`, at its segment boundary, taken off. */
export function withoutPrefix(path: string, prefix: string): string {
  return path.length === prefix.length ? "/" : path.slice(prefix.length);
}

/** More decoding than any one server does: only ever compared, never used as a path. */
export function plainest(path: string): string {
  let text = path;
  for (let round = 0; round < 4 && text.includes("%"); round++) text = decodeOnce(text);
  const segments: string[] = [];
  for (const raw of text.split(/[/\\]/)) {
    // Servlet containers cut path parameters off; some file systems drop blanks, dots and control characters.
    const segment = raw.split(";", 1)[0]?.replace(/[\p{Cc}\p{Zs}]/gu, "") ?? "";
    if (segment === "" || segment === ".") continue;
    if (segment === "..") segments.pop();
    else segments.push(segment);
  }
  return `/${segments.join("/")}`;
}

function decodeOnce(text: string): string {
  // Overlong UTF-8 (RFC 3629 §3): two and three bytes for what fits in one, decoded by lax servers.
  const overlong = (_: string, lead: string, high: string, low: string) =>
    asciiOf(Number.parseInt(lead, 16) * 64 + (Number.parseInt(high + low, 16) & 63));
  return (
    text
      .replace(/%c([01])%([89ab])([0-9a-f])/gi, overlong)
      .replace(/%e0%8([01])%([89ab])([0-9a-f])/gi, overlong)
      .replace(/%([0-7][0-9a-f])/gi, (_, hex: string) => asciiOf(Number.parseInt(hex, 16)))
      // `%u005f`, as IIS once read it.
      .replace(/%u00([0-7][0-9a-f])/gi, (_, hex: string) => asciiOf(Number.parseInt(hex, 16)))
  );
}

function asciiOf(code: number): string {
  return String.fromCharCode(code & 0x7f);
}
