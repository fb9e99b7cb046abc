import { domainToASCII } from "node:url";
import { quote, ValueError } from "../option/value-error.ts";

/** Names of hosts, as `Host` carries them and as configuration writes them. */

/** A host and optional port (RFC 9110 §7.2), with nothing that could break out of a header or a URL. */
const HOST = /^(?:[a-z0-9_.-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?$/i;

/**
 * Whether a text can stand in `Host`. `Bun.serve` leaves a request target as it was sent, dot segments and all, where the host
 * is none that a URL parser takes (`1.2.3.400`, `a:99999`): the path would not be in the normal form that access is decided on.
 */
export function isHost(text: string): boolean {
  return HOST.test(text) && URL.canParse(`http://${text}/`);
}

/**
 * The one normal form of a host: lower case, IDNA in ASCII (RFC 5891), addresses as WHATWG writes them, without the dot of the root
 * and without a port that is its scheme's.
 * @param text `name` or `name:port`.
 * @returns undefined for what is no host.
 */
export function normalHost(text: string, scheme: "http" | "https" = "https"): string | undefined {
  // Asked before IDNA mapping, which would decode percent signs and cut at slashes.
  if (/[\s%/\\?#@]/.test(text)) return undefined;
  const [, name = "", port] = /^(\[[^\]]*\]|[^:]*)(?::([0-9]{1,5}))?$/.exec(text) ?? [];
  const ascii = name.startsWith("[") ? name : domainToASCII(name.replace(/\.$/, ""));
  const whole = port === undefined ? ascii : `${ascii}:${port}`;
  if (ascii === "" || !HOST.test(whole)) return undefined;
  return URL.parse(`${scheme}://${whole}`)?.host;
}

/** The `Host` that the application gets: the browser's, that of the target, or a fixed `name` (or `name:port`). */
export type HostHeader = "pass" | "target" | { readonly name: string };

export function hostHeader(text: string): HostHeader {
  if (text === "pass" || text === "target") return text;
  if (isHost(text)) return { name: text };
  throw new ValueError(
    `is neither \`pass\`, \`target\` nor a host name: ${quote(text)}`,
    "Write `target`, or a name such as localhost or app.internal:8080, without a scheme.",
  );
}
