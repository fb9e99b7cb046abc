import type { Server } from "bun";
import { RENEW_PATH } from "../certificates/renew-path.ts";
import type { CertificateSource } from "../certificates/source.ts";
import { type Configuration, loadConfiguration } from "../config/configuration.ts";
import type { Options } from "../config/options.ts";
import type { Surroundings } from "../config/surroundings.ts";
import { type Control, openControl } from "../control/open.ts";
import { noContent } from "../edge/answer.ts";
import type { AnswerOwn } from "../edge/own.ts";
import { API_PREFIX } from "../edge/target.ts";
import { EXIT, type ExitCode } from "../exit.ts";
import { messageOf } from "../observe/message-of.ts";
import { ConfigError, describe } from "../option/finding.ts";
import type { Store } from "../store/store.ts";
import { type Compose, composeGateway } from "./compose.ts";
import { handOver } from "./handover.ts";
import { hostsOf } from "./hosts.ts";
import type { Io } from "./io.ts";
import { keepStarted } from "./keep-started.ts";
import { describeListen } from "./listener.ts";
import type { Log } from "./log.ts";
import type { Notifier } from "./notify.ts";
import { DRAIN_MS, REPLACED_DRAIN_MS, type Serving } from "./serving.ts";

export type Lifecycle = ReturnType<typeof createLifecycle>;

/** What happens to a main process once it listens: reloads, handing over, and the stop. Callers see to the order. */
export function createLifecycle(
  io: Io,
  first: Configuration,
  opened: {
    readonly log: Log;
    readonly stores: Store;
    readonly serving: Serving;
    readonly certificates: CertificateSource | undefined;
    readonly http: Server<undefined> | undefined;
    readonly notifier: Notifier;
    readonly surroundings: Surroundings | undefined;
  },
) {
  const { stores, serving, notifier, certificates, http } = opened;
  const { listen, checkListen, store } = first.options;
  const { promise: stopped, resolve } = Promise.withResolvers<ExitCode>();
  let { log } = opened;
  let configuration = first;
  let control: Control | undefined;
  let stopping = false;
  const logger = () => log.loggers("main");

  async function end(withinMs: number): Promise<void> {
    certificates?.stop();
    void http?.stop();
    await control?.stop();
    await serving.stop(withinMs).ended;
    notifier.stop();
    await stores.close();
    logger().info("stopped");
    log.flush();
    resolve(EXIT.done);
  }

  /** What the operator asks. Certificates are this process's, and everything else the gateway's. */
  const answer: AnswerOwn = (arrival) => {
    const isRenewal = arrival.method === "POST" && arrival.target.path === API_PREFIX + RENEW_PATH;
    if (!isRenewal || certificates?.orderNow === undefined) return serving.gateway.answer(arrival);
    certificates.orderNow();
    return Promise.resolve(noContent());
  };

  async function reopenControl(): Promise<void> {
    await control?.stop();
    control = await openControl({ answer }, configuration.options.controlSocket, log.loggers);
    if (stopping) await control?.stop();
  }

  async function reload(next: Configuration, compose: Compose): Promise<void> {
    const kept = keepStarted(configuration, next, logger());
    const nextLog = log.by(kept.options);
    await serving.reload(kept, compose, nextLog.loggers);
    if (stopping) return;
    configuration = kept;
    log = nextLog;
    await certificates?.renew(hostsOf(kept)).catch((error: unknown) => {
      logger().error("the certificates before stay", { reason: messageOf(error) });
    });
    await reopenControl();
    logger().info("reloaded", { address: describeListen(listen) });
  }

  async function reread(): Promise<void> {
    try {
      const next = loadConfiguration(io, opened.surroundings);
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
    if (store.kind === "memory" || listen.kind === "unix" || checkListen?.kind === "unix") {
      logger().warn("a new executable needs a restart here: memory and a unix socket cannot be handed over");
      return reread();
    }
    try {
      const pid = await handOver({
        serving,
        io,
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

  return {
    /** Says, to whoever listens, that it is up. */
    async begin(): Promise<void> {
      if (!stopping) await reopenControl();
      if (stopping) return;
      const { baseUrl, checkListen, workers } = first.options;
      for (const warning of first.warnings) logger().warn(describe(warning));
      const address = describeListen(listen);
      logger().info("listening", {
        address,
        ...(checkListen === undefined ? {} : { checks: describeListen(checkListen) }),
        ...{ url: baseUrl, pid: process.pid },
        ...(workers > 1 ? { workers } : {}),
      });
      log.flush();
      notifier.ready(status(first.options));
    },

    /** @param compose of the newer code. @throws with the reason; what runs goes on as it did. */
    reload,

    /** Reads the options again, and hands over to the executable on disk where that is asked for. Never rejects. */
    async renew(withExecutable: boolean): Promise<void> {
      if (stopping) return;
      notifier.reloading();
      await (withExecutable ? succeed() : reread());
      if (!stopping) notifier.ready(status(configuration.options));
    },

    /** Called again, it gives requests that are under way less time. */
    stop(signal: string): void {
      if (stopping) {
        // Handed over, with requests still under way.
        serving.stop(DRAIN_MS);
        return;
      }
      stopping = true;
      notifier.stopping();
      logger().info("stopping", { signal });
      void end(DRAIN_MS);
    },

    stopped,
  };
}

function status({ baseUrl, listen, workers }: Options): string {
  return `${baseUrl} on ${describeListen(listen)}, ${workers === 1 ? "1 process" : `${workers} workers`}`;
}
