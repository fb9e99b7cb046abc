import type { Server } from "bun";
import { STARTED, STOPPED } from "../audit/audit.ts";
import type { CertificateSource } from "../certificates/source.ts";
import { systemClock } from "../clock.ts";
import { type Configuration, loadConfiguration } from "../config/configuration.ts";
import type { Options } from "../config/options.ts";
import type { Surroundings } from "../config/surroundings.ts";
import type { WantedCopy } from "../control/copy.ts";
import { type Control, openControl } from "../control/open.ts";
import { EXIT, type ExitCode } from "../exit.ts";
import { listenForScrapes } from "../metrics/listener.ts";
import { messageOf } from "../observe/message-of.ts";
import type { FilesRead } from "../option/files.ts";
import { ConfigError, describe } from "../option/finding.ts";
import type { Sinks } from "../sinks/sinks.ts";
import type { Store } from "../store/store.ts";
import { VERSION } from "../version.ts";
import { CONFIG_REFUSED, CONFIG_RELOADED, SECRETS_CHANGED } from "./audit.ts";
import { changedSecrets } from "./changed-secrets.ts";
import { type Compose, composeGateway } from "./compose.ts";
import { type ConfigWatch, watchConfig } from "./config-watch.ts";
import { canHandOver, handOver, stopPredecessor } from "./handover.ts";
import { hostsOf } from "./hosts.ts";
import type { Io } from "./io.ts";
import { keepStarted } from "./keep-started.ts";
import { describeListen } from "./listener.ts";
import type { Log } from "./log.ts";
import type { Notifier } from "./notify.ts";
import { createRotationNotes } from "./rotation-notes.ts";
import type { Serially } from "./serially.ts";
import { DRAIN_MS, REPLACED_DRAIN_MS, type Serving } from "./serving.ts";

/** Who or what has the configuration read again. */
type By = "signal" | "watch" | "operator" | "code";

export type Lifecycle = ReturnType<typeof createLifecycle>;

/** What happens to a main process once it listens: reloads, handing over, and the stop. Callers see to the order. */
export function createLifecycle(
  io: Io,
  first: Configuration,
  opened: {
    readonly log: Log;
    readonly sinks: Sinks;
    readonly stores: Store;
    readonly serving: Serving;
    readonly certificates: CertificateSource | undefined;
    readonly http: Server<undefined> | undefined;
    readonly notifier: Notifier;
    readonly serially: Serially;
    readonly surroundings: Surroundings | undefined;
    /** What `first` was read from. */
    readonly files: FilesRead;
  },
) {
  const { stores, serving, notifier, certificates, http, serially, sinks } = opened;
  const { listen, checkListen, metricsListen } = first.options;
  const { promise: stopped, resolve } = Promise.withResolvers<ExitCode>();
  let { log } = opened;
  let configuration = first;
  /** What it was read from, and what was looked at since. */
  let files: FilesRead = opened.files;
  let lookedAt: FilesRead = files;
  let watch: ConfigWatch | undefined;
  let control: Control | undefined;
  let metrics: ReturnType<typeof listenForScrapes> | undefined;
  let stopping = false;
  let code: ExitCode = EXIT.done;
  let predecessor: number | undefined;
  let predecessorEnded: Promise<void> | undefined;
  const stopSignal = new AbortController();
  const logger = () => log.loggers("main");

  const rotation = createRotationNotes(systemClock, logger);

  async function end(withinMs: number): Promise<void> {
    watch?.stop();
    rotation.stop();
    serving.gateway.audit(STOPPED, { version: VERSION });
    metrics?.stop();
    certificates?.stop();
    void http?.stop();
    await control?.stop();
    await serving.stop(withinMs).ended;
    // Of the process that watches over workers: what serves itself has done so.
    await serving.gateway.closeAudit();
    notifier.stop();
    await stores.close();
    logger().info("stopped");
    await sinks.close();
    log.flush();
    await predecessorEnded;
    resolve(code);
  }

  async function ensureControl(): Promise<void> {
    const { controlSocket } = configuration.options;
    const reload = () => serially(() => renew(() => reread("operator")));
    const { inside } = stores;
    const copyMemory =
      inside &&
      (async (wanted: WantedCopy) => (await import("../control/copy.ts")).copyMemory(inside, wanted));
    const operations = { reload, orderCertificates: certificates?.orderNow, copyMemory };
    control ??= await openControl(() => serving.gateway, controlSocket, log.loggers, operations);
    if (stopping) await control?.stop();
  }

  /** Follows the files that were looked at last, where that is wanted. */
  function follow(): void {
    if (stopping || !configuration.options.watch) {
      watch?.stop();
      watch = undefined;
      return;
    }
    watch ??= watchConfig(
      () => serially(() => renew(rereadChanged)).then(() => {}),
      (folder, reason) => logger().warn("changes in a folder are not seen", { folder, reason }),
    );
    watch.follow(lookedAt);
  }

  async function reload(next: Configuration, compose: Compose, by: By): Promise<void> {
    const before = configuration.options;
    const kept = keepStarted(configuration, next, logger());
    const nextLog = log.by(kept.options);
    await serving.reload(kept, compose, nextLog.loggers);
    if (stopping) return;
    configuration = kept;
    log = nextLog;
    sinks.use(kept.options);
    await certificates?.renew(hostsOf(kept)).catch((error: unknown) => {
      logger().error("the certificates before stay", { reason: messageOf(error) });
    });
    await ensureControl();
    const { audit } = serving.gateway;
    const secrets = changedSecrets(before, kept.options);
    if (secrets !== undefined) audit(SECRETS_CHANGED, { by, reason: secrets });
    audit(CONFIG_RELOADED, { by });
    logger().info("reloaded", { address: describeListen(listen) });
    rotation.say(kept.options);
  }

  /**
   * Reads everything again, and goes on with it if all of it is good.
   * @param isWanted asked of the files that have been read then.
   * @returns why the one before stays, if not by choice.
   */
  async function reread(by: By, isWanted = (_: FilesRead) => true): Promise<string | undefined> {
    const read: FilesRead = new Map();
    let refused: string;
    try {
      const next = loadConfiguration(io, opened.surroundings, read);
      if (!isWanted(read)) return undefined;
      for (const warning of next.warnings) logger().warn(describe(warning));
      await reload(next, composeGateway, by);
      files = read;
      lookedAt = read;
      return undefined;
    } catch (error) {
      if (stopping) return "it is stopping";
      if (error instanceof ConfigError) {
        for (const problem of error.problems) logger().error(describe(problem));
        logger().error("not reloaded: the configuration is wrong, and the one before stays");
        refused = error.problems.map(describe).join("\n");
      } else {
        refused = messageOf(error);
        logger().error("not reloaded", { reason: refused });
      }
    } finally {
      // What a broken file would have named is still of interest.
      lookedAt = new Map([...lookedAt, ...read]);
      follow();
    }
    serving.gateway.audit(CONFIG_REFUSED, { by, reason: refused.split("\n", 1)[0] });
    return refused;
  }

  /** For files that are said to have changed: not where they are as they were, nor where one is being written or exchanged. */
  function rereadChanged(): Promise<string | undefined> {
    return reread("watch", (read) => {
      const gone = [...read].filter(([path, hash]) => !hash && files.get(path));
      if (gone.length > 0) {
        const [[file] = []] = gone;
        logger().warn("not reloaded: a file is gone or empty, and the configuration stays until it is back", {
          file,
        });
        serving.gateway.audit(CONFIG_REFUSED, { by: "watch", reason: `${file} is gone or empty` });
      }
      return gone.length === 0 && !Bun.deepEquals(read, files);
    });
  }

  async function succeed(): Promise<string | undefined> {
    if (!canHandOver(first.options)) {
      logger().warn("a new executable needs a restart here: memory and a unix socket cannot be handed over");
      return reread("signal");
    }
    try {
      const pid = await handOver({
        serving,
        io,
        signal: stopSignal.signal,
        onUp: (successor) => logger().info("handing over", { successor }),
        async onClosed(successor) {
          notifier.handOver(successor);
          metrics?.stop();
          await control?.stop();
          control = undefined;
        },
        // Its parent is told of its end alone: systemd starts the service again when the last process of it has gone.
        onLost(how) {
          logger().error("the successor is gone, so this process ends too", { how });
          code = EXIT.failed;
          serving.stop(0);
        },
      });
      if (stopping) return undefined;
      stopping = true;
      logger().info("handed over", { successor: pid });
      void end(REPLACED_DRAIN_MS);
    } catch (error) {
      if (!stopping) logger().error("not handed over: this process goes on", { reason: messageOf(error) });
    }
    return undefined;
  }

  /** Tells systemd meanwhile. Never rejects. */
  async function renew(work: () => Promise<string | undefined>): Promise<string | undefined> {
    if (stopping) return "it is stopping";
    notifier.reloading();
    const refused = await work();
    if (!stopping) notifier.ready(status(configuration.options));
    return refused;
  }

  return {
    /**
     * Says, to whoever listens, that it is up.
     * @param by the process that handed over to this one.
     */
    async begin(by?: number): Promise<void> {
      predecessor = by;
      if (!stopping) await ensureControl();
      if (stopping) return;
      follow();
      if (metricsListen !== undefined) metrics = listenForScrapes(metricsListen, serving.measures);
      const { baseUrl, workers } = first.options;
      for (const warning of first.warnings) logger().warn(describe(warning));
      const address = describeListen(listen);
      logger().info("listening", {
        address,
        ...(checkListen === undefined ? {} : { checks: describeListen(checkListen) }),
        ...(metricsListen === undefined ? {} : { metrics: describeListen(metricsListen) }),
        ...{ url: baseUrl, pid: process.pid },
        ...(workers > 1 ? { workers } : {}),
      });
      serving.gateway.audit(STARTED, { version: VERSION });
      rotation.say(first.options);
      log.flush();
      notifier.ready(status(first.options));
    },

    /** @param compose of the newer code. @throws with the reason; what runs goes on as it did. */
    reload: (next: Configuration, compose: Compose) => reload(next, compose, "code"),

    /** By a signal: reads the options again, or hands over to the executable on disk. Never rejects. */
    renew: (withExecutable: boolean) => renew(withExecutable ? succeed : () => reread("signal")),

    /** Called again, it gives requests that are under way less time. */
    stop(signal: string): void {
      if (predecessor !== undefined) predecessorEnded ??= stopPredecessor(predecessor);
      if (stopping) {
        // Handed over, with requests still under way.
        serving.stop(DRAIN_MS);
        return;
      }
      stopping = true;
      stopSignal.abort();
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
