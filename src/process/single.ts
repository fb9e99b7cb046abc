import type { Pair } from "../certificates/pair.ts";
import type { Configuration } from "../config/configuration.ts";
import { handlersOf } from "../server.ts";
import { composeGateway, type Resources } from "./compose.ts";
import { guardDescriptors } from "./descriptors.ts";
import { type Bound, bindAll } from "./listener.ts";
import { RETIRE_MS, SENDING_MS, type Serving } from "./serving.ts";

/** For whoever has connected and is about to send a request. */
const QUIET_MS = 1_000;
/** For mail and hooks where requests took all the time there was. */
const MOMENT_MS = 2_000;
/** How often a server that stops is looked at: it does not tell when its last request is done. */
const LOOK_MS = 50;

/**
 * One process that serves, by itself or as one of several workers. A reload puts another gateway behind the port that is open.
 * @throws if the address may not be bound.
 */
export async function serveSingle(
  configuration: Configuration,
  resources: Resources,
  certificates: readonly Pair[] = [],
): Promise<Serving> {
  const { options } = configuration;
  let gateway = composeGateway(configuration, resources);
  await gateway.prepare();
  /** What new connections come to, and what those came to that are there still. */
  let bound = bindAll(gateway, options, certificates);
  const before = new Set<Bound>();
  const all = () => [...bound, ...before];
  const closeIdleConnections = () =>
    all().reduce((sum, { server }) => sum + server.closeIdleConnections(), 0);
  const descriptors = guardDescriptors({ closeIdleConnections }, resources.loggers("main"));
  gateway.start();
  const { promise: cut, resolve: cutOff } = Promise.withResolvers<void>();
  let ended: Promise<void> | undefined;

  type Handlers = ReturnType<typeof handlersOf>;
  function use(made = (handlers: Handlers) => handlers, by: Iterable<Bound> = all()): void {
    for (const { server, answering } of by) {
      server.reload(made(handlersOf(gateway, answering)) as Parameters<typeof server.reload>[0]);
    }
  }

  async function drain(): Promise<void> {
    const endsAt = performance.now() + SENDING_MS;
    for (const { release } of bound) release();
    descriptors.stop();
    const drained = Promise.all(all().map(({ server }) => server.stop()));
    // WebSockets and event streams have no end of their own to wait for.
    gateway.leave("stop");
    gateway.live.closeAll("shutdown");
    await Promise.race([drained, cut, answered()]);
    await Promise.all(all().map(({ server }) => server.stop(true)));
    await gateway.stop(Math.max(MOMENT_MS, endsAt - performance.now()));
  }

  /**
   * Until nobody has been served for a moment. `server.stop()` waits for connections too on which nothing was ever asked
   * for, and browsers keep some in stock. What was answered is the system's by then, and arrives whole.
   */
  async function answered(): Promise<void> {
    for (let quiet = 0; quiet < QUIET_MS; quiet += LOOK_MS) {
      await Bun.sleep(LOOK_MS);
      if (all().some(({ server }) => server.pendingRequests + server.pendingWebSockets > 0)) quiet = 0;
    }
  }

  /** The last answer on each connection: browsers make a new one then (RFC 9112 §9.6), and HTTP/2 is told by `stop`. */
  const closing = ({ fetch, ...others }: Handlers): Handlers => ({
    ...others,
    async fetch(request, socket) {
      const response = await fetch(request, socket);
      response?.headers.set("Connection", "close");
      return response;
    },
  });

  return {
    get gateway() {
      return gateway;
    },

    async reload(next, compose, loggers) {
      const before = gateway;
      const composed = compose(next, { ...resources, loggers, live: before.live });
      await composed.prepare();
      gateway = composed;
      use();
      gateway.start();
      await before.replaced();
      await before.closeAudit();
    },

    async certify(pairs) {
      // A listener keeps the certificates it began with, so another one takes its place on the same port.
      const leaving = bound.filter(
        ({ server, answering }) => answering === "all" && server.port !== undefined,
      );
      const staying = bound.filter((one) => !leaving.includes(one));
      const listen =
        options.listen.kind === "tcp" ? { ...options.listen, port: portOf(leaving) } : options.listen;
      bound = [...staying, ...bindAll(gateway, { ...options, listen, checkListen: undefined }, pairs)];
      for (const one of leaving) before.add(one);
      use(closing, leaving);
      await Bun.sleep(RETIRE_MS);
      for (const one of leaving) void one.server.stop().then(() => before.delete(one));
    },

    retire() {
      use(closing);
      gateway.leave("retire");
      // Mail and hooks are left to who takes over.
      void gateway.senders.stop();
    },

    resume() {
      use();
      gateway.leave("stay");
      gateway.senders.start();
    },

    measures: async () => [await gateway.metrics.measures(true)],

    healthy: () => true,

    stop(withinMs) {
      setTimeout(cutOff, withinMs).unref();
      ended ??= drain();
      return { closed: Promise.resolve(), ended };
    },
  };
}

/** Where port 0 was asked for, the one that was given. */
function portOf([first]: readonly Bound[]): number {
  return first?.server.port ?? 0;
}
