import type { Clock } from "../clock.ts";
import type { Registry } from "../metrics/registry.ts";
import { SECOND } from "../option/values.ts";
import type { Pair } from "./pair.ts";

/** When the certificate of a name ends, in milliseconds since the Unix epoch; undefined for a name that has none yet. */
export type Expiry = readonly [name: string, until: number | undefined];

/** Of each name in the pairs: of the first pair that is for it, which is the one that is served. */
export function expiriesOf(pairs: readonly Pair[]): readonly Expiry[] {
  const found = new Map<string, number>();
  for (const { names, until } of pairs) for (const name of names) found.getOrInsert(name, until);
  return [...found];
}

/** Measures how long certificates are good for yet. */
export function measureCertificates(
  registry: Pick<Registry, "gauge">,
  expiries: () => readonly Expiry[],
  clock: Clock,
): void {
  registry.gauge(
    "runegate_certificate_expires_seconds",
    "Until the certificate of a host ends: below 0 once it has, and 0 where none has been ordered yet.",
    ["name"],
    () =>
      expiries().map(([name, until]) => [[name], until === undefined ? 0 : (until - clock.now()) / SECOND]),
    "main",
  );
}
