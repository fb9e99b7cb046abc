import type { Configuration } from "../config/configuration.ts";
import type { Mailbox } from "../mail/mailbox.ts";
import type { LoggerFor } from "../observe/log.ts";
import type { Stores } from "../store/contracts.ts";
import type { Fleet } from "./fleet.ts";
import { openInstance } from "./instance.ts";
import { openLibc } from "./libc.ts";
import { composeGateway, REPLACED_DRAIN_MS } from "./parts.ts";
import { createPlaces, findListeningSocket, steer } from "./steering.ts";
import type { Holder } from "./take-out.ts";

/**
 * One process that does everything itself. A reload puts a new gateway behind the port that is open.
 * @throws if the address may not be bound.
 */
export function openAlone(
  configuration: Configuration,
  parts: {
    readonly stores: Stores;
    readonly mailbox: Mailbox;
    readonly loggers: LoggerFor;
  },
): Fleet {
  const { listen } = configuration.options;
  const instance = openInstance(composeGateway(configuration, parts), listen, listen.kind === "tcp");
  const self: Holder = {
    retire: () => instance.retire(),
    resume: () => instance.resume(),
    // The socket is closed at once; requests may go on.
    close: async () => void instance.stop(REPLACED_DRAIN_MS),
  };
  const places = createPlaces<Holder>();
  places.add(self);

  return {
    get gateway() {
      return instance.gateway;
    },
    places,
    holders: [self],
    async steer(where) {
      const libc = openLibc();
      if (libc === undefined || listen.kind !== "tcp" || !places.isKnown) return false;
      const socket = findListeningSocket(libc, listen.port);
      return socket !== undefined && steer(libc, socket, where);
    },
    reload: (next, compose, loggers) =>
      instance.swap(compose(next, { ...parts, loggers, live: instance.gateway.live })),
    undisturbed: (work) => work(),
    healthy: () => true,
    stop: (withinMs) => instance.stop(withinMs),
  };
}
