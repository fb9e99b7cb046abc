import { isHost } from "../edge/client.ts";
import type { RootPathsOption } from "../edge/root-paths.ts";
import { type Address, AddressError, type Domain, parseAddress, parseDomain } from "../identity/address.ts";
import { loginCookieName } from "../login/cookie.ts";
import { safeNext } from "../login/next.ts";
import { originUrl } from "../net/endpoint.ts";
import { quote, ValueError } from "../option/value-error.ts";
import { boolean, list } from "../option/values.ts";
import type { HostHeader } from "../proxy/upstream-name.ts";

/** Parsers for what browsers and people see: origins, cookies, paths, addresses. */

/** An http(s) origin, without a trailing slash. */
export function origin(text: string): string {
  return originUrl(text, "Write scheme and host only, such as https://app.example.org.").origin;
}

/** Origins, or `*` alone. */
export function origins(text: string): "*" | Set<string> {
  return text === "*" ? "*" : new Set(list(origin)(text));
}

/** RFC 6265 §4.1.1 `cookie-name`, a token of RFC 9110 §5.6.2. */
export function cookieName(text: string): string {
  if (text === loginCookieName(true) || text === loginCookieName(false)) {
    throw new ValueError(`is the name of the login cookie: ${quote(text)}`, "Choose another name.");
  }
  if (/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}$/.test(text)) return text;
  throw new ValueError(
    `is not a cookie name: ${quote(text)}`,
    "Write 1 to 64 letters, digits, hyphens or underscores.",
  );
}

/** RFC 6265 §4.1.2.3 `domain-value`. A leading dot means nothing there and is dropped. */
export function cookieDomain(text: string): Domain {
  const remedy = "Write a domain with at least two labels, such as example.org, or leave the option out.";
  let domain: Domain;
  try {
    domain = parseDomain(text.replace(/^\./, ""));
  } catch (error) {
    throw addressProblem(error, `is not a domain: ${quote(text)}`, remedy);
  }
  if (!domain.includes(".")) {
    throw new ValueError(`is a domain browsers set no cookie for: ${quote(text)}`, remedy);
  }
  return domain;
}

/** A path, with a query if need be, that may also be the `next` of a login. */
export function landingPath(text: string): string {
  const path = safeNext(text, "", () => false);
  if (path !== "") return path;
  throw new ValueError(
    `is not a plain path to the application on this host: ${quote(text)}`,
    "Write a path that starts with a single slash, such as /dashboard.",
  );
}

export function rootPaths(text: string): RootPathsOption {
  return text.toLowerCase() === "auto" ? "auto" : boolean(text);
}

export function hostHeader(text: string): HostHeader {
  if (text === "pass" || text === "target") return text;
  if (isHost(text)) return { name: text };
  throw new ValueError(
    `is neither \`pass\`, \`target\` nor a host name: ${quote(text)}`,
    "Write `target`, or a name such as localhost or app.internal:8080, without a scheme.",
  );
}

export function addresses(text: string): Set<Address> {
  return new Set(list(address)(text));
}

function address(text: string): Address {
  const remedy = /^\*?@/.test(text)
    ? "Whole domains go into RUNEGATE_ALLOWED_DOMAINS."
    : "Write plain addresses such as ada@example.org, separated by commas.";
  try {
    return parseAddress(text);
  } catch (error) {
    throw addressProblem(error, `has an entry that is no address: ${quote(text)}`, remedy);
  }
}

export function domains(text: string): Set<Domain> {
  return new Set(list(domain)(text));
}

function domain(text: string): Domain {
  const remedy = text.startsWith("*")
    ? "Domains are matched exactly: write each subdomain out."
    : "Write domains such as example.org, without an @, separated by commas.";
  try {
    return parseDomain(text);
  } catch (error) {
    throw addressProblem(error, `has an entry that is no domain: ${quote(text)}`, remedy);
  }
}

/** Anything but the address parser's own refusal is a bug and passes through. */
function addressProblem(error: unknown, problem: string, remedy: string): unknown {
  return error instanceof AddressError ? new ValueError(problem, `${error.message} ${remedy}`) : error;
}
