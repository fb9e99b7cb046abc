import type { Server } from "bun";
import { measureCertificates } from "../certificates/expiry.ts";
import type { CertificateSource } from "../certificates/source.ts";
import { systemClock, systemPause, systemRandom } from "../clock.ts";
import type { Configuration } from "../config/configuration.ts";
import type { Surroundings } from "../config/surroundings.ts";
import { EXIT, type ExitCode } from "../exit.ts";
import { createMailbox, type Mailbox } from "../mail/mailbox.ts";
import { createProcessMetrics } from "../metrics/metrics.ts";
import { measureLog, measureProcess } from "../metrics/process.ts";
import { messageOf } from "../observe/message-of.ts";
import type { FilesRead } from "../option/files.ts";
import { createKeys } from "../secret/keys.ts";
import { createSinks, type Sinks } from "../sinks/sinks.ts";
import { openStore } from "../store/open.ts";
import { StoreUnavailable } from "../store/records.ts";
import type { Store } from "../store/store.ts";
import type { Compose } from "./compose.ts";
import { isReplaced } from "./executable.ts";
import { takeOver } from "./handover.ts";
import { hostsOf } from "./hosts.ts";
import type { Io } from "./io.ts";
import { type Libc, openLibc } from "./libc.ts";
import { createLifecycle, type Lifecycle } from "./lifecycle.ts";
import { addressesOf, claimAddress, describeListen, httpAddressOf } from "./listener.ts";
import { type Log, openLog, STDOUT_NAME } from "./log.ts";
import { createNotifier } from "./notify.ts";
import { createSerially, type Serially } from "./serially.ts";
import type { Serving } from "./serving.ts";
import { serveSingle } from "./single.ts";
import { isTerminal } from "./terminal.ts";
import { type Supervision, serveWithWorkers } from "./workers.ts";

/** The process that is started and signalled: it opens the stores and the address, reloads, hands over, and stops. */

export type MainSettings = {
  /** Printed once it listens: for the demonstration, where to click. */
  readonly greet?: (url: string) => void;
  /** Where else options are looked for; as on any machine, unless said otherwise. */
  readonly surroundings?: Surroundings;
  /** Takes over from the process that started this one. */
  readonly successor?: boolean;
  /** What the configuration was read from. */
  readonly files?: FilesRead;
  /** For tests, which have less patience. */
  readonly supervision?: Supervision;
};

const STDOUT = 1;

let openedLibc: Libc | undefined;
/** Opened when it is first needed. */
function libc(): Libc | undefined {
  openedLibc ??= openLibc();
  return openedLibc;
}

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
  const { log, outlet: sinks } = openLog(first.options, first.options.workers > 1, (log) =>
    createSinks({
      ...{ clock: systemClock, random: systemRandom, pause: Bun.sleep, log },
      sendDatagram: (path, message) => libc()?.sendUnixDatagram(path, message, false) ?? false,
    }),
  );
  sinks.use(first.options);
  const notifier = createNotifier({
    env: io.env,
    pid: process.pid,
    libc: io.env.NOTIFY_SOCKET ? libc() : undefined,
    onFailure: () => log.loggers("main").warn("systemd cannot be told how the service is"),
  });
  const { promise: started, resolve: begin } = Promise.withResolvers<Lifecycle>();
  // Before the start is over, a reload waits for it.
  const serially = createSerially(started);
  renewOnSignals(started, serially);
  process.on("SIGUSR1", sinks.reopen);

  const opened = await open(io, first, settings, log, sinks);
  if (typeof opened === "number") return opened;
  const { certificates, serving } = opened;
  certificates?.start((pairs) => serving.certify(pairs), log.loggers("main"));
  notifier.startWatchdog(opened.serving.healthy);
  const { surroundings, files = new Map() } = settings;
  const lifecycle = createLifecycle(io, first, {
    ...opened,
    ...{ log, sinks, notifier, serially, surroundings, files },
  });
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => lifecycle.stop(signal));

  const stopped = lifecycle.stopped.then(() => undefined);
  await lifecycle.begin(settings.successor ? await Promise.race([takeOver(), stopped]) : undefined);
  settings.greet?.(first.options.baseUrl);
  begin(lifecycle);
  return {
    reload: (next, compose) => serially(() => lifecycle.reload(next, compose)),
    stopped: lifecycle.stopped,
  };
}

/** SIGHUP and SIGUSR2. */
function renewOnSignals(started: Promise<Lifecycle>, serially: Serially): void {
  const renew = (withExecutable: boolean) => serially(async () => (await started).renew(withExecutable));
  const onTerminal = isTerminal(STDOUT);
  process.on("SIGHUP", () => {
    // Also the signal of a terminal that is closed: then there is nobody left to serve (termios(3)).
    if (onTerminal && !isTerminal(STDOUT)) void started.then((lifecycle) => lifecycle.stop("SIGHUP"));
    else void renew(isReplaced());
  });
  process.on("SIGUSR2", () => void renew(true));
}

type Opened = {
  readonly stores: Store;
  readonly serving: Serving;
  readonly certificates: CertificateSource | undefined;
  /** Plain http, beside TLS. */
  readonly http: Server<undefined> | undefined;
};

/** Opens the stores and the address. What goes wrong is said on stderr. */
async function open(
  io: Io,
  configuration: Configuration,
  settings: MainSettings,
  log: Log,
  sinks: Sinks,
): Promise<Opened | ExitCode> {
  const { store, storeSchema: schema, workers, metricsListen } = configuration.options;
  const addresses = addressesOf(configuration.options).map(([address]) => address);
  let at = addresses;
  const http = httpAddressOf(configuration.options);
  let stores: Store;
  try {
    stores = await openStore(store, { schema, clock: systemClock, log: log.loggers("store") });
  } catch (error) {
    if (!(error instanceof StoreUnavailable)) throw error;
    log.flush();
    io.err(`The store cannot be opened: ${error.message}`);
    return EXIT.failed;
  }
  let certificates: CertificateSource | undefined;
  try {
    certificates = await openTls(configuration, stores, io.env);
  } catch (error) {
    io.err(`TLS: ${messageOf(error)}`);
    await stores.close();
    return EXIT.config;
  }
  const measured = createProcessMetrics(systemClock);
  measureProcess(measured, systemClock);
  measureCertificates(measured.registry, () => certificates?.expiries() ?? [], systemClock);
  measureLog(measured, () => [{ sink: STDOUT_NAME, ...log.state() }, ...sinks.states()]);
  const resources = { stores, mailbox: terminalMailbox(io), loggers: log.loggers, measured };
  try {
    const claimed = [...addresses, metricsListen ?? [], http ?? []].flat();
    for (const address of settings.successor ? [] : claimed) {
      at = [address];
      await claimAddress(address);
    }
    at = addresses;
    const pairs = certificates?.pairs ?? [];
    const serving =
      workers === 1
        ? await serveSingle(configuration, resources, pairs)
        : await serveWithWorkers(
            configuration,
            { ...resources, env: io.env, sinks },
            pairs,
            settings.supervision,
          );
    at = http === undefined ? addresses : [http];
    const redirects =
      http &&
      (await import("../certificates/http.ts")).serveHttp(http, {
        routes: () => serving.gateway.routes,
        challengeOf: certificates?.challengeOf,
      });
    return { stores, serving, certificates, http: redirects };
  } catch (error) {
    log.flush();
    await stores.close();
    const code = error instanceof Error && "code" in error ? String(error.code) : undefined;
    if (code === undefined) io.err(`Runegate cannot start: ${messageOf(error)}`);
    else {
      const where = at.map(describeListen).join(" and ");
      io.err(`Cannot listen on ${where}: ${code}. Is something else listening there?`);
    }
    return EXIT.failed;
  }
}

/** Loaded where it is asked for alone: node:crypto is large. @throws {Error} with what is wrong, in words for the operator */
async function openTls(
  configuration: Configuration,
  stores: Store,
  env: Io["env"],
): Promise<CertificateSource | undefined> {
  const { options } = configuration;
  if (options.tls === "off") return undefined;
  const settings = { options, names: hostsOf(configuration), clock: systemClock, random: systemRandom };
  if (options.tls !== "acme") return (await import("../certificates/source.ts")).openCertificates(settings);
  const [{ openAcme }, { createOrderRecords }, { shelfInFolder, shelfInStore }, hooks] = await Promise.all([
    import("../certificates/acme-source.ts"),
    import("../certificates/acme-records.ts"),
    import("../certificates/shelf.ts"),
    import("../certificates/dns-hook.ts"),
  ]);
  const isShared = options.store.kind === "valkey" || options.store.kind === "postgres";
  const shelf = isShared
    ? shelfInStore(stores, createKeys(options), systemRandom)
    : shelfInFolder(options.tlsDirectory);
  const records = createOrderRecords(stores, systemClock);
  const { acmeDnsHook: hook } = options;
  if (hook !== undefined) hooks.checkDnsHook(hook);
  return openAcme({
    ...{ ...settings, shelf, records, pause: systemPause },
    dnsHook: hook === undefined ? undefined : hooks.createDnsHook(hook, env),
    answersHttp: httpAddressOf(options) !== undefined,
  });
}

function terminalMailbox(io: Io): Mailbox {
  return createMailbox({
    onMail: ({ to, link, code }) => {
      // To the terminal of whoever develops, not to the log: a link in the log would be a login for its readers.
      io.out(`\n  Mail for ${to}\n  Link: ${link ?? "none"}\n  Code: ${code ?? "none"}\n`);
    },
  });
}
