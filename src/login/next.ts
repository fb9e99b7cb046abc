import { type Routes, routeFor } from "../access/routes.ts";
import { cutTarget, placeOf, type Target } from "../edge/target.ts";
import { isPersonal, loginHref, START_PATH } from "../pages/paths.ts";

/**
 * Where to go after signing in. The only place that decides whether a `next` stays on this host, or on another that configuration
 * names.
 *
 * What is returned has been taken apart and put together again by a URL parser; the text that was sent is never echoed.
 */

const MAX_NEXT = 2048;
/** Nothing here is ever resolved: a name that cannot exist (RFC 2606 §2). */
const NOWHERE = "http://next.invalid";

/**
 * @param isOwn what Runegate, besides the reserved prefix, answers itself to somebody who is signed in: going there after a
 * login makes no sense and could go round in circles. The page of keys is the exception: it asks for a login itself.
 * @returns path and query on this host, or `landing` for anything else.
 */
export function safeNext(
  input: string | undefined | null,
  landing: string,
  isOwn: (target: Target) => boolean,
): string {
  const next = pathOnHost(input);
  if (next === undefined) return landing;
  const target = cutTarget(next, 0);
  if (isPersonal(target.path)) return next;
  return placeOf(target.path) !== "application" || isOwn(target) ? landing : next;
}

/** @returns path, query and fragment on this host, in normal form and of bounded length; undefined for anything else. */
export function pathOnHost(input: string | undefined | null): string | undefined {
  if (input === undefined || input === null || input === "" || input.length > MAX_NEXT) return undefined;
  // Browsers drop tabs and line feeds inside URLs and turn backslashes into slashes: nobody honest sends them.
  if (!input.startsWith("/") || /[\p{Cc}\\]/u.test(input) || leavesHost(input)) return undefined;
  const url = URL.parse(NOWHERE + input);
  if (url === null || url.origin !== NOWHERE || url.username !== "" || url.password !== "") return undefined;
  const path = url.pathname + url.search + url.hash;
  // Asked again of what is sent: `/..//host` only becomes `//host` when it is normalized.
  if (leavesHost(path)) return undefined;
  // Percent-encoding can make it nine times as long, and it has to fit into a cookie.
  return path.length > MAX_NEXT ? undefined : path;
}

/**
 * The same, and an absolute URL whose origin is exactly that of a site.
 * @param here the origin of the host that was asked.
 * @returns a path on this host, or an absolute URL on another: to be followed by way of {@link onwardFrom}.
 */
export function safeDestination(
  input: string | undefined | null,
  here: string,
  landing: string,
  isOwn: (target: Target) => boolean,
  siteAt: Routes["siteAt"],
): string {
  if (!input || input.startsWith("/")) return safeNext(input, landing, isOwn);
  if (input.length > MAX_NEXT || /[\p{Cc}\\]/u.test(input)) return landing;
  const url = URL.parse(input);
  if (url === null || url.username !== "" || url.password !== "") return landing;
  const path = safeNext(url.pathname + url.search + url.hash, "", isOwn);
  if (path === "" || siteAt(url.origin) === undefined) return landing;
  return url.origin === here ? path : url.origin + path;
}

/** Origin and path of what {@link safeDestination} gave. */
export function partsOf(destination: string, here: string): { origin: string; path: string } {
  const start = destination.startsWith("/") ? 0 : destination.indexOf("/", "https://".length);
  return { origin: destination.slice(0, start) || here, path: destination.slice(start) };
}

/** Where to send the browser of somebody who is signed in here: to another host by its login page, so that they are there too. */
export function onwardFrom(here: string, destination: string): string {
  const { origin, path } = partsOf(destination, here);
  return origin === here ? path : origin + loginHref(path);
}

/** Where a login ends that began nowhere in particular. */
export function landingAt(routes: Pick<Routes, "siteAt" | "home">, origin: string, landing: string): string {
  const { path } = cutTarget(landing, 0);
  return routeFor(routes.siteAt(origin) ?? routes.home, path) === undefined ? START_PATH : landing;
}

/** `//host`, and whatever a further decoding by some later hop could turn into it. */
function leavesHost(path: string): boolean {
  let text = cutTarget(path, 0).path;
  for (let round = 0; round < 4; round++) {
    // Slashes and blanks of other scripts are folded by some parsers (UTS #46 maps U+FF0F to a slash).
    const folded = text.normalize("NFKC").replace(/[\p{Cc}\p{Z}]/gu, "");
    if (/^\/[/\\]/.test(folded) || /^[/\\]*[a-z][a-z0-9+.-]*:[/\\]/i.test(folded)) return true;
    const decoded = decodeAll(text);
    if (decoded === text) return false;
    text = decoded;
  }
  return true;
}

/** Unlike `decodeURIComponent`, does not give up on the whole for one sequence that is not UTF-8. */
function decodeAll(text: string): string {
  return text.replace(/(?:%[0-9a-f]{2})+/gi, (escaped) =>
    Buffer.from(escaped.replaceAll("%", ""), "hex").toString("utf8"),
  );
}
