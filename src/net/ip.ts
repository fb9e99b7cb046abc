import ipaddr from "ipaddr.js";

/** IP addresses in their one normal form, and the networks they are in. */

/** A network in CIDR notation, the bytes of its first address, and the length of its prefix in bits. */
export type Network = { readonly text: string; readonly bytes: readonly number[]; readonly prefix: number };

/** Normal form of an address as text: IPv4 dotted, IPv6 as RFC 5952, an IPv4-mapped IPv6 address as its IPv4. */
export type IpAddress = { readonly text: string; readonly bytes: readonly number[] };

/**
 * Parses one address, without port, brackets or zone id.
 * @returns undefined for anything else, the octal and shortened spellings of IPv4 included.
 */
export function parseIp(text: string): IpAddress | undefined {
  // The package also reads `0177.1` and `1`, as inet_aton did; a forwarding header never means those.
  const four = ipaddr.IPv4.isValidFourPartDecimal(text);
  if (!four && !(text.includes(":") && !text.includes("%") && ipaddr.IPv6.isValid(text))) return undefined;
  const address = ipaddr.process(text);
  return { text: address.toString(), bytes: address.toByteArray() };
}

const PRIVATE: ReadonlySet<string> = new Set([
  "private",
  "loopback",
  "linkLocal",
  "uniqueLocal",
  "carrierGradeNat",
]);

/** Whether an address is one of networks that the internet does not reach (RFC 1918, RFC 4193, RFC 6598, this machine). */
export function isPrivate(text: string): boolean {
  const address = parseIp(text);
  return address !== undefined && PRIVATE.has(ipaddr.fromByteArray([...address.bytes]).range());
}

export function isInNetworks({ bytes }: IpAddress, networks: readonly Network[]): boolean {
  return networks.some(
    (network) =>
      network.bytes.length === bytes.length &&
      startOf(bytes, network.prefix).every((byte, index) => byte === network.bytes[index]),
  );
}

/** The network of this size that an address is in. */
export function networkOf(bytes: readonly number[], prefix: number): Network {
  const start = startOf(bytes, prefix);
  return { text: `${ipaddr.fromByteArray(start).toString()}/${prefix}`, bytes: start, prefix };
}

function startOf(bytes: readonly number[], prefix: number): number[] {
  return bytes.map((byte, index) => byte & (0xff00 >> Math.min(8, Math.max(0, prefix - index * 8))));
}

/**
 * Roughly where a client is: the /24 of an IPv4 address, the /48 of an IPv6 one. What is no address stands for itself.
 * @param ip in normal form.
 */
export function networkOfClient(ip: string): string {
  const bytes = parseIp(ip)?.bytes;
  return bytes === undefined ? ip : networkOf(bytes, bytes.length === 4 ? 24 : 48).text;
}

/**
 * Whom limits are counted on, narrowest first: an IPv4 address, or the networks an IPv6 one is in. One host is given a /64, a
 * household a /56, a company or the customer of a tunnel broker a /48, and whoever has one has all that is in it.
 * @param ip in normal form; what is no address stands for itself.
 */
export function limitKeysOf(ip: string): LimitKeys {
  const bytes = parseIp(ip)?.bytes;
  if (bytes?.length !== 16) return [ip];
  const within = (prefix: number) => networkOf(bytes, prefix).text;
  return [within(64), within(56), within(48)];
}

/** The narrowest, and for IPv6 the wider ones it is in. */
export type LimitKeys = readonly [narrowest: string, ...wider: string[]];
