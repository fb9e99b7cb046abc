import type { Configuration } from "../config/configuration.ts";
import { type Compose, composeGateway, type Resources } from "./compose.ts";
import { openInstance } from "./instance.ts";
import { REPLACED_DRAIN_MS, type Serving } from "./serving.ts";

/**
 * One process that does everything itself. A reload puts a new gateway behind the port that is open.
 * @throws if the address may not be bound.
 */
export function serveSingle(configuration: Configuration, resources: Resources): Serving {
  const { options } = configuration;
  // A successor listens on the same address for a moment.
  const shared = options.listen.kind === "tcp";
  const instance = openInstance(
    composeGateway(configuration, resources),
    options,
    shared,
    resources.loggers("main"),
  );
  return {
    get gateway() {
      return instance.gateway;
    },
    reload: (next: Configuration, compose: Compose, loggers) =>
      instance.swap(compose(next, { ...resources, loggers, live: instance.gateway.live })),
    retire: instance.retire,
    resume: instance.resume,
    // The socket is closed at once; requests may go on.
    close: async () => void instance.stop(REPLACED_DRAIN_MS),
    healthy: () => true,
    stop: instance.stop,
  };
}
