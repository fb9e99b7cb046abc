import type { Clock, Pause, Random } from "../clock.ts";
import { atMostEvery } from "../observe/at-most-every.ts";
import type { Logger } from "../observe/logger.ts";
import { messageOf } from "../observe/message-of.ts";
import { createQueue } from "./queue.ts";
import type { Spool } from "./spool.ts";
import { Refused, type Transport, TryLater } from "./transport.ts";

/** Lines on their way to one sink. Adding one never waits and never throws, whatever the sink does. */
export type Delivery = {
  add(line: string): void;
  reopen(): void;
  /** Sends what is there, for so long, and keeps or counts what is left. */
  close(withinMs: number): Promise<void>;
  state(): SinkState;
};

export type SinkState = {
  readonly sink: string;
  /** Characters that wait in memory. */
  readonly pending: number;
  /** Lines that never arrive there, since the start. */
  readonly lost: number;
};

export type DeliverySettings = {
  readonly name: string;
  readonly transport: Transport;
  /** Where lines go that the sink does not take. Without one the oldest fall when there are too many. */
  readonly spool?: Spool | undefined;
  readonly log: () => Pick<Logger, "info" | "warn">;
  readonly clock: Clock;
  readonly random: Random;
  readonly pause: Pause;
};

/** How long lines wait for company. */
const GATHER_MS = 1_000;
const TIMEOUT_MS = 10_000;
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 60_000;
/** As long as a sink may ask for. */
const LONGEST_ASKED_MS = 10 * 60_000;
/** Between two lines about the same trouble, each of which is one more line for the sink. */
const SAY_EVERY_MS = 60_000;

export function createDelivery(settings: DeliverySettings): Delivery {
  const { name, transport, spool, log, clock, random, pause } = settings;
  const queue = createQueue();
  const mayComplain = atMostEvery(SAY_EVERY_MS);
  const mayReckon = atMostEvery(SAY_EVERY_MS);
  let wake = Promise.withResolvers<void>();
  /** Whether a whole batch is waited for, and not only the end of a pause. */
  let gathering = false;
  let working: Promise<void> | undefined;
  let underway: AbortController | undefined;
  let closing = false;
  let over = false;
  /** And this has been said. */
  let isDown = false;
  let lost = 0;
  let unsaid = 0;

  function add(line: string): void {
    lose(over ? 1 : queue.add(line));
    if (over) return;
    if (gathering && queue.hasBatch) wake.resolve();
    if (spool !== undefined && queue.isHalfFull) void spill();
    start();
  }

  function start(): void {
    working ??= work().finally(() => {
      working = undefined;
      // A line that came while the last look found nothing.
      if (queue.length > 0 && !over) start();
    });
  }

  function lose(lines: number): void {
    lost += lines;
    unsaid += lines;
  }

  async function rest(milliseconds: number): Promise<void> {
    wake = Promise.withResolvers();
    await Promise.race([pause(milliseconds), wake.promise]);
  }

  async function work(): Promise<void> {
    for (let failures = 0; !over; ) {
      if (failures === 0 && !queue.hasBatch && !closing) {
        gathering = true;
        await rest(GATHER_MS);
        gathering = false;
      }
      const next = await take();
      if (next === undefined || over) return;
      const failure = await attempt(next.lines);
      if (failure === undefined) {
        await next.done();
        arrived();
        failures = 0;
      } else {
        isDown ||= complain(failure);
        await spill();
        await back(failures++, failure instanceof TryLater ? failure.afterMs : undefined);
      }
    }
  }

  /** What is on disk came first. */
  async function take(): Promise<{ readonly lines: readonly string[]; done(): unknown } | undefined> {
    try {
      const kept = await spool?.oldest();
      if (kept !== undefined) return { lines: kept.lines, done: () => kept.done().catch(complain) };
    } catch (error) {
      complain(error);
    }
    if (queue.length === 0) return undefined;
    const { lines, end } = queue.batch();
    return { lines, done: () => queue.release(end) };
  }

  /** @returns why it did not succeed, if trying again may help. */
  async function attempt(lines: readonly string[]): Promise<Error | undefined> {
    const controller = new AbortController();
    underway = controller;
    void pause(TIMEOUT_MS).then(() => controller.abort(new Error("it does not answer in time")));
    try {
      lose(await transport.send(lines, controller.signal));
      return undefined;
    } catch (error) {
      if (!(error instanceof Refused)) return error instanceof Error ? error : new Error(messageOf(error));
      lose(lines.length);
      complain(error);
      return undefined;
    } finally {
      underway = undefined;
    }
  }

  function arrived(): void {
    if (isDown) log().info("a sink takes lines again", { sink: name });
    isDown = false;
    if (unsaid === 0 || !mayReckon(clock.monotonic())) return;
    const lines = unsaid;
    unsaid = 0;
    log().warn(`${lines} lines lost for sink ${name}`);
  }

  /** @returns whether it was said. */
  function complain(error: unknown): boolean {
    const due = mayComplain(clock.monotonic());
    if (due) log().warn("a sink does not take lines", { sink: name, reason: messageOf(error) });
    return due;
  }

  /** Half of the time for certain, the rest by chance, so that many do not come back at once. */
  async function back(failures: number, asked: number | undefined): Promise<void> {
    const [byte = 0] = random.bytes(1);
    const usual = Math.min(FIRST_WAIT_MS * 2 ** failures, LONGEST_WAIT_MS) * (0.5 + byte / 512);
    await rest(closing ? FIRST_WAIT_MS : Math.min(asked ?? usual, LONGEST_ASKED_MS));
  }

  let spilling: Promise<void> | undefined;
  /** Puts the lines in memory on disk. What finds no room there stays. */
  function spill(): Promise<void> {
    if (spool === undefined) return Promise.resolve();
    spilling ??= spillTo(spool).finally(() => {
      spilling = undefined;
    });
    return spilling;
  }

  async function spillTo(to: Spool): Promise<void> {
    try {
      while (queue.length > 0) {
        const { lines, end } = queue.batch();
        if (!(await to.put(lines))) throw new Error("what waits for it has filled its room on disk");
        queue.release(end);
      }
    } catch (error) {
      complain(error);
    }
  }

  // What an earlier process has left.
  if (spool !== undefined) start();

  return {
    add,
    reopen() {
      transport.reopen?.();
    },
    async close(withinMs) {
      closing = true;
      wake.resolve();
      const late = pause(withinMs).then(() => true);
      while (working !== undefined && !(await Promise.race([working.then(() => false), late])));
      over = true;
      underway?.abort(new Error("this process ends"));
      wake.resolve();
      await spill();
      lose(queue.length);
      if (unsaid > 0) log().warn(`${unsaid} lines lost for sink ${name}`);
      // A disk or a peer may hang here too.
      await Promise.race([transport.close(), pause(FIRST_WAIT_MS)]);
    },
    state: () => ({ sink: name, pending: queue.characters, lost }),
  };
}
