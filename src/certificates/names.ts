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
