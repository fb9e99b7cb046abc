import type { Pair } from "../certificates/pair.ts";
import { systemClock } from "../clock.ts";
import type { Configuration } from "../config/configuration.ts";
import type { Mail } from "../mail/mailer.ts";
import { mergeDay } from "../metrics/day.ts";
import { type Measures, mergeEnded, NOTHING } from "../metrics/measures.ts";
import { messageOf } from "../observe/message-of.ts";
import type { Sinks } from "../sinks/sinks.ts";
import type { StoreEvent } from "../store/remote/messages.ts";
import { serveStore } from "../store/remote/server.ts";
import { composeGateway, type Resources } from "./compose.ts";
import type { Lines } from "./messages.ts";
import { createSerially } from "./serially.ts";
import { REPLACED_DRAIN_MS, RETIRE_MS, type Serving } from "./serving.ts";
import { ANSWER_MS, startWorker, type WorkerHandle } from "./worker-handle.ts";

/**
 * Several processes on one port, and this one watching over them. It answers no request. With the memory store it keeps the
 * state that they share (`store/remote`); other stores each of them opens for itself.
 */

/** For one worker, and the next when that one ends. */
type Slot = { worker: WorkerHandle | undefined };

/** Milliseconds. */
export type Supervision = {
  /** Before a worker that ended is started again: the first time, doubled each time it ends soon, and at most. */
  readonly firstWait: number;
  readonly longestWait: number;
  /** A worker that has run for longer did not end soon. */
  readonly settled: number;
  /** How often workers are asked for a sign of life. One that owes several hangs. */
  readonly pingEvery: number;
};

const SUPERVISION: Supervision = {
  firstWait: 500,
  longestWait: 30_000,
  settled: 10_000,
  pingEvery: 5_000,
};
const UNANSWERED_PINGS = 3;
/** So much of what a worker has counted is lost at most where it is killed. */
const MEASURE_EVERY_MS = 60_000;
/** One that is busy is not waited for. */
const MEASURE_MS = 1_000;

/** @throws if the first workers do not get to listen, with the reason. */
export async function serveWithWorkers(
  first: Configuration,
  resources: Resources & {
    readonly env: Readonly<Record<string, string | undefined>>;
    readonly sinks: Pick<Sinks, "log" | "audit">;
  },
  certificates: readonly Pair[] = [],
  { firstWait, longestWait, settled, pingEvery }: Supervision = SUPERVISION,
): Promise<Serving> {
  const { stores, mailbox, env, sinks } = resources;
  let { loggers } = resources;
  const lastDay = async () => {
    const quarters = (await measuresOfWorkers()).map((one) => one.quarters);
    return mergeDay([resources.measured.day.quarters(), ...quarters], systemClock.now());
  };
  const measured = { ...resources.measured, lastDay };
  let configuration = first;
  let pairs = certificates;
  let gateway = composeGateway(configuration, { ...resources, measured });
  // It answers the command line.
  await gateway.prepare();
  /** No worker is started any more. */
  let ending = false;
  const log = () => loggers("main");
  /** Starts, ends and reloads of workers never overlap. */
  const serially = createSerially();

  /** Every worker that runs, those that are leaving too. */
  const all = new Set<WorkerHandle>();
  function broadcast(event: StoreEvent): void {
    for (const worker of all) worker.send(event);
  }
  const forMailbox = { send: (mail: unknown) => mailbox.send(mail as Mail), mails: () => mailbox.mails() };
  const answer = serveStore(stores, { mailbox: forMailbox, metrics: { lastDay } }, broadcast);
  function takeLines({ lost, ...lines }: Lines): void {
    for (const line of lines.log) sinks.log(line);
    for (const line of lines.audit) sinks.audit(line);
    if (lost > 0) log().warn("lines of a worker were lost on their way to the sinks", { lines: lost });
  }
  const slots: Slot[] = [];
  const serving = () => slots.flatMap(({ worker }) => worker ?? []);

  /** Of workers that have ended. */
  let ended = NOTHING;
  /** Of one that does not answer in time, as it said last. */
  async function measuresOfWorkers(): Promise<readonly Measures[]> {
    await Promise.all(
      [...all].map((worker) => worker.order({ verb: "measure" }, MEASURE_MS).catch(() => {})),
    );
    return [ended, ...[...all].map(({ measures }) => measures)];
  }

  /** Resolves when it listens. */
  async function start(): Promise<WorkerHandle> {
    const worker = startWorker({ configuration, certificates: pairs, env, answer, takeLines });
    all.add(worker);
    void worker.exited.then(() => {
      all.delete(worker);
      ended = mergeEnded([ended, worker.measures]);
    });
    try {
      await worker.listening;
    } catch (error) {
      worker.kill();
      throw error;
    }
    log().info("worker listens", { worker: worker.pid });
    void watch(worker);
    return worker;
  }

  /** Counts, and does not only time: where this process too was held up, an answer may be there and not yet read. */
  async function watch(worker: WorkerHandle): Promise<void> {
    let owed = 0;
    const hear = () => {
      owed = 0;
    };
    while (owed < UNANSWERED_PINGS) {
      owed++;
      worker.order({ verb: "ping" }, 2 * UNANSWERED_PINGS * pingEvery).then(hear, () => {});
      await Bun.sleep(pingEvery);
      if (worker.isGone || ending) return;
    }
    log().error("a worker gives no sign of life and is killed", { worker: worker.pid });
    worker.kill();
  }

  /** Whenever the worker of a slot ends, starts another, until there is no use for it. */
  async function keep(slot: Slot): Promise<void> {
    const isGivenUp = () => ending || !slots.includes(slot);
    let startedAt = performance.now();
    for (let failures = 0; !isGivenUp(); ) {
      const { worker } = slot;
      if (worker !== undefined) {
        const how = await worker.exited;
        slot.worker = undefined;
        if (isGivenUp()) return;
        if (performance.now() - startedAt > settled) failures = 0;
        log().error("a worker ended, another will be started", { worker: worker.pid, how });
      }
      await Bun.sleep(Math.min(firstWait * 2 ** failures++, longestWait));
      startedAt = performance.now();
      try {
        slot.worker = await serially(async () => (isGivenUp() ? undefined : start()));
      } catch (error) {
        if (!ending) log().error("a worker does not start", { reason: messageOf(error) });
      }
    }
  }

  /** @throws with the first reason, if not all of them get to listen. */
  async function fill(count: number): Promise<void> {
    const added = Array.from({ length: count }, async () => {
      const slot: Slot = { worker: await start() };
      slots.push(slot);
      void keep(slot);
    });
    await Promise.all(added);
  }

  /** One that does not go on with the configuration there is by now is replaced by one that does. */
  async function reloadWorker(worker: WorkerHandle): Promise<void> {
    try {
      await worker.order({ verb: "reload", configuration });
    } catch (error) {
      if (ending || worker.isGone) return;
      log().error("a worker was not reloaded and is killed", {
        worker: worker.pid,
        reason: messageOf(error),
      });
      worker.kill();
    }
  }

  /** Has its answer in the connections that are kept, or ends, which is seen elsewhere. */
  function tell(workers: readonly WorkerHandle[], verb: "retire" | "resume"): void {
    for (const worker of workers) worker.order({ verb }).catch(() => {});
  }

  /** Resolves when no connection arrives there. One that hangs, or does not end in time, is killed. */
  async function stopWorker(worker: WorkerHandle, withinMs: number): Promise<void> {
    const late = setTimeout(worker.kill, withinMs + ANSWER_MS);
    void worker.exited.then(() => clearTimeout(late));
    await worker.order({ verb: "stop", withinMs }).catch(worker.kill);
  }

  try {
    await fill(first.options.workers);
  } catch (error) {
    ending = true;
    for (const worker of all) worker.kill();
    throw error;
  }
  const measuring = setInterval(measuresOfWorkers, MEASURE_EVERY_MS);

  return {
    get gateway() {
      return gateway;
    },
    reload: (next, compose, nextLoggers) =>
      serially(async () => {
        // Composed here first: what cannot be composed changes nothing.
        const composed = compose(next, {
          stores,
          mailbox,
          measured,
          loggers: nextLoggers,
          live: gateway.live,
        });
        await composed.prepare();
        const before = configuration;
        configuration = next;
        try {
          await fill(Math.max(0, next.options.workers - slots.length));
        } catch (error) {
          configuration = before;
          await composed.replaced();
          throw error;
        }
        const last = gateway;
        gateway = composed;
        loggers = nextLoggers;
        await last.replaced();
        await last.closeAudit();
        const surplus = slots.splice(next.options.workers);
        await Promise.all(serving().map(reloadWorker));
        const leaving = surplus.flatMap(({ worker }) => worker ?? []);
        tell(leaving, "retire");
        if (leaving.length > 0) await Bun.sleep(RETIRE_MS);
        await Promise.all(leaving.map((worker) => stopWorker(worker, REPLACED_DRAIN_MS)));
      }),
    certify: (next) =>
      serially(async () => {
        pairs = next;
        // One that does not is replaced by one that does.
        await Promise.all(
          serving().map((worker) =>
            worker.order({ verb: "certify", certificates: next }).catch(() => worker.kill()),
          ),
        );
      }),
    retire: () => tell(serving(), "retire"),
    resume: () => tell(serving(), "resume"),
    async measures() {
      const [own, workers] = await Promise.all([gateway.metrics.measures(true), measuresOfWorkers()]);
      return [own, ...workers];
    },
    healthy: () => serving().length > 0,
    stop(withinMs) {
      ending = true;
      clearInterval(measuring);
      const workers = [...all];
      return {
        closed: Promise.all(workers.map((worker) => stopWorker(worker, withinMs))).then(() => {}),
        ended: Promise.all(workers.map(({ exited }) => exited)).then(() => gateway.replaced()),
      };
    },
  };
}
