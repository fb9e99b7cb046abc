import type { Clock } from "../../clock.ts";
import type { Logger } from "../../observe/logger.ts";
import { StoreUnavailable } from "../records.ts";
import { takenChannel } from "./keys.ts";
import { openPair, type Pair } from "./pair.ts";

/** The way to the server, for as long as the stores are open. Connections come and go; it comes back by itself. */
export type Link = {
  /** Sends one command. @throws {StoreUnavailable} at once while the server is away, and after 2 s without an answer. */
  run(command: string, args: string[]): Promise<unknown>;
  /** Sees that the server takes writes, or did so within the last second. @throws {StoreUnavailable} */
  ready(): Promise<void>;
  /**
   * Whole milliseconds on a clock that all machines share, and that setting a gateway's wall clock does not move: the
   * monotonic clock, set by the server's once for each connection.
   */
  sharedNow(): number;
  /** The channel on which it is told what was taken. */
  readonly channel: string;
  /** Tells of each message on the channel. */
  onMessage(listener: (message: string) => void): void;
  /** Tells when the channel can be heard again, after some may have been missed. */
  onMissed(listener: () => void): void;
  close(): void;
};

export type LinkSettings = { readonly url: string; readonly clock: Clock; readonly log: Logger };

const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 2_000;
/** Often enough that nothing on the way takes a silent connection for a dead one, and that a dead one is noticed. */
const CHECK_EVERY_MS = 10_000;

/**
 * Opens the way to a server, once it has been tried. That the server is away is no error: everything throws until it is
 * there.
 */
export async function openLink({ url, clock, log }: LinkSettings): Promise<Link> {
  const { host: server, pathname } = new URL(url);
  const channel = takenChannel(pathname.slice(1));
  const messageListeners: Array<(message: string) => void> = [];
  const missedListeners: Array<() => void> = [];
  const closing = new AbortController();
  let pair: Pair | undefined;
  /** Why there is no pair. */
  let reason = "";
  let ahead = 0;
  let pause = 0;
  let openedAt = 0;

  /** @returns why it failed, or undefined. */
  async function attempt(): Promise<string | undefined> {
    try {
      pair = await openPair({
        url,
        channel,
        clock,
        log,
        signal: closing.signal,
        onMessage(message) {
          for (const listener of messageListeners) listener(message);
        },
        onLost,
      });
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error;
      pause = longer(pause);
      return error.message;
    }
    ahead = pair.ahead;
    openedAt = performance.now();
    for (const listener of missedListeners) listener();
    await warnOfForgetting(pair, log);
    return undefined;
  }

  function onLost(lost: Pair, why: string): void {
    if (lost !== pair) return;
    pair = undefined;
    reason = why;
    if (closing.signal.aborted) return;
    log.warn("lost the store", { reason, server });
    // At once, unless the one before did not last either.
    pause = performance.now() - openedAt > MAX_PAUSE_MS ? 0 : longer(pause);
    void comeBack();
  }

  async function comeBack(): Promise<void> {
    for (;;) {
      await sleep(pause, closing.signal);
      if (closing.signal.aborted) return;
      const failure = await attempt();
      if (failure === undefined) break;
      if (failure !== reason) log.debug("the store is still away", { reason: failure, server });
      reason = failure;
    }
    log.info("the store is back", { server });
  }

  function present(): Pair {
    if (pair === undefined) throw new StoreUnavailable(reason);
    return pair;
  }

  const failure = await attempt();
  if (failure !== undefined) {
    reason = failure;
    log.warn("the store cannot be reached yet", { reason, server });
    void comeBack();
  }
  const checks = setInterval(() => {
    // It hangs up if need be, and that is all there is to do.
    pair?.check().catch(() => {});
  }, CHECK_EVERY_MS);
  checks.unref();

  return {
    run: async (command, args) => present().run(command, args),
    ready: async () => present().ready(),
    sharedNow: () => Math.floor(clock.monotonic() + ahead),
    channel,
    onMessage: (listener) => {
      messageListeners.push(listener);
    },
    onMissed: (listener) => {
      missedListeners.push(listener);
    },
    close() {
      clearInterval(checks);
      closing.abort();
    },
  };
}

const longer = (pause: number) => Math.min(Math.max(FIRST_PAUSE_MS, 2 * pause), MAX_PAUSE_MS);

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
    function done() {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
  });
}

/** A server that makes room by forgetting keys, or starts anew without them, can forget that a link was used. */
async function warnOfForgetting(pair: Pair, log: Logger): Promise<void> {
  // Not every user may ask, and an operator who has seen to that has seen to more.
  const about = String(await pair.run("INFO", ["memory", "persistence"]).catch(() => ""));
  const policy = /^maxmemory_policy:(\S+)/m.exec(about)?.[1] ?? "noeviction";
  const limited = !/^maxmemory:0\s/m.test(about);
  if (limited && policy !== "noeviction") {
    log.warn("the store may forget spent links before their time: set maxmemory-policy to noeviction", {
      policy,
    });
  }
  if (/^aof_enabled:0\s/m.test(about)) {
    log.warn("the store forgets spent links and sessions when it restarts: set appendonly to yes");
  }
}
