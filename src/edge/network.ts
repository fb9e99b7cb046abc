import ipaddr from "ipaddr.js";
import type { Network } from "../config/types.ts";

/** IP addresses in their one normal form, and the networks they are in. */

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

export function isInNetworks(address: IpAddress, networks: readonly Network[]): boolean {
  return networks.some((network) => isInNetwork(address.bytes, network));
}

function isInNetwork(bytes: readonly number[], network: Network): boolean {
  if (bytes.length !== network.bytes.length) return false;
  for (let bit = 0; bit < network.prefix; bit += 8) {
    const index = bit >> 3;
    const mask = network.prefix - bit >= 8 ? 0xff : 0xff & (0xff << (8 - (network.prefix - bit)));
    if (((bytes[index] ?? 0) & mask) !== ((network.bytes[index] ?? 0) & mask)) return false;
  }
  return true;
}

/** What limits are counted on: an IPv4 address, or the /64 of an IPv6 one, which is what one customer is given. */
export function limitKeyOf(address: IpAddress): string {
  if (address.bytes.length === 4) return address.text;
  const groups: string[] = [];
  for (let index = 0; index < 8; index += 2) {
    groups.push((((address.bytes[index] ?? 0) << 8) | (address.bytes[index + 1] ?? 0)).toString(16));
  }
  return `${groups.join(":")}::/64`;
}
