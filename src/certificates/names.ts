import { parseIp } from "../net/ip.ts";
import { isLoopbackHost } from "../net/loopback.ts";
import type { TlsOptions } from "./options.ts";

/** The names that certificates are ordered for. */

export const isWildcard = (name: string): boolean => name.startsWith("*.");

/**
 * A wildcard is for every name of one more label (RFC 6125 §6.4.3): such a host needs no certificate of its own.
 * @param hosts that are answered; the first stays the first.
 * @param wildcards that the operator wants, whether or not they are hosts.
 */
export function orderedNames(hosts: readonly string[], wildcards: readonly string[]): readonly string[] {
  const all = new Set([...wildcards, ...hosts.filter(isWildcard)]);
  const covered = hosts.map((host) => {
    const wildcard = host.replace(/^[^.]+/, "*");
    return all.has(wildcard) ? wildcard : host;
  });
  return [...new Set([...covered, ...all])];
}

/** @throws {Error} in words for the operator, for a name that no authority gives a certificate for, or not by the way there is */
export function namesToOrder(
  hosts: readonly string[],
  { acmeWildcards, acmeDnsHook }: Pick<TlsOptions, "acmeWildcards" | "acmeDnsHook">,
): readonly string[] {
  const names = orderedNames(hosts, acmeWildcards);
  for (const name of names) {
    if (parseIp(name) !== undefined || isLoopbackHost(name))
      throw new Error(`no certificate can be ordered for ${name}: use RUNEGATE_TLS=files for it`);
    if (isWildcard(name) && acmeDnsHook === undefined)
      throw new Error(
        `no certificate can be ordered for ${name} over http: set RUNEGATE_ACME_DNS_HOOK, or use RUNEGATE_TLS=files for it`,
      );
  }
  return names;
}
