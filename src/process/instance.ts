import type { Server } from "bun";
import type { ListenAddress } from "../config/types.ts";
import type { TunnelData } from "../proxy/tunnel.ts";
import { type Gateway, handlersOf, listen } from "../server.ts";

/** A gateway behind its address, in this process. */
export type Instance = {
  readonly gateway: Gateway;
  /** Puts another gateway behind the same address. What the old one has open is closed: it would outlive its session. */
  swap(gateway: Gateway): Promise<void>;
  /** Makes clients that keep their connection open a new one, for which there is another process. */
  retire(): void;
  /**
   * Closes the address at once, closes WebSockets and event streams, and lets requests finish.
   * @returns when all have, or when they have had 10 seconds.
   */
  stop(): Promise<void>;
};

/** Requests under way may take this long after the order to stop. */
const DRAIN_MS = 10_000;

/**
 * @param shared whether other processes listen on the same address, now or when they take over.
 * @throws if the address is in use or may not be bound.
 */
export function openInstance(first: Gateway, address: ListenAddress, shared: boolean): Instance {
  let gateway = first;
  const server: Server<TunnelData> = listen(gateway, address, shared);
  gateway.start();

  function use(handlers: ReturnType<typeof handlersOf>): void {
    server.reload(handlers as Parameters<typeof server.reload>[0]);
  }

  return {
    get gateway() {
      return gateway;
    },

    async swap(next) {
      const before = gateway;
      gateway = next;
      use(handlersOf(next));
      next.start();
      before.live.closeAll("shutdown");
      await before.stop();
    },

    retire() {
      const { fetch, ...others } = handlersOf(gateway);
      use({
        ...others,
        async fetch(request, socket) {
          const response = await fetch(request, socket);
          // RFC 9112 §9.6: the last one on this connection.
          response?.headers.set("Connection", "close");
          return response;
        },
      });
    },

    async stop() {
      const drained = server.stop();
      const late = new Promise<void>((resolve) => setTimeout(resolve, DRAIN_MS).unref());
      // WebSockets and event streams have no end of their own to wait for.
      gateway.live.closeAll("shutdown");
      await Promise.race([drained, late]);
      await server.stop(true);
      await gateway.stop();
    },
  };
}

/**
 * Finds out whether an address is free for us alone. Processes that share a port do not notice a stranger's that shares it
 * too, and every other request would go there.
 * @throws as listening there would.
 */
export function claimAddress(address: ListenAddress): void {
  if (address.kind === "unix" || address.port === 0) return;
  const { hostname, port } = address;
  Bun.listen({ hostname, port, exclusive: true, socket: { data() {} } }).stop(true);
}
