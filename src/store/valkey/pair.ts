import { RedisClient } from "bun";
import type { Logger } from "../../observe/logger.ts";
import { messageOf } from "../../observe/message-of.ts";
import { StoreUnavailable } from "../records.ts";
import { diagnose } from "./diagnosis.ts";
import { ValkeyRefusal } from "./refusal.ts";
import type { Run } from "./script.ts";

/**
 * Two connections that are used as one: commands go out on the first, and the second hears what is told, because a
 * connection that listens can do nothing else. They live and die together: while one is missing, either nothing can be
 * done or nothing is heard. A pair that is lost stays lost.
 */
export type Pair = {
  /** Sends one command. @throws {StoreUnavailable} */
  readonly run: Run;
  /** Sees that what is told can be heard, and hangs up if not. @throws {StoreUnavailable} */
  ping(): Promise<unknown>;
  /** Hangs up, which fails whatever still waits for an answer: no late one can be taken for another's. */
  lose(reason: string): void;
  isLost(): boolean;
};

const TIMEOUT_MS = 2_000;

const NO_ANSWER = "The Valkey server does not answer.";
export const HUNG_UP = "The Valkey server closed the connection.";

/**
 * Opens both connections.
 * @throws {StoreUnavailable} with a reason for the operator.
 */
export async function openPair(settings: {
  /** `redis:` or `rediss:`, with port and database number. */
  readonly url: string;
  readonly channel: string;
  readonly log: Logger;
  /** Hangs up when it is aborted, for the reason that it gives. */
  readonly signal: AbortSignal;
  /** In milliseconds, for an answer. Without it, longer than any command takes, and short enough for a visitor to wait. */
  readonly patience?: number;
  readonly onMessage: (message: string) => void;
  /** Tells once that the pair is lost, and why. */
  readonly onLost: (reason: string) => void;
}): Promise<Pair> {
  const { url, channel, log, signal, patience = TIMEOUT_MS } = settings;
  // Without any help of the client's own: after a loss it gives up some day, and it would send late what waits.
  const options = { autoReconnect: false, enableOfflineQueue: false, connectionTimeout: 2 * TIMEOUT_MS };
  const commands = new RedisClient(url, options);
  const events = new RedisClient(url, options);
  let lostBecause: string | undefined;

  function lose(reason: string): void {
    if (lostBecause !== undefined) return;
    lostBecause = reason;
    signal.removeEventListener("abort", close);
    for (const client of [commands, events]) client.close();
    settings.onLost(reason);
  }
  const close = () => lose(String(signal.reason));
  signal.addEventListener("abort", close);
  for (const client of [commands, events]) client.onclose = () => lose(HUNG_UP);

  /** The answer, within the time there is for it. */
  async function answered<T>(ask: () => Promise<T>): Promise<T> {
    if (lostBecause !== undefined) throw new StoreUnavailable(lostBecause);
    const timer = setTimeout(lose, patience, NO_ANSWER);
    try {
      return await ask();
    } catch (error) {
      throw explained(error as Error & { readonly code?: string });
    } finally {
      clearTimeout(timer);
    }
  }

  function explained({ code = "", message }: Error & { readonly code?: string }): StoreUnavailable {
    if (code.startsWith("ERR_REDIS_CONNECTION")) {
      lose(HUNG_UP);
      return new StoreUnavailable(lostBecause);
    }
    const refusal = new ValkeyRefusal(message);
    // Some replies repeat what a command was given.
    if (!refusal.known) log.warn("an error of the store's", { reply: message.split(", with args", 1)[0] });
    // It was the primary when the connection was made. The one that is now may go by the same name.
    if (refusal.word === "READONLY") lose(refusal.message);
    return refusal;
  }

  try {
    await answered(() => Promise.all([commands.connect(), events.connect()]));
    await answered(() => events.subscribe(channel, settings.onMessage));
  } catch (error) {
    const hungUp = lostBecause === HUNG_UP;
    lose(messageOf(error));
    // Of all reasons this one says nothing, and Bun's client knows no more.
    throw hungUp ? new StoreUnavailable(await diagnose(url, TIMEOUT_MS)) : error;
  }
  return {
    run: (command, args) => answered(() => commands.send(command, args)),
    ping: () => answered(() => events.ping()),
    lose,
    isLost: () => lostBecause !== undefined,
  };
}
