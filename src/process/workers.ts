import type { Configuration } from "../config/configuration.ts";
import type { Mailbox } from "../mail/mailbox.ts";
import type { LoggerFor } from "../observe/log.ts";
import { messageOf } from "../observe/message-of.ts";
import type { OutboxEntry, Stores } from "../store/contracts.ts";
import { hostStores } from "../store/remote/host.ts";
import type { Fleet } from "./fleet.ts";
import { composeGateway } from "./parts.ts";
import { createPlaces } from "./steering.ts";
import { type Holder, takeOut } from "./take-out.ts";
import { createTurns } from "./turns.ts";
import { startWorker, type WorkerHandle } from "./worker-handle.ts";

/**
 * Several processes on one port, and this one watching over them. It answers no request. With the memory store it keeps the
 * state that they share (`store/remote`); other stores each of them opens for itself.
 */

/** One of the places to be filled with a worker. */
type Slot = {
  worker: WorkerHandle | undefined;
  /** In a row. */
  failures: number;
  startedAt: number;
  refill: Timer | undefined;
};

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
/** Of sockets opened or closed within this time of each other, nobody can tell which was first. */
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
  { firstWait, longestWait, settled, pingEvery }: Supervision = SUPERVISION,
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
  let starting = false;
  let lastChangeAt = Number.NEGATIVE_INFINITY;
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
    starting = true;
    try {
      await worker.listening;
    } catch (error) {
      worker.kill();
      throw error;
    } finally {
      starting = false;
    }
    places.add(worker);
    lastChangeAt = performance.now();
    log().info("worker listens", { worker: worker.pid });
    return worker;
  }

  function ended(worker: WorkerHandle, how: string): void {
    all.delete(worker);
    if (places.list.includes(worker)) {
      const now = performance.now();
      places.remove(worker);
      if (starting || now - lastChangeAt < TOGETHER_MS) places.lose();
      lastChangeAt = now;
    }
    const slot = slots.find((one) => one.worker === worker);
    if (stopping || slot === undefined || worker.isLeaving) return;
    slot.worker = undefined;
    slot.failures = performance.now() - slot.startedAt > settled ? 1 : slot.failures + 1;
    log().error("a worker ended, another will be started", { worker: worker.pid, how });
    refillLater(slot);
  }

  function refillLater(slot: Slot): void {
    const wait = Math.min(firstWait * 2 ** (slot.failures - 1), longestWait);
    slot.refill = setTimeout(() => void inTurn(() => refill(slot)), wait);
  }

  async function refill(slot: Slot): Promise<void> {
    if (stopping || slot.worker !== undefined || !slots.includes(slot)) return;
    slot.startedAt = performance.now();
    try {
      slot.worker = await start(configuration);
    } catch (error) {
      if (stopping) return;
      slot.failures++;
      log().error("a worker does not start", { reason: messageOf(error) });
      refillLater(slot);
    }
  }

  /** Starts and replacements never overlap: the order of the sockets would be anybody's guess. */
  const inTurn = createTurns();

  function serving(): WorkerHandle[] {
    return slots.flatMap(({ worker }) => (worker === undefined ? [] : [worker]));
  }

  async function steer(where: readonly number[] | "all", through?: Holder): Promise<boolean> {
    const worker = [...all].find((one) => one === through) ?? serving()[0];
    return places.isKnown && worker !== undefined ? worker.steer(where) : false;
  }

  async function retire(leaving: WorkerHandle): Promise<void> {
    const { steered } = await takeOut({
      places,
      leaving: [leaving],
      staying: serving(),
      // Through one that stays: what leaves may do so because it hangs.
      steer: (where) => steer(where),
    });
    lastChangeAt = performance.now();
    if (steered) return;
    log().warn("a connection may have been lost: they cannot be steered here", { worker: leaving.pid });
  }

  async function replaceAll(next: Configuration): Promise<void> {
    const { workers } = next.options;
    for (let i = 0; i < Math.max(workers, slots.length); i++) {
      if (stopping) return;
      const slot = slots[i] ?? emptySlot();
      const before = slot.worker;
      slot.worker = i < workers ? await start(next) : undefined;
      // From here on it is the one that works, whatever happens to the others.
      configuration = next;
      slot.startedAt = performance.now();
      slot.failures = 0;
      if (slots[i] === undefined) slots.push(slot);
      if (before !== undefined) await retire(before);
    }
    slots.length = workers;
  }

  for (let i = 0; i < configuration.options.workers; i++) {
    try {
      slots.push({ ...emptySlot(), worker: await start(configuration), startedAt: performance.now() });
    } catch (error) {
      stopping = true;
      for (const worker of all) worker.kill();
      throw error;
    }
  }

  const watch = setInterval(() => {
    for (const worker of serving()) {
      if (worker.ping() < UNANSWERED_PINGS) continue;
      log().error("a worker gives no sign of life and is killed", { worker: worker.pid });
      worker.kill();
    }
  }, pingEvery);

  return {
    get gateway() {
      return gateway;
    },
    places,
    get holders() {
      return serving();
    },
    steer,
    reload: (next, compose, nextLoggers) =>
      inTurn(async () => {
        await replaceAll(next);
        loggers = nextLoggers;
        gateway = compose(next, { stores, mailbox, loggers, live: gateway.live });
      }),
    undisturbed: inTurn,
    healthy: () => serving().length > 0,
    async stop(withinMs) {
      stopping = true;
      clearInterval(watch);
      for (const slot of slots) clearTimeout(slot.refill);
      for (const worker of all) worker.stop(withinMs);
      await Promise.all([...all].map(({ exited }) => exited));
    },
  };
}

function emptySlot(): Slot {
  return { worker: undefined, failures: 0, startedAt: 0, refill: undefined };
}
