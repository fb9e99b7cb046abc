import type { Server } from "bun";
import type { Options } from "../config/options.ts";
import type { ListenAddress } from "../net/endpoint.ts";
import { bindUnixSocket, removeStaleSocket } from "../net/unix-socket.ts";
import type { Logger } from "../observe/logger.ts";
import type { TunnelData } from "../proxy/tunnel.ts";
import { type Gateway, handlersOf, listen } from "../server.ts";
import { guardDescriptors } from "./descriptors.ts";

/** For whoever has connected and is about to send a request. */
const QUIET_MS = 1_000;
/** How often a server that stops is looked at: it does not tell when its last request is done. */
const LOOK_MS = 50;

/** A gateway behind its address, in this process. */
export type Instance = {
  readonly gateway: Gateway;
  /**
   * Puts another gateway behind the same address. Requests under way end at the old one.
   * @param gateway made with the `live` of the one there is.
   */
  swap(gateway: Gateway): Promise<void>;
  /** Makes clients that keep their connection open a new one, for which there is another process, and leaves mail to it. */
  retire(): void;
  /** Takes that back. */
  resume(): void;
  /**
   * Closes the address at once, closes WebSockets and event streams, and lets requests finish. Called again, it may give
   * them less time.
   * @param withinMs what is under way after that is cut.
   */
  stop(withinMs: number): Promise<void>;
};

export type ListenOptions = Pick<Options, "listen" | "listenMode" | "listenGroup">;

/**
 * @param shared whether other processes listen on the same address, now or when they take over.
 * @throws if the address is in use or may not be bound.
 */
export function openInstance(first: Gateway, options: ListenOptions, shared: boolean, log: Logger): Instance {
  let gateway = first;
  const { server, release } = bind(gateway, options, shared);
  const descriptors = guardDescriptors(server, log);
  gateway.start();
  const { promise: cut, resolve: cutOff } = Promise.withResolvers<void>();
  let stopped: Promise<void> | undefined;

  function use(handlers: ReturnType<typeof handlersOf>): void {
    server.reload(handlers as Parameters<typeof server.reload>[0]);
  }

  async function drain(): Promise<void> {
    release();
    descriptors.stop();
    const drained = server.stop();
    // WebSockets and event streams have no end of their own to wait for.
    gateway.live.closeAll("shutdown");
    await Promise.race([drained, cut, answered()]);
    await server.stop(true);
    await gateway.stop();
  }

  /**
   * Until nobody has been served for a moment. `server.stop()` waits for connections too on which nothing was ever asked
   * for, and browsers keep some in stock. What was answered is the system's by then, and arrives whole.
   */
  async function answered(): Promise<void> {
    for (let quiet = 0; quiet < QUIET_MS; quiet += LOOK_MS) {
      await Bun.sleep(LOOK_MS);
      if (server.pendingRequests + server.pendingWebSockets > 0) quiet = 0;
    }
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
      // Not all of it: its requests under way have their deadlines, and what is open is the next one's by now.
      await before.outbox.stop();
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
      void gateway.outbox.stop();
    },

    resume() {
      use(handlersOf(gateway));
      gateway.outbox.start();
    },

    stop(withinMs) {
      setTimeout(cutOff, withinMs).unref();
      stopped ??= drain();
      return stopped;
    },
  };
}

function bind(
  gateway: Gateway,
  { listen: address, listenMode: mode, listenGroup: group }: ListenOptions,
  shared: boolean,
): { readonly server: Server<TunnelData>; release(): void } {
  if (address.kind === "tcp") return { server: listen(gateway, address, shared), release() {} };
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
