import type { ListenAddress } from "../net/endpoint.ts";
import { isHost } from "../net/host.ts";
import type { Network } from "../net/ip.ts";
import { type IpAddress, isInNetworks, parseIp } from "../net/ip.ts";
import { remembering } from "../remembering.ts";

/**
 * Who is calling. The only reader of forwarding headers in the program; everybody else asks the `Client` made here,
 * once per request.
 */
export type Client = {
  /** The client's address in normal form; `"unix"` for a caller on a unix socket that named nobody. */
  readonly ip: string;
  /** How the browser reached the edge. */
  readonly proto: "http" | "https";
  /** `Host` as the browser sent it. */
  readonly host: string;
  /** For the application's `X-Forwarded-For`: what a trusted edge said plus the peer, or the peer alone. */
  readonly forwardedFor: string;
  /** Whether the peer is one of the trusted proxies, and so its forwarding headers mean something. */
  readonly peerTrusted: boolean;
  /** False where a header tells of a proxy that `ip` may not look behind: it is then perhaps the proxy's own address. */
  readonly ipIsCertain: boolean;
};

type Peer = { readonly ip: string; readonly trusted: boolean };

/**
 * Without the client's address, these tell of a proxy alone. So does `Connection: close`, which no browser sends: with nothing but
 * `proxy_pass`, nginx before 1.29.7 names nobody, calls itself by our own address in `Host`, and sends this.
 */
const FORWARDED_BESIDE = [
  "x-forwarded-proto",
  "x-forwarded-host",
  "x-forwarded-port",
  "x-forwarded-server",
] as const;

/** Traefik names the scheme of a WebSocket, which is a request like any other. */
const SECURE: ReadonlySet<string | undefined> = new Set(["https", "wss"]);

export type ClientReader = (
  headers: Readonly<Record<string, string>>,
  peerAddress: string | undefined,
) => Client | undefined;

/**
 * @param trusted peers that are believed about `X-Forwarded-For`, `-Proto` and `-Host` (CONTRACT section 8).
 * @param listener whether it listens on a unix socket, whose callers have no address.
 * @param secure whether it speaks TLS itself.
 * @returns a reader that gives undefined if the request carries no usable `Host` (RFC 9112 §3.2: answer 400), or comes
 * from a peer that is gone.
 */
export function createClientReader(
  trusted: readonly Network[],
  listener: ListenAddress["kind"],
  secure = false,
): ClientReader {
  const spoken = secure ? "https" : "http";
  const isUsable = remembering(isHost);
  const peerOf = (ip: IpAddress): Peer => ({ ip: ip.text, trusted: isInNetworks(ip, trusted) });
  const peerAt = remembering((text) => {
    const address = parseIp(text);
    return address === undefined ? { ip: text, trusted: false } : peerOf(address);
  });
  const hopAt = remembering((text) => {
    const address = parseHop(text);
    return address && peerOf(address);
  });
  // Whoever may open the unix socket was given that right by the file system. On TCP, a peer without an address is one
  // that has reset its connection already: nobody to believe, and nobody to answer.
  const peerWithoutAddress = listener === "unix" ? { ip: "unix", trusted: true } : undefined;

  /** The rightmost hop that is not a trusted proxy; an unparsable hop ends the walk at the last good one. */
  function walk(forwardedFor: string, peer: Peer): { ip: string; readable: boolean } {
    let { ip } = peer;
    const hops = forwardedFor.split(",");
    for (let index = hops.length - 1; index >= 0; index--) {
      const hop = hopAt(hops[index]?.trim() ?? "");
      if (hop === undefined) return { ip, readable: false };
      ip = hop.ip;
      if (!hop.trusted) break;
    }
    return { ip, readable: true };
  }

  return (headers, peerAddress) => {
    const { host } = headers;
    if (host === undefined || !isUsable(host)) return undefined;
    const peer = peerAddress === undefined ? peerWithoutAddress : peerAt(peerAddress);
    if (peer === undefined) return undefined;
    const forwardedFor = headers["x-forwarded-for"];
    const hasOtherSign =
      headers.forwarded !== undefined ||
      headers.via !== undefined ||
      headers["x-real-ip"] !== undefined ||
      headers.connection?.toLowerCase() === "close" ||
      (forwardedFor === undefined && FORWARDED_BESIDE.some((name) => headers[name] !== undefined));
    if (!peer.trusted) {
      return {
        ip: peer.ip,
        proto: spoken,
        host,
        forwardedFor: peer.ip,
        peerTrusted: false,
        ipIsCertain: !hasOtherSign && forwardedFor === undefined,
      };
    }
    const client = forwardedFor === undefined ? { ip: peer.ip, readable: true } : walk(forwardedFor, peer);
    const forwardedHost = lastOf(headers["x-forwarded-host"]);
    return {
      ip: client.ip,
      proto: SECURE.has(lastOf(headers["x-forwarded-proto"])?.toLowerCase()) ? "https" : spoken,
      host: forwardedHost !== undefined && isUsable(forwardedHost) ? forwardedHost : host,
      forwardedFor:
        forwardedFor === undefined || forwardedFor === "" ? peer.ip : `${forwardedFor}, ${peer.ip}`,
      peerTrusted: true,
      ipIsCertain: client.readable && !hasOtherSign,
    };
  };
}

/** One hop of `X-Forwarded-For`: an address, which some proxies send with a port (`1.2.3.4:5`, `[::1]:5`). */
function parseHop(hop: string): IpAddress | undefined {
  if (hop.startsWith("[")) {
    const bracketed = /^\[([^\]]+)\](?::[0-9]{1,5})?$/.exec(hop);
    return bracketed?.[1] === undefined ? undefined : parseIp(bracketed[1]);
  }
  const withPort = /^([0-9.]+):[0-9]{1,5}$/.exec(hop);
  return parseIp(withPort?.[1] ?? hop);
}

/** Of a list header, the value that the nearest proxy added. */
function lastOf(value: string | undefined): string | undefined {
  return value === undefined ? undefined : value.slice(value.lastIndexOf(",") + 1).trim();
}
