import type { Configuration } from "../config/configuration.ts";
import type { Mailbox } from "../mail/mailbox.ts";
import type { LoggerFor } from "../observe/log.ts";
import type { OutboxEntry, Stores } from "../store/contracts.ts";
import { hostStores } from "../store/remote/host.ts";
import type { Fleet } from "./fleet.ts";
import { composeGateway, openLog, reasonOf } from "./parts.ts";
import { createPlaces } from "./steering.ts";
import { type Holder, takeOut } from "./take-out.ts";
import { startWorker, type WorkerHandle } from "./worker-handle.ts";

/**
 * Several processes on one port, and this one watching over them. It answers no request. With the memory store it keeps the
 * state that they share (`store/remote`); other stores each of them opens for itself.
 */

/** One of the places to be filled with a worker. */
type Slot = { worker: WorkerHandle | undefined; failures: number; startedAt: number };

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;
/** A worker that has run for longer did not fail at its start. */
const SETTLED_MS = 10_000;
const PING_EVERY_MS = 5_000;
/** A worker that gives no sign of life for longer hangs. */
const PATIENCE_MS = 30_000;
/** A worker that drains ends by itself after 10 seconds. */
const END_MS = 15_000;
/** Of workers that ended within this time of each other, nobody can tell which socket was closed first. */
const TOGETHER_MS = 200;

/** @throws if the first workers do not get to listen, with the reason. */
export async function openWorkers(
  first: Configuration,
  parts: {
    readonly stores: Stores;
    readonly mailbox: Mailbox;
    readonly loggers: LoggerFor;
    readonly env: Readonly<Record<string, string | undefined>>;
  },
): Promise<Fleet> {
  const { stores, mailbox, env } = parts;
  let { loggers } = parts;
  let configuration = first;
  let gateway = composeGateway(configuration, parts);
  let stopping = false;
  const log = () => loggers("main");

  const answer = hostStores(stores, {
    "mailbox.send": (entry) => mailbox.send(entry as OutboxEntry),
    "mailbox.mails": () => mailbox.mails(),
  });
  const places = createPlaces<Holder>();
  /** Whether `places` is as the kernel's list is. */
  let orderIsKnown = true;
  let lastCrashAt = Number.NEGATIVE_INFINITY;
  /** Every worker that runs, those that are leaving too. */
  const all = new Set<WorkerHandle>();
  const slots: Slot[] = [];

  stores.sessions.onEnded((session) => {
    for (const worker of all) worker.tell({ kind: "ended", session });
  });

  /** Resolves when it listens. One after the other: their order is the kernel's. */
  async function start(using: Configuration): Promise<WorkerHandle> {
    const worker = startWorker({ configuration: using, env, answer });
    all.add(worker);
    void worker.exited.then((how) => ended(worker, how));
    try {
      await worker.listening;
    } catch (error) {
      worker.kill();
      throw error;
    }
    places.add(worker);
    log().info("worker listens", { worker: worker.pid });
    return worker;
  }

  function ended(worker: WorkerHandle, how: string): void {
    all.delete(worker);
    const slot = slots.find((one) => one.worker === worker);
    if (places.list.includes(worker)) {
      const now = performance.now();
      if (now - lastCrashAt < TOGETHER_MS) orderIsKnown = false;
      lastCrashAt = now;
      places.remove(worker);
    }
    if (stopping || slot === undefined) return;
    slot.worker = undefined;
    log().error("a worker ended, another will be started", { worker: worker.pid, how });
    const settled = performance.now() - slot.startedAt > SETTLED_MS;
    slot.failures = settled ? 0 : slot.failures + 1;
    refillLater(slot);
  }

  function refillLater(slot: Slot): void {
    const wait = Math.min(FIRST_WAIT_MS * 2 ** slot.failures, LONGEST_WAIT_MS);
    setTimeout(() => void inTurn(() => refill(slot)), wait);
  }

  async function refill(slot: Slot): Promise<void> {
    if (stopping || slot.worker !== undefined || !slots.includes(slot)) return;
    slot.startedAt = performance.now();
    try {
      slot.worker = await start(configuration);
    } catch (error) {
      slot.failures++;
      log().error("a worker does not start", { reason: reasonOf(error) });
      refillLater(slot);
    }
  }

  /** Starts and replacements never overlap: the order of the sockets would be anybody's guess. */
  let turn: Promise<unknown> = Promise.resolve();
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = turn.then(work);
    turn = result.catch(() => {});
    return result;
  }

  async function steer(where: readonly number[] | "all", through?: Holder): Promise<boolean> {
    const asked = slots.map((slot) => slot.worker).find((worker) => worker !== undefined);
    const worker = [...all].find((one) => one === through) ?? asked;
    return orderIsKnown && worker !== undefined ? worker.steer(where) : false;
  }

  async function retire(leaving: WorkerHandle): Promise<void> {
    const staying = slots.flatMap(({ worker }) => (worker === undefined ? [] : [worker]));
    const { steered } = await takeOut({ places, leaving: [leaving], staying, steer });
    if (!steered) log().debug("new connections could not be steered away", { worker: leaving.pid });
    endInTime(leaving);
  }

  async function replaceAll(next: Configuration): Promise<void> {
    const { workers } = next.options;
    for (let i = 0; i < Math.max(workers, slots.length); i++) {
      if (stopping) return;
      const slot = slots[i] ?? { worker: undefined, failures: 0, startedAt: 0 };
      const before = slot.worker;
      slot.worker = i < workers ? await start(next) : undefined;
      slot.startedAt = performance.now();
      slot.failures = 0;
      if (slots[i] === undefined) slots.push(slot);
      if (before !== undefined) await retire(before);
    }
    slots.length = workers;
    if (places.list.length === workers) orderIsKnown = true;
  }

  function endInTime(worker: WorkerHandle): Promise<void> {
    const timer = setTimeout(() => worker.kill(), END_MS);
    return worker.exited.then(() => clearTimeout(timer));
  }

  for (let i = 0; i < configuration.options.workers; i++) {
    try {
      slots.push({ worker: await start(configuration), failures: 0, startedAt: performance.now() });
    } catch (error) {
      stopping = true;
      for (const worker of all) worker.kill();
      throw error;
    }
  }

  const watch = setInterval(() => {
    for (const { worker } of slots) {
      if (worker === undefined || worker.ping() < PATIENCE_MS) continue;
      log().error("a worker gives no sign of life and is killed", { worker: worker.pid });
      worker.kill();
    }
  }, PING_EVERY_MS);

  return {
    get gateway() {
      return gateway;
    },
    places,
    get holders() {
      return slots.flatMap(({ worker }) => (worker === undefined ? [] : [worker]));
    },
    steer,
    reload: (next, compose) =>
      inTurn(async () => {
        await replaceAll(next);
        configuration = next;
        ({ loggers } = openLog(next.options));
        gateway = compose(next, { stores, mailbox, loggers });
      }),
    healthy: () => slots.some(({ worker }) => worker !== undefined),
    async stop() {
      stopping = true;
      clearInterval(watch);
      for (const worker of all) void worker.close();
      await Promise.all([...all].map(endInTime));
    },
  };
}
