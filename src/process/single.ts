import type { Configuration } from "../config/configuration.ts";
import { handlersOf } from "../server.ts";
import { composeGateway, type Resources } from "./compose.ts";
import { guardDescriptors } from "./descriptors.ts";
import { bindAll } from "./listener.ts";
import type { Serving } from "./serving.ts";

/** For whoever has connected and is about to send a request. */
const QUIET_MS = 1_000;
/** How often a server that stops is looked at: it does not tell when its last request is done. */
const LOOK_MS = 50;

/**
 * One process that serves, by itself or as one of several workers. A reload puts another gateway behind the port that is open.
 * @throws if the address may not be bound.
 */
export function serveSingle(configuration: Configuration, resources: Resources): Serving {
  const { options } = configuration;
  let gateway = composeGateway(configuration, resources);
  const bound = bindAll(gateway, options);
  const closeIdleConnections = () =>
    bound.reduce((sum, { server }) => sum + server.closeIdleConnections(), 0);
  const descriptors = guardDescriptors({ closeIdleConnections }, resources.loggers("main"));
  gateway.start();
  const { promise: cut, resolve: cutOff } = Promise.withResolvers<void>();
  let ended: Promise<void> | undefined;

  type Handlers = ReturnType<typeof handlersOf>;
  function use(made = (handlers: Handlers) => handlers): void {
    for (const { server, answering } of bound) {
      server.reload(made(handlersOf(gateway, answering)) as Parameters<typeof server.reload>[0]);
    }
  }

  async function drain(): Promise<void> {
    for (const { release } of bound) release();
    descriptors.stop();
    const drained = Promise.all(bound.map(({ server }) => server.stop()));
    // WebSockets and event streams have no end of their own to wait for.
    gateway.live.closeAll("shutdown");
    await Promise.race([drained, cut, answered()]);
    await Promise.all(bound.map(({ server }) => server.stop(true)));
    await gateway.stop();
  }

  /**
   * Until nobody has been served for a moment. `server.stop()` waits for connections too on which nothing was ever asked
   * for, and browsers keep some in stock. What was answered is the system's by then, and arrives whole.
   */
  async function answered(): Promise<void> {
    for (let quiet = 0; quiet < QUIET_MS; quiet += LOOK_MS) {
      await Bun.sleep(LOOK_MS);
      if (bound.some(({ server }) => server.pendingRequests + server.pendingWebSockets > 0)) quiet = 0;
    }
  }

  return {
    get gateway() {
      return gateway;
    },

    async reload(next, compose, loggers) {
      const before = gateway;
      gateway = compose(next, { ...resources, loggers, live: before.live });
      use();
      gateway.start();
      // Not all of it: its requests under way have their deadlines, and what is open is the next one's by now.
      await before.senders.stop();
    },

    retire() {
      use(({ fetch, ...others }) => ({
        ...others,
        async fetch(request, socket) {
          const response = await fetch(request, socket);
          // RFC 9112 §9.6: the last one on this connection.
          response?.headers.set("Connection", "close");
          return response;
        },
      }));
      // Mail and hooks are left to who takes over.
      void gateway.senders.stop();
    },

    resume() {
      use();
      gateway.senders.start();
    },

    healthy: () => true,

    stop(withinMs) {
      setTimeout(cutOff, withinMs).unref();
      ended ??= drain();
      return { closed: Promise.resolve(), ended };
    },
  };
}
