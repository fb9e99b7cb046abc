import { systemClock, systemRandom } from "../clock.ts";
import type { Configuration } from "../config/configuration.ts";
import type { Mailbox } from "../mail/mailbox.ts";
import { createSmtpMailer } from "../mail/smtp.ts";
import type { LoggerFor } from "../observe/logger.ts";
import { createGateway, type Gateway } from "../server.ts";
import type { LiveConnections } from "../session/live.ts";
import type { Store } from "../store/store.ts";

/** What a gateway is made with, beside its configuration: in a process by itself, a supervisor or a worker. */
export type Parts = {
  readonly stores: Store;
  readonly mailbox: Mailbox;
  readonly loggers: LoggerFor;
  /** What is open at the gateway whose place this one takes, if it takes one. */
  readonly live?: LiveConnections;
};

export type Compose = (configuration: Configuration, parts: Parts) => Gateway;

export const composeGateway: Compose = ({ options, email }, parts) => {
  const { stores, mailbox, loggers, live } = parts;
  return createGateway({
    options,
    email,
    mailer: email === undefined ? mailbox : createSmtpMailer(email),
    mailbox: email === undefined ? mailbox : undefined,
    stores,
    clock: systemClock,
    random: systemRandom,
    loggers,
    ...(live === undefined ? {} : { live }),
  });
};
