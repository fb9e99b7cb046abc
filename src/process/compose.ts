import type { LiveConnections } from "../access/live.ts";
import { systemClock, systemRandom } from "../clock.ts";
import type { Configuration } from "../config/configuration.ts";
import { createBackends } from "../mail/backends.ts";
import { createFallback } from "../mail/fallback.ts";
import type { Mailbox } from "../mail/mailbox.ts";
import type { ProcessMetrics } from "../metrics/metrics.ts";
import type { LoggerFor } from "../observe/logger.ts";
import { createGateway, type Gateway } from "../server.ts";
import type { Store } from "../store/store.ts";

/** What a gateway is made with, beside its configuration: in a process by itself, a supervisor or a worker. */
export type Resources = {
  readonly stores: Store;
  readonly mailbox: Mailbox;
  readonly loggers: LoggerFor;
  /** What the process measures. */
  readonly measured: ProcessMetrics;
  /** What is open at the gateway that this one replaces, if it replaces one. */
  readonly live?: LiveConnections;
};

export type Compose = (configuration: Configuration, resources: Resources) => Gateway;

export const composeGateway: Compose = ({ options, email, routesFile, clients }, resources) => {
  const { stores, mailbox, loggers, measured, live } = resources;
  return createGateway({
    options,
    email,
    routesFile,
    clients,
    mailer:
      email === undefined
        ? mailbox
        : createFallback(createBackends(email, systemClock), systemClock, loggers("mail")),
    mailbox: email === undefined ? mailbox : undefined,
    stores,
    clock: systemClock,
    random: systemRandom,
    loggers,
    measured,
    live,
  });
};
