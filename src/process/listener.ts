import type { Server } from "bun";
import type { Options } from "../config/options.ts";
import type { ListenAddress } from "../net/endpoint.ts";
import { bindUnixSocket, removeStaleSocket } from "../net/unix-socket.ts";
import type { TunnelData } from "../proxy/tunnel.ts";
import { type Gateway, listen } from "../server.ts";

/** Binds a gateway to its address, where other processes may listen too: workers, and a successor for a moment. */
export function bind(
  gateway: Gateway,
  { listen: address, listenMode: mode, listenGroup: group }: Options,
): { readonly server: Server<TunnelData>; release(): void } {
  if (address.kind === "tcp") return { server: listen(gateway, address, true), release() {} };
  return bindUnixSocket(address.path, { mode, group }, (path) => listen(gateway, { kind: "unix", path }));
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
