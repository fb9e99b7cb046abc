import { systemClock, systemRandom } from "../clock.ts";
import type { Configuration } from "../config/configuration.ts";
import type { ListenAddress, Options } from "../config/types.ts";
import { createOperator } from "../control/operator.ts";
import { startControl } from "../control/server.ts";
import type { Mailbox } from "../mail/mailbox.ts";
import { createSmtpMailer } from "../mail/smtp.ts";
import { createLoggers, type LoggerFor } from "../observe/log.ts";
import { messageOf } from "../observe/message-of.ts";
import { createSink } from "../observe/sink.ts";
import { createGateway, type Gateway } from "../server.ts";
import type { LiveConnections } from "../session/live.ts";
import type { Stores } from "../store/contracts.ts";

/** What a process that serves is put together from, whether it is alone, a supervisor or a worker. */

export type Log = {
  readonly loggers: LoggerFor;
  /** The same log by other options, through the same buffer: lines stay in order and none is left behind. */
  by(options: Options): Log;
  flush(): void;
};

/** @param shared whether other processes write to the same output. */
export function openLog(first: Options, shared = false): Log {
  let newest: LoggerFor;
  const sink = createSink({
    fd: 1,
    shared,
    onDropped: (lines) => newest("main").warn("log lines were dropped: nobody reads them", { lines }),
  });
  function by(options: Options): Log {
    const loggers = createLoggers({
      format: options.logFormat,
      levels: options.logLevels,
      write: sink.write,
      now: systemClock.now,
      color: process.stdout.isTTY === true && process.env.NO_COLOR === undefined,
    });
    newest = loggers;
    return { loggers, by, flush: sink.flush };
  }
  return by(first);
}

export type Parts = {
  readonly stores: Stores;
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

/** Requests under way may take this long after the order to stop. */
export const DRAIN_MS = 10_000;
/** The same where another process has taken over, so that nobody waits for the end: for long downloads and uploads. */
export const REPLACED_DRAIN_MS = 10 * 60_000;

export type Control = { stop(): Promise<void> };

/** The gateway does its work without it: undefined, and a line in the log, where it cannot be opened. */
export async function openControl(
  gateway: Gateway,
  options: Options,
  loggers: LoggerFor,
): Promise<Control | undefined> {
  if (options.controlSocket === undefined) return undefined;
  const { sessions, login, policy, audit } = gateway;
  try {
    return await startControl({
      path: options.controlSocket,
      operator: createOperator({ sessions, policy, options, audit }),
      login,
      policy,
      landingPath: options.landingPath,
    });
  } catch (error) {
    loggers("main").warn("the control socket cannot be opened", {
      path: options.controlSocket,
      reason: messageOf(error),
    });
    return undefined;
  }
}

export function describeListen(address: ListenAddress): string {
  if (address.kind === "unix") return `unix:${address.path}`;
  const host = address.hostname.includes(":") ? `[${address.hostname}]` : address.hostname;
  return `${host}:${address.port}`;
}
