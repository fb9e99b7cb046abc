import { quote, ValueError } from "../option/value-error.ts";
import { list, socketPath } from "../option/values.ts";
import { type Network, networkOf, parseIp } from "./ip.ts";

export type ListenAddress =
  | { readonly kind: "tcp"; readonly hostname: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

/**
 * Where the application answers. `origin` has no trailing slash and is what request paths are appended to; `hostname`
 * has no brackets around an IPv6 address.
 */
export type TargetAddress =
  | {
      readonly kind: "tcp";
      readonly origin: string;
      readonly hostname: string;
      readonly port: number;
      readonly tls: boolean;
    }
  | { readonly kind: "unix"; readonly path: string }
  | TunnelAddress;

/** Behind a connector (`connect/`) that came by itself; `service` is one of several that it offers, or empty. */
export type TunnelAddress = { readonly kind: "tunnel"; readonly name: string; readonly service: string };

/** Of tunnels, and of what is behind them. Part of file names. */
export const TUNNEL_NAME = /^[a-z0-9](?:[a-z0-9-]{0,22}[a-z0-9])?$/;

/** Parsers for addresses of machines and services. */

const LISTEN_REMEDY = "Write address:port such as 127.0.0.1:7870 or [::1]:7870, or unix:/path/to/socket.";

/** A port alone, with or without its colon, is one of this machine and of nobody else's. */
function onThisMachine(text: string): string {
  return text.replace(/^:?(?=[0-9]{1,5}$)/, "127.0.0.1:");
}

/** Where to listen. Port 0 asks the system for a free one. */
export function listenAddress(text: string): ListenAddress {
  if (text.startsWith("unix:")) return { kind: "unix", path: unixPath(text) };
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):([0-9]{1,5})$/.exec(onThisMachine(text));
  if (match === null) throw new ValueError(`is not an address to listen on: ${quote(text)}`, LISTEN_REMEDY);
  const [, bracketed, bare, digits] = match;
  const hostname = bracketed ?? bare ?? "";
  const isIp = parseIp(hostname) !== undefined && hostname.includes(":") === (bracketed !== undefined);
  if (!isIp && bare !== "localhost") {
    throw new ValueError(`does not start with an IP address: ${quote(text)}`, LISTEN_REMEDY);
  }
  const port = Number(digits);
  if (port > 65535) throw new ValueError(`has a port over 65535: ${quote(text)}`, LISTEN_REMEDY);
  return { kind: "tcp", hostname, port };
}

const TARGET_REMEDY =
  "Write an origin such as http://127.0.0.1:7860, unix:/path/to/socket, or tunnel: and the name of a tunnel.";

/** Where the application answers: an http or https origin, a unix socket, or a tunnel. A host and a port alone are one of http. */
export function targetAddress(text: string): TargetAddress {
  if (text.startsWith("tunnel:")) return tunnelAddress(text);
  return directAddress(text);
}

/** As {@link targetAddress}, for what is not behind a tunnel. */
export function directAddress(text: string): Exclude<TargetAddress, TunnelAddress> {
  if (text.startsWith("unix:")) return { kind: "unix", path: unixPath(text) };
  // Port 443 is left to be said in full: there it may well be https.
  const whole = onThisMachine(text).replace(/^(?!https?:)(?=[^/?#@\\\s]+:(?!0*443$)[0-9]+$)/i, "http://");
  const url = originUrl(whole, TARGET_REMEDY);
  const tls = url.protocol === "https:";
  const port = url.port === "" ? (tls ? 443 : 80) : Number(url.port);
  return { kind: "tcp", origin: url.origin, hostname: url.hostname.replace(/^\[|\]$/g, ""), port, tls };
}

/** `tunnel:home`, or `tunnel:home/grafana` for one of several that the connector offers. */
function tunnelAddress(text: string): TunnelAddress {
  const [name = "", service, ...rest] = text.slice("tunnel:".length).split("/");
  const isGood = TUNNEL_NAME.test(name) && (service === undefined || TUNNEL_NAME.test(service));
  if (isGood && rest.length === 0) return { kind: "tunnel", name, service: service ?? "" };
  throw new ValueError(
    `names no tunnel: ${quote(text)}`,
    "Write tunnel:home, or tunnel:home/grafana; names have up to 24 lower-case letters, digits and hyphens.",
  );
}

/** As people write it. */
export function describeTarget(address: TargetAddress): string {
  if (address.kind === "tunnel")
    return `tunnel:${address.name}${address.service === "" ? "" : `/${address.service}`}`;
  return address.kind === "unix" ? `unix:${address.path}` : address.origin;
}

/** A target of a route, and the path that is put before those of requests: empty, or without a slash at its end. */
export type BasedTarget = { readonly address: TargetAddress; readonly basePath: string };

/** As {@link targetAddress}, for what may end in a path: `http://10.0.0.2:3000/grafana`. */
export function basedTarget(text: string): BasedTarget {
  const [, origin = text, path = ""] = /^(https?:\/\/[^/?#\\\s]+)(\/[^?#\\\s]*)?$/i.exec(text) ?? [];
  const address = targetAddress(origin);
  const basePath = path.replace(/\/+$/, "");
  if (new URL(`http://host${basePath}/`).pathname === `${basePath}/`) return { address, basePath };
  throw new ValueError(`has a path that is not in its normal form: ${quote(text)}`, TARGET_REMEDY);
}

/** `unix:/path`, also in its URL spelling `unix:///path`. */
function unixPath(text: string): string {
  return socketPath(text.slice("unix:".length).replace(/^\/\/\//, "/"));
}

/**
 * The URL of a text that is an http(s) origin and nothing more; a single trailing slash is let through.
 * The raw text is checked first because the URL parser repairs what should be refused: backslashes, tabs, missing slashes.
 */
export function originUrl(text: string, remedy: string): URL {
  if (text.includes("@")) throw new ValueError("contains a user name or a password", remedy);
  if (!/^https?:\/\//i.test(text))
    throw new ValueError(`is not an http or https URL: ${quote(text)}`, remedy);
  if (!/^https?:\/\/[^/?#\\\s]+\/?$/i.test(text)) {
    throw new ValueError(`has a path, a query or a stray character: ${quote(text)}`, remedy);
  }
  const url = URL.parse(text);
  if (url === null || url.port === "0") throw new ValueError(`is not a valid URL: ${quote(text)}`, remedy);
  return url;
}

/** A list of networks in CIDR notation; an address alone is a network of one. */
export function networks(text: string): Network[] {
  return list(network)(text);
}

function network(text: string): Network {
  const remedy = "Write networks such as 10.0.0.0/8, fd00::/8 or 192.0.2.7, separated by commas.";
  const slash = text.indexOf("/");
  const host = slash === -1 ? text : text.slice(0, slash);
  const address = parseIp(host);
  if (address === undefined) throw new ValueError(`is not a network: ${quote(text)}`, remedy);
  const written = host.includes(":") ? 128 : 32;
  const digits = slash === -1 ? String(written) : text.slice(slash + 1);
  // An IPv4-mapped IPv6 network (RFC 4291 §2.5.5.2) has become an IPv4 one, and its prefix 96 bits shorter with it.
  const bits = address.bytes.length * 8;
  const prefix = /^[0-9]{1,3}$/.test(digits) ? Number(digits) - (written - bits) : -1;
  if (prefix < 0 || prefix > bits) {
    throw new ValueError(`has no prefix length from ${written - bits} to ${written}: ${quote(text)}`, remedy);
  }
  const whole = networkOf(address.bytes, prefix);
  if (whole.bytes.some((byte, index) => byte !== address.bytes[index])) {
    throw new ValueError(
      `has address bits beyond its prefix: ${quote(text)}`,
      `Write ${whole.text} for the whole network, or the address alone for one machine.`,
    );
  }
  return whole;
}
