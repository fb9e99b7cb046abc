import { BINDINGS, binding } from "../access/binding.ts";
import { type Domain, parseDomain } from "../identity/address.ts";
import { explained } from "../identity/values.ts";
import { type Declaration, type OptionsOf, unset } from "../option/option.ts";
import { quote, ValueError } from "../option/value-error.ts";
import { choice, DAY, duration, SECOND } from "../option/values.ts";

export type SessionOptions = OptionsOf<typeof SESSION_OPTIONS>;

/** Browsers keep no cookie longer (RFC 6265bis §5.5). */
const LONGEST_COOKIE = 400 * DAY;

const REMEMBER = ["always", "ask"] as const;

export const SESSION_OPTIONS = {
  /** Milliseconds, as is the next. */
  sessionTtl: {
    name: "RUNEGATE_SESSION_TTL",
    parse: duration("s", SECOND, LONGEST_COOKIE),
    default: "14d",
    basic: true,
    help: "How long a session lasts at most; a plain number is seconds.",
  },
  sessionIdle: {
    name: "RUNEGATE_SESSION_IDLE",
    parse: duration("s", SECOND, LONGEST_COOKIE),
    default: "3d",
    help: "How long a session lasts without use; a plain number is seconds.",
  },
  sessionBind: {
    name: "RUNEGATE_SESSION_BIND",
    parse: binding,
    default: "none",
    help:
      "Where a session must come from to count: `agent` from the same browser and system, `network` from the same /24 (IPv6: " +
      "/48), or both. Phones change networks all the time.",
    words: BINDINGS,
  },
  remember: {
    name: "RUNEGATE_REMEMBER",
    parse: choice(...REMEMBER),
    default: "always",
    help:
      "Whether browsers are kept signed in: `always`, or `ask` by a check box. Where it is left unchecked, a session ends with " +
      "the browser, and after 12 hours at the latest.",
    words: REMEMBER,
  },
  sessionCookieName: {
    name: "RUNEGATE_SESSION_COOKIE_NAME",
    parse: cookieName,
    default: "runegate_id",
    help: "Name of the session cookie; the rules of a `__Host-` or `__Secure-` prefix are enforced.",
  },
  cookieDomain: {
    name: "RUNEGATE_COOKIE_DOMAIN",
    parse: cookieDomain,
    default: unset("unset: host-only"),
    help: "Sends the session cookie to this domain and all under it.",
  },
} satisfies Declaration;

/** RFC 6265 §4.1.1 `cookie-name`, a token of RFC 9110 §5.6.2. */
export function cookieName(text: string): string {
  if (/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}$/.test(text)) return text;
  throw new ValueError(
    `is not a cookie name: ${quote(text)}`,
    "Write 1 to 64 letters, digits, hyphens or underscores.",
  );
}

/** RFC 6265 §4.1.2.3 `domain-value`. A leading dot means nothing there and is dropped. */
export function cookieDomain(text: string): Domain {
  const remedy = "Write a domain with at least two labels, such as example.org, or leave the option out.";
  const domain = explained(parseDomain, text.replace(/^\./, ""), `is not a domain: ${quote(text)}`, remedy);
  if (domain.includes(".")) return domain;
  throw new ValueError(`is a domain browsers set no cookie for: ${quote(text)}`, remedy);
}
