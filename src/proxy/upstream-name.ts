import type { Client } from "../edge/client.ts";
import type { EdgeOptions } from "../edge/options.ts";
import type { TargetAddress } from "../net/endpoint.ts";
import type { ProxyOptions } from "./options.ts";

/**
 * The name an application is addressed by where that is not the public one (`RUNEGATE_HOST_HEADER`), and what has to be
 * translated with it: an application that compares `Origin` or `Referer` with `Host` would otherwise refuse its own pages, and
 * one that redirects to a whole URL would send browsers to an address that only Runegate reaches.
 */
export type UpstreamName = {
  /** For `Host`. */
  readonly host: string;
  /** What the application takes for its own origin. */
  readonly origin: string;
  readonly publicOrigin: string;
};

/** What request paths are appended to; for a unix socket the host in it is a mere name. */
export function originOf(target: TargetAddress): string {
  return target.kind === "tcp" ? target.origin : "http://localhost";
}

/** @returns undefined where the application gets the `Host` that the browser sent. */
export function upstreamName(
  options: Pick<ProxyOptions, "hostHeader" | "target"> & Pick<EdgeOptions, "baseUrl">,
): UpstreamName | undefined {
  const { hostHeader, target, baseUrl } = options;
  if (hostHeader === "pass") return undefined;
  const { protocol, host } = new URL(originOf(target));
  const name = hostHeader === "target" ? host : hostHeader.name;
  return { host: name, origin: `${protocol}//${name}`, publicOrigin: baseUrl };
}

/**
 * Only of pages that are this host's own: a foreign page stays foreign to the application. That goes for those too which have the
 * name that the application is addressed by, on the visitor's own machine or in a network that they are in.
 */
export function translateOrigin(headers: Headers, client: Client, name: UpstreamName): void {
  const own = [name.publicOrigin, `${client.proto}://${client.host}`];
  const origin = headers.get("origin");
  if (origin !== null && own.includes(origin)) headers.set("origin", name.origin);
  else if (origin !== null && isUnderName(origin, name)) headers.set("origin", "null");
  const referer = headers.get("referer");
  if (referer === null) return;
  const page = own.find((one) => referer.startsWith(`${one}/`));
  if (page !== undefined) headers.set("referer", name.origin + referer.slice(page.length));
  else if (isUnderName(referer, name)) headers.delete("referer");
}

/** Whatever the scheme: applications mostly compare with `Host`, which has none. */
function isUnderName(url: string, { host, origin }: UpstreamName): boolean {
  const asked = URL.parse(url)?.host;
  return asked !== undefined && (asked === host.toLowerCase() || asked === new URL(origin).host);
}

/**
 * A redirect (or the place of something new, RFC 9110 §10.2.2) under the application's name becomes one under the public one.
 * @param publicOrigin of the host that was asked.
 * @returns what to send, or undefined if it can go as it is.
 */
export function translateLocation(
  location: string,
  name: UpstreamName,
  publicOrigin = name.publicOrigin,
): string | undefined {
  const [, host, rest = ""] = /^(?:https?:)?\/\/([^/?#\\]*)(.*)$/is.exec(location) ?? [];
  // The path is never sent alone: one that begins with two slashes would lead to another host.
  return host?.toLowerCase() === name.host.toLowerCase() ? publicOrigin + rest : undefined;
}
