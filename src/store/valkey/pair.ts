import { RedisClient } from "bun";
import type { Clock } from "../../clock.ts";
import type { Logger } from "../../observe/logger.ts";
import { messageOf } from "../../observe/message-of.ts";
import { StoreUnavailable } from "../records.ts";
import { READY_FOR_MS } from "../store.ts";
import { diagnose } from "./diagnosis.ts";
import { PROBE, SINCE } from "./keys.ts";
import { takeOver } from "./predecessor.ts";
import { ValkeyRefusal } from "./refusal.ts";

/**
 * Two connections that are used as one: commands go out on the first, and the second hears what is told, because a
 * connection that listens can do nothing else. They live and die together: while one is missing, either nothing can be
 * done or nothing is heard. A pair that is lost stays lost.
 */
export type Pair = {
  /** Sends one command. @throws {StoreUnavailable} */
  run(command: string, args: string[]): Promise<unknown>;
  /** Sees that the server takes writes, or did so within the last second. @throws {StoreUnavailable} */
  ready(): Promise<void>;
  /** Sees that both connections are alive, and hangs up if not. */
  check(): Promise<void>;
  /** Milliseconds by which the server's clock is ahead of the monotonic one. */
  readonly ahead: number;
};

export type PairSettings = {
  /** `redis:` or `rediss:`, with port and database number. */
  readonly url: string;
  readonly channel: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Hangs up when it is aborted. */
  readonly signal: AbortSignal;
  readonly onMessage: (message: string) => void;
  /** Tells once that an open pair is lost, and why. */
  readonly onLost: (pair: Pair, reason: string) => void;
};

/** Longer than any command takes, and short enough for a visitor to wait. */
const TIMEOUT_MS = 2_000;

const NO_ANSWER = "The Valkey server does not answer.";
const HUNG_UP = "The Valkey server closed the connection.";
const CLOSED = "The store has been closed.";

/** Refuses writes, and still answers questions: who is signed in may stay so. */
const READ_ONLY_FOR_NOW: ReadonlySet<string> = new Set(["OOM", "MISCONF", "NOREPLICAS"]);

/**
 * Opens both connections.
 * @throws {StoreUnavailable} with a reason for the operator.
 */
export async function openPair(settings: PairSettings): Promise<Pair> {
  const { url, channel, clock, log, signal } = settings;
  // Without any help of the client's own: after a loss it gives up some day, and it would send late what waits.
  const options = { autoReconnect: false, enableOfflineQueue: false, connectionTimeout: 2 * TIMEOUT_MS };
  const commands = new RedisClient(url, options);
  const events = new RedisClient(url, options);
  let lostBecause: string | undefined;
  let open: Pair | undefined;
  let readyUntil = Number.NEGATIVE_INFINITY;
  let asking: Promise<void> | undefined;

  /** Hangs up, which fails whatever still waits for an answer: no late one can be taken for another's. */
  function lose(reason: string): void {
    if (lostBecause !== undefined) return;
    lostBecause = reason;
    signal.removeEventListener("abort", close);
    commands.close();
    events.close();
    if (open !== undefined) settings.onLost(open, reason);
  }
  const close = () => lose(CLOSED);
  signal.addEventListener("abort", close);
  commands.onclose = () => lose(HUNG_UP);
  events.onclose = () => lose(HUNG_UP);

  /** The answer, within the time there is for it. */
  async function answered<T>(ask: () => Promise<T>): Promise<T> {
    if (lostBecause !== undefined) throw new StoreUnavailable(lostBecause);
    const timer = setTimeout(lose, TIMEOUT_MS, NO_ANSWER);
    try {
      return await ask();
    } catch (error) {
      throw explained(error as Error & { readonly code?: string });
    } finally {
      clearTimeout(timer);
    }
  }

  function explained({ code = "", message }: Error & { readonly code?: string }): StoreUnavailable {
    readyUntil = Number.NEGATIVE_INFINITY;
    if (!code.startsWith("ERR_REDIS_CONNECTION")) {
      const refusal = new ValkeyRefusal(message);
      // Some replies repeat what a command was given.
      if (!refusal.known) log.warn("an error of the store's", { reply: message.split(", with args", 1)[0] });
      // It was the primary when the connection was made. The one that is now may go by the same name.
      if (refusal.word === "READONLY") lose(refusal.message);
      return refusal;
    }
    lose(HUNG_UP);
    return new StoreUnavailable(lostBecause);
  }

  const run = (command: string, args: string[]) => answered(() => commands.send(command, args));

  async function probe(): Promise<void> {
    await run("SET", [PROBE, "", "PX", "60000"]);
  }

  /** Before the first ticket is issued that it may be asked about; and again soon after a server has been emptied. */
  async function beginTime(): Promise<void> {
    await run("SET", [SINCE, String(clock.now()), "NX"]);
  }

  const keepUp = () => takeOver({ run, channel }, { clock, log });

  /** One question at a time, however many ask: the endpoint is open to everybody. */
  async function ready(): Promise<void> {
    if (lostBecause === undefined && clock.monotonic() < readyUntil) return;
    asking ??= probe().finally(() => {
      asking = undefined;
    });
    await asking;
    readyUntil = clock.monotonic() + READY_FOR_MS;
  }

  async function connect(): Promise<void> {
    try {
      await answered(() => Promise.all([commands.connect(), events.connect()]));
    } catch (error) {
      // Of all reasons this one says nothing, and Bun's client knows no more.
      if (lostBecause !== HUNG_UP) throw error;
      throw new StoreUnavailable(await diagnose(url, TIMEOUT_MS));
    }
  }

  async function measureClock(): Promise<number> {
    const before = clock.monotonic();
    const [seconds, micros] = (await run("TIME", [])) as [string, string];
    const middle = (before + clock.monotonic()) / 2;
    return Math.round(Number(seconds) * 1000 + Number(micros) / 1000 - middle);
  }

  try {
    await connect();
    const ahead = await measureClock();
    await Promise.all([probe(), beginTime().then(keepUp)]).catch((error: unknown) => {
      if (!(error instanceof ValkeyRefusal && READ_ONLY_FOR_NOW.has(error.word))) throw error;
    });
    await answered(() => events.subscribe(channel, settings.onMessage));
    if (lostBecause !== undefined) throw new StoreUnavailable(lostBecause);
    open = {
      run,
      ready,
      async check() {
        await Promise.all([probe(), beginTime(), answered(() => events.ping())]);
        await keepUp();
      },
      ahead,
    };
    return open;
  } catch (error) {
    lose(messageOf(error));
    throw error;
  }
}
