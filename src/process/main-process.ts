import { isatty } from "node:tty";
import { systemClock } from "../clock.ts";
import { EXIT, type ExitCode, type Io } from "../commands/command.ts";
import { type Configuration, loadConfiguration } from "../config/configuration.ts";
import { ConfigError, describe } from "../config/finding.ts";
import { OPTIONS } from "../config/options.ts";
import type { Options } from "../config/types.ts";
import { createMailbox } from "../mail/mailbox.ts";
import { messageOf } from "../observe/message-of.ts";
import { type Stores, StoreUnavailable } from "../store/contracts.ts";
import { openStores } from "../store/open.ts";
import { openAlone } from "./alone.ts";
import { isReplaced } from "./executable.ts";
import type { Fleet } from "./fleet.ts";
import { claimAddress } from "./instance.ts";
import { openLibc } from "./libc.ts";
import { createNotifier } from "./notify.ts";
import {
  type Compose,
  type Control,
  composeGateway,
  DRAIN_MS,
  describeListen,
  type Log,
  openControl,
  openLog,
  REPLACED_DRAIN_MS,
} from "./parts.ts";
import { handOver, takeOver } from "./succession.ts";
import { createTurns } from "./turns.ts";
import { openWorkers, type Supervision } from "./workers.ts";

/** The process that is started and signalled: it opens the stores and the address, reloads, hands over, and stops. */

export type MainSettings = {
  /** Said once it listens; the demonstration tells where to click. */
  readonly greet?: (url: string) => void;
  /** Takes over from the process that started this one. */
  readonly successor?: boolean;
  /** For tests, which have less patience. */
  readonly supervision?: Supervision;
};

const STDOUT = 1;

/** What outlives a reload: also one by `bun --hot`, which evaluates every module again in the same process. */
export type MainProcess = {
  /** @param compose of the newer code. @throws with the reason; what runs goes on as it did. */
  reload(configuration: Configuration, compose: Compose): Promise<void>;
  readonly stopped: Promise<ExitCode>;
};

export async function startMainProcess(
  io: Io,
  first: Configuration,
  settings: MainSettings,
): Promise<MainProcess | ExitCode> {
  let configuration = first;
  let log: Log = openLog(first.options, first.options.workers > 1);
  const logger = () => log.loggers("main");
  const { listen, store } = first.options;
  const notifier = createNotifier({
    env: io.env,
    pid: process.pid,
    libc: io.env.NOTIFY_SOCKET ? openLibc() : undefined,
    onFailure: () => logger().warn("systemd cannot be told how the service is"),
  });
  const mailbox = createMailbox({
    onMail: ({ to, link, code }) => {
      // To the terminal of whoever develops, not to the log: a link in the log would be a login for its readers.
      io.out(`\n  Mail for ${to}\n  Link: ${link ?? "none"}\n  Code: ${code ?? "none"}\n`);
    },
  });

  /** Starting is the first turn. */
  const { promise: started, resolve: beginTurns } = Promise.withResolvers<void>();
  const inTurn = createTurns(started);

  /** What is asked for while it waits for its turn anyway is done with it. */
  let awaited: { withExecutable: boolean } | undefined;
  function renewInTurn(withExecutable: boolean): void {
    if (awaited !== undefined) {
      awaited.withExecutable ||= withExecutable;
      return;
    }
    const order = { withExecutable };
    awaited = order;
    void inTurn(() => {
      awaited = undefined;
      return renew(order.withExecutable);
    });
  }

  const onTerminal = isatty(STDOUT);
  process.on("SIGHUP", () => {
    // Also the signal of a terminal that is closed: then there is nobody left to serve (termios(3)).
    if (onTerminal && !isatty(STDOUT)) void inTurn(async () => stop("SIGHUP"));
    else renewInTurn(isReplaced());
  });
  process.on("SIGUSR2", () => renewInTurn(true));

  let stores: Stores;
  try {
    stores = await openStores(store, { clock: systemClock, log: log.loggers("store") });
  } catch (error) {
    if (!(error instanceof StoreUnavailable)) throw error;
    log.flush();
    io.err(`The store cannot be opened: ${error.message}`);
    return EXIT.failed;
  }
  let fleet: Fleet;
  try {
    if (!settings.successor) claimAddress(listen);
    const parts = { stores, mailbox, loggers: log.loggers, env: io.env };
    fleet =
      first.options.workers === 1
        ? openAlone(first, parts)
        : await openWorkers(first, parts, settings.supervision);
  } catch (error) {
    log.flush();
    await stores.close();
    const code = error instanceof Error && "code" in error ? String(error.code) : undefined;
    if (code === undefined) io.err(`Runegate cannot start: ${messageOf(error)}`);
    else io.err(`Cannot listen on ${describeListen(listen)}: ${code}. Is something else listening there?`);
    return EXIT.failed;
  }
  notifier.startWatchdog(fleet.healthy);
  const { promise: stopped, resolve } = Promise.withResolvers<ExitCode>();
  let control: Control | undefined;
  let stopping = false;

  async function end(withinMs: number): Promise<void> {
    await control?.stop();
    await fleet.stop(withinMs);
    notifier.stop();
    await stores.close();
    logger().info("stopped");
    log.flush();
    resolve(EXIT.done);
  }

  function stop(signal: string): void {
    if (stopping) {
      // Handed over, with requests still under way.
      void fleet.stop(DRAIN_MS);
      return;
    }
    stopping = true;
    notifier.stopping();
    logger().info("stopping", { signal });
    void end(DRAIN_MS);
  }

  async function reopenControl(): Promise<void> {
    await control?.stop();
    control = await openControl(fleet.gateway, configuration.options, log.loggers);
    if (stopping) await control?.stop();
  }

  /** @throws with the reason; what runs goes on as it did. */
  async function reload(next: Configuration, compose: Compose): Promise<void> {
    const kept = keepStarted(configuration, next, logger());
    const nextLog = log.by(kept.options);
    await fleet.reload(kept, compose, nextLog.loggers);
    if (stopping) return;
    configuration = kept;
    log = nextLog;
    await reopenControl();
    logger().info("reloaded", { address: describeListen(listen) });
  }

  async function reread(): Promise<void> {
    try {
      const next = loadConfiguration(io.env);
      for (const warning of next.warnings) logger().warn(describe(warning));
      await reload(next, composeGateway);
    } catch (error) {
      if (stopping) return;
      if (!(error instanceof ConfigError)) {
        logger().error("not reloaded", { reason: messageOf(error) });
        return;
      }
      for (const problem of error.problems) logger().error(describe(problem));
      logger().error("not reloaded: the configuration is wrong, and the one before stays");
    }
  }

  async function succeed(): Promise<void> {
    if (store.kind === "memory" || listen.kind === "unix") {
      logger().warn("a new executable needs a restart here: memory and a unix socket cannot be handed over");
      return reread();
    }
    try {
      const pid = await handOver({
        fleet,
        env: io.env,
        onUp: (successor) => logger().info("handing over", { successor }),
        async onClosed(successor) {
          notifier.handOver(successor);
          await control?.stop();
          control = undefined;
        },
      });
      if (stopping) return;
      stopping = true;
      logger().info("handed over", { successor: pid });
      void end(REPLACED_DRAIN_MS);
    } catch (error) {
      logger().error("not handed over: this process goes on", { reason: messageOf(error) });
    }
  }

  async function renew(withExecutable: boolean): Promise<void> {
    if (stopping) return;
    notifier.reloading();
    await (withExecutable ? succeed() : reread());
    if (!stopping) notifier.ready(status(configuration.options));
  }

  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => stop(signal));
  const main: MainProcess = { reload: (next, compose) => inTurn(() => reload(next, compose)), stopped };

  if (settings.successor) await Promise.race([takeOver(fleet), stopped]);
  if (!stopping) await reopenControl();
  if (stopping) return main;
  for (const warning of first.warnings) logger().warn(describe(warning));
  logger().info("listening", {
    address: describeListen(listen),
    url: first.options.baseUrl,
    pid: process.pid,
    ...(first.options.workers > 1 ? { workers: first.options.workers } : {}),
  });
  log.flush();
  notifier.ready(status(first.options));
  settings.greet?.(first.options.baseUrl);
  beginTurns();
  return main;
}

function status({ baseUrl, listen, workers }: Options): string {
  return `${baseUrl} on ${describeListen(listen)}, ${workers === 1 ? "1 process" : `${workers} workers`}`;
}

/** What a process has opened stays as it is until it is started anew, and secrets drawn at random are not drawn again. */
function keepStarted(
  before: Configuration,
  next: Configuration,
  log: { warn(message: string): void },
): Configuration {
  const { listen, store, controlSocket, workers, jwtSecret, sessionKey } = before.options;
  const started = {
    listen,
    store,
    controlSocket,
    ...(workers === 1 || next.options.workers === 1 ? { workers } : {}),
  };
  for (const [key, value] of Object.entries(started)) {
    if (Bun.deepEquals(value, next.options[key as keyof Options])) continue;
    log.warn(`${OPTIONS[key as keyof typeof started].name} has changed, which takes a restart`);
  }
  // Drawn again at every start when they are not configured, which would sign everybody out.
  const secrets = {
    ...(next.sources.jwtSecret.given ? {} : { jwtSecret }),
    ...(next.sources.sessionKey.given ? {} : { sessionKey }),
  };
  return { ...next, options: { ...next.options, ...started, ...secrets } };
}
