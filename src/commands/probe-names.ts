import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { isWildcard, orderedNames } from "../certificates/names.ts";
import type { Configuration } from "../config/configuration.ts";
import { messageOf } from "../observe/message-of.ts";
import { SECOND } from "../option/values.ts";
import { hostsOf } from "../process/hosts.ts";
import { httpAddressOf } from "../process/listener.ts";
import type { ProbeResult } from "./probe.ts";

/** Whether an authority would find this installation by its names: where they lead, and what answers on port 80 there. */

const WITHIN_MS = 5 * SECOND;
const HTTP_PORT = 80;

/** The world, which tests replace. */
export type Outside = {
  /** The addresses of a name. @throws for one that has none */
  readonly addressesOf: (name: string) => Promise<readonly string[]>;
  readonly port: number;
};

const OUTSIDE: Outside = {
  addressesOf: async (name) => (await lookup(name, { all: true })).map(({ address }) => address),
  port: HTTP_PORT,
};

/** @returns undefined where no certificate is ordered. */
export async function probeNames(
  configuration: Pick<Configuration, "options" | "routesFile">,
  outside = OUTSIDE,
): Promise<ProbeResult | undefined> {
  const { options } = configuration;
  const { tls, baseUrl, acmeDnsHook, acmeWildcards } = options;
  // Where the hook does it all, no authority comes here.
  if (tls !== "acme" || (acmeDnsHook !== undefined && httpAddressOf(options) === undefined)) return undefined;
  const { port } = new URL(baseUrl);
  const https = (name: string) => `https://${name}${port === "" ? "" : `:${port}`}/`;
  const names = orderedNames(hostsOf(configuration), acmeWildcards).filter((name) => !isWildcard(name));
  const found = await Promise.all(names.map((name) => probe(name, https(name), outside)));
  return { ok: found.every(({ ok }) => ok), lines: found.flatMap(({ lines }) => lines) };
}

async function probe(name: string, https: string, { addressesOf, port }: Outside): Promise<ProbeResult> {
  let addresses: readonly string[];
  try {
    addresses = await addressesOf(name);
  } catch (error) {
    return { ok: false, lines: [`${name} leads nowhere (${messageOf(error)}): add an A or AAAA record.`] };
  }
  const problems = await Promise.all(addresses.map((address) => problemAt(address, port, name, https)));
  const lines = problems.map(
    (problem, i) => `${name} leads to ${addresses[i]}: ${problem ?? `this answers on port ${port} there.`}`,
  );
  return { ok: problems.every((problem) => problem === undefined), lines };
}

/** That plain http leads to the same host over https is what Runegate answers, and hardly anybody else would by chance. */
async function problemAt(address: string, port: number, name: string, https: string) {
  const host = isIP(address) === 6 ? `[${address}]` : address;
  try {
    const answer = await fetch(`http://${host}:${port}/`, {
      ...{ headers: { Host: name }, redirect: "manual", keepalive: false, proxy: false },
      signal: AbortSignal.timeout(WITHIN_MS),
    });
    await answer.body?.cancel();
    if (answer.status === 308 && answer.headers.get("location") === https) return undefined;
    return `something else answers on port ${port} (status ${answer.status}). Is the record right, and nothing in front?`;
  } catch (error) {
    const reason = error instanceof Error && "code" in error ? String(error.code) : messageOf(error);
    return `nothing answers on port ${port} (${reason}). Does Runegate run there, and lets the firewall the port through?`;
  }
}
