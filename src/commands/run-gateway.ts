import type { Server } from "bun";
import { systemClock, systemRandom } from "../clock.ts";
import { type Configuration, loadConfiguration } from "../config/configuration.ts";
import { ConfigError, describe } from "../config/finding.ts";
import type { Options } from "../config/types.ts";
import { startControl } from "../control/server.ts";
import { createMailbox, type Mailbox } from "../mail/mailbox.ts";
import { createSmtpMailer } from "../mail/smtp.ts";
import { createLoggers, type LoggerFor } from "../observe/log.ts";
import { createSink, type Sink } from "../observe/sink.ts";
import type { TunnelData } from "../proxy/tunnel.ts";
import { createGateway, type Gateway, handlersOf, listen } from "../server.ts";
import type { Stores } from "../store/contracts.ts";
import { createMemoryStores } from "../store/memory.ts";
import { EXIT, type ExitCode, type Io } from "./command.ts";

/** Starting, reloading and stopping a gateway as a process. */

export type RunSettings = {
  /** Said once it listens; the demonstration tells where to click. */
  readonly greet?: (url: string) => void;
};

/** Requests under way may take this long after SIGTERM. */
const DRAIN_MS = 10_000;

/**
 * What outlives a reload by `bun --hot`, which evaluates every module again in the same process: the port, the sessions,
 * and the secrets that were drawn at random.
 */
type Running = {
  readonly server: Server<TunnelData>;
  readonly stores: Stores;
  readonly mailbox: Mailbox;
  readonly secrets: Pick<Options, "jwtSecret" | "sessionKey">;
  gateway: Gateway;
  control: { stop(): Promise<void> } | undefined;
  /** The last reload, when it is done. */
  reloaded: Promise<void>;
  readonly stopped: Promise<ExitCode>;
};

declare global {
  // `var` is the only declaration that names a property of `globalThis`.
  var runegateRunning: Running | undefined;
}

export async function runGateway(io: Io, settings: RunSettings): Promise<ExitCode> {
  let configuration: Configuration;
  try {
    configuration = loadConfiguration(io.env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    for (const warning of error.warnings) io.err(`warning: ${describe(warning)}`);
    for (const problem of error.problems) io.err(`error: ${describe(problem)}`);
    io.err("Runegate does not start with a wrong configuration. `runegate config` explains every option.");
    return EXIT.config;
  }
  const running = globalThis.runegateRunning;
  if (running !== undefined) {
    // One after the other: several files saved together are several reloads.
    running.reloaded = running.reloaded.then(() => reload(running, configuration));
    await running.reloaded;
    return running.stopped;
  }
  return start(io, configuration, settings);
}

async function start(io: Io, configuration: Configuration, settings: RunSettings): Promise<ExitCode> {
  const { options } = configuration;
  const { loggers, sink } = openLog(options);
  const log = loggers("main");
  const stores = createMemoryStores({ clock: systemClock });
  const mailbox = createMailbox({
    onMail: ({ to, link, code }) => {
      // To the terminal of whoever develops, not to the log: a link in the log would be a login for its readers.
      io.out(`\n  Mail for ${to}\n  Link: ${link ?? "none"}\n  Code: ${code ?? "none"}\n`);
    },
  });
  const gateway = compose(configuration, stores, mailbox, loggers);
  let server: Server<TunnelData>;
  try {
    server = listen(gateway, options.listen);
  } catch (error) {
    sink.flush();
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    io.err(`Cannot listen on ${describeListen(options)}: ${code}. Is something else listening there?`);
    return EXIT.failed;
  }
  const { promise: stopped, resolve } = Promise.withResolvers<ExitCode>();
  const running: Running = {
    server,
    stores,
    mailbox,
    secrets: { jwtSecret: options.jwtSecret, sessionKey: options.sessionKey },
    gateway,
    control: undefined,
    reloaded: Promise.resolve(),
    stopped,
  };
  globalThis.runegateRunning = running;
  gateway.start();
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => {
      log.info("stopping", { signal });
      void stop(running).then(() => {
        log.info("stopped");
        sink.flush();
        resolve(EXIT.done);
      });
    });
  }
  running.control = await openControl(running, options, loggers);
  for (const warning of configuration.warnings) log.warn(describe(warning));
  log.info("listening", { address: describeListen(options), url: options.baseUrl, pid: process.pid });
  sink.flush();
  settings.greet?.(options.baseUrl);
  return stopped;
}

/** New code and new options behind the same port, with the same sessions. */
async function reload(running: Running, configuration: Configuration): Promise<void> {
  const { sources } = configuration;
  // Drawn again at every start when they are not configured, which would sign everybody out.
  const secrets = {
    ...(sources.jwtSecret.given ? {} : { jwtSecret: running.secrets.jwtSecret }),
    ...(sources.sessionKey.given ? {} : { sessionKey: running.secrets.sessionKey }),
  };
  const options = { ...configuration.options, ...secrets };
  const { loggers } = openLog(options);
  // What is open would outlive its session: the code that closes it is about to go.
  running.gateway.live.closeAll("shutdown");
  await running.gateway.stop();
  await running.control?.stop();
  running.gateway = compose({ ...configuration, options }, running.stores, running.mailbox, loggers);
  running.server.reload(handlersOf(running.gateway) as Parameters<typeof running.server.reload>[0]);
  running.gateway.start();
  running.control = await openControl(running, options, loggers);
  loggers("main").info("reloaded", { address: describeListen(options) });
}

function compose(
  { options, email }: Configuration,
  stores: Stores,
  mailbox: Mailbox,
  loggers: LoggerFor,
): Gateway {
  return createGateway({
    options,
    email,
    mailer: email === undefined ? mailbox : createSmtpMailer(email),
    mailbox: email === undefined ? mailbox : undefined,
    stores,
    clock: systemClock,
    random: systemRandom,
    loggers,
  });
}

function openLog(options: Options): { loggers: LoggerFor; sink: Sink } {
  const sink = createSink({
    fd: 1,
    onDropped: (lines) => loggers("main").warn("log lines were dropped: nobody reads them", { lines }),
  });
  const loggers = createLoggers({
    format: options.logFormat,
    levels: options.logLevels,
    write: sink.write,
    now: systemClock.now,
    color: process.stdout.isTTY === true && process.env.NO_COLOR === undefined,
  });
  return { loggers, sink };
}

async function openControl(
  running: Running,
  options: Options,
  loggers: LoggerFor,
): Promise<Running["control"]> {
  if (options.controlSocket === undefined) return undefined;
  const { sessions, login, policy, audit } = running.gateway;
  try {
    return await startControl({
      path: options.controlSocket,
      sessions,
      login,
      policy,
      landingPath: options.landingPath,
      audit,
    });
  } catch (error) {
    // The gateway does its work without it.
    loggers("main").warn("the control socket cannot be opened", {
      path: options.controlSocket,
      reason: error instanceof Error ? error.message : String(error),
    });
    return undefined;
  }
}

async function stop(running: Running): Promise<void> {
  const drained = running.server.stop();
  const late = new Promise<void>((resolve) => setTimeout(resolve, DRAIN_MS).unref());
  await running.control?.stop();
  // WebSockets and event streams have no end of their own to wait for.
  running.gateway.live.closeAll("shutdown");
  await Promise.race([drained, late]);
  await running.server.stop(true);
  await running.gateway.stop();
  await running.stores.close();
}

function describeListen({ listen: address }: Options): string {
  if (address.kind === "unix") return `unix:${address.path}`;
  const host = address.hostname.includes(":") ? `[${address.hostname}]` : address.hostname;
  return `${host}:${address.port}`;
}
