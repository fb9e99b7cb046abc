import type { Server } from "bun";
import type { Pair } from "../certificates/pair.ts";
import type { Options } from "../config/options.ts";
import type { ListenAddress } from "../net/endpoint.ts";
import { bindUnixSocket, removeStaleSocket } from "../net/unix-socket.ts";
import type { TunnelData } from "../proxy/tunnel.ts";
import { type Answering, type Gateway, listen } from "../server.ts";

export type Bound = {
  readonly server: Server<TunnelData>;
  readonly answering: Answering;
  release(): void;
};

/**
 * Binds a gateway to its addresses, where other processes may listen too: workers, and a successor for a moment.
 * @param tls certificates to speak TLS with, if it does.
 * @throws if one of them may not be bound; then it listens at none.
 */
export function bindAll(gateway: Gateway, options: Options, tls: readonly Pair[]): readonly Bound[] {
  const bound: Bound[] = [];
  try {
    for (const [address, answering] of addressesOf(options)) {
      bound.push({ answering, ...bind(gateway, address, answering, options, tls) });
    }
    return bound;
  } catch (error) {
    for (const { server, release } of bound) {
      release();
      void server.stop(true);
    }
    throw error;
  }
}

/** Where it listens, and what for. */
export function addressesOf({
  listen,
  checkListen,
}: Pick<Options, "listen" | "checkListen">): (readonly [ListenAddress, Answering])[] {
  return [[listen, "all"], ...(checkListen === undefined ? [] : [[checkListen, "checks"] as const])];
}

/** Where plain http is answered; undefined where it is not. */
export function httpAddressOf({
  tls,
  listen,
  httpListen,
}: Pick<Options, "tls" | "listen" | "httpListen">): ListenAddress | undefined {
  if (tls === "off" || httpListen === "off") return undefined;
  if (httpListen !== undefined) return httpListen;
  return listen.kind === "tcp" && listen.port === 443 ? { ...listen, port: 80 } : undefined;
}

function bind(
  gateway: Gateway,
  address: ListenAddress,
  answering: Answering,
  { listenMode: mode, listenGroup: group }: Options,
  tls: readonly Pair[],
): Pick<Bound, "server" | "release"> {
  if (address.kind === "tcp") {
    // Edges ask on a network of their own, in plain http.
    const pairs = answering === "all" ? tls : [];
    return { server: listen(gateway, address, true, answering, pairs), release() {} };
  }
  return bindUnixSocket(address.path, { mode, group }, (path) =>
    listen(gateway, { kind: "unix", path }, false, answering),
  );
}

/**
 * Finds out whether an address is free for us alone, and makes it free of what a killed process has left there. Processes that
 * share a port do not notice a stranger's that shares it too, and every other request would go there.
 * @throws as listening there would.
 */
export async function claimAddress(address: ListenAddress): Promise<void> {
  if (address.kind === "unix") return removeStaleSocket(address.path);
  if (address.port === 0) return;
  const { hostname, port } = address;
  Bun.listen({ hostname, port, exclusive: true, socket: { data() {} } }).stop(true);
}

/** As people write it. */
export function describeListen(address: ListenAddress): string {
  if (address.kind === "unix") return `unix:${address.path}`;
  const host = address.hostname.includes(":") ? `[${address.hostname}]` : address.hostname;
  return `${host}:${address.port}`;
}
