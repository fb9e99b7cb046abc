import { type Clock, systemRandom } from "../../clock.ts";
import type { Logger } from "../../observe/logger.ts";
import { messageOf } from "../../observe/message-of.ts";
import { StoreUnavailable } from "../records.ts";
import { READY_FOR_MS } from "../store.ts";
import { CLOSED, type Lose, openWay } from "../way.ts";
import { COPYING, PROBE, SINCE, takenChannel } from "./keys.ts";
import { HUNG_UP, openPair, type Pair } from "./pair.ts";
import { takeOver } from "./predecessor.ts";
import { ValkeyRefusal } from "./refusal.ts";
import type { Run } from "./script.ts";

/** The way to the server, for as long as the stores are open. Connections come and go; it comes back by itself. */
export type Link = {
  /** Sends one command. @throws {StoreUnavailable} at once while the server is away, and after 2 s without an answer. */
  readonly run: Run;
  /** Sees that the server takes writes, or did so within the last second. @throws {StoreUnavailable} */
  ready(): Promise<void>;
  /**
   * Whole milliseconds on a clock that all machines share, and that setting a gateway's wall clock does not move: the
   * monotonic clock, set by the server's once for each connection.
   */
  sharedNow(): number;
  /** The channel on which it is told what was taken, and by which of all links. */
  readonly channel: string;
  readonly name: string;
  /** Tells of each message on the channel. */
  onMessage(listener: (message: string) => void): void;
  /** Tells when the channel can be heard again, after some may have been missed. */
  onMissed(listener: () => void): void;
  close(): void;
};

export type LinkSettings = {
  readonly url: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** What an older Runegate keeps there is refused, and stays as it is. */
  readonly asIs?: boolean;
};

/** Often enough that nothing on the way takes a silent connection for a dead one, and that a dead one is noticed. */
const CHECK_EVERY_MS = 10_000;
const HALF_FILLED =
  "The Valkey server is being filled by `runegate store copy`, or was and not to the end: copy again, with --replace.";
/** Refuses writes, and still answers questions: who is signed in may stay so. */
const READ_ONLY_FOR_NOW: ReadonlySet<string> = new Set(["OOM", "MISCONF", "NOREPLICAS"]);

/**
 * Opens the way to a server, once it has been tried. That the server is away is no error: everything throws until it is
 * there.
 */
export async function openLink({ url, clock, log, asIs = false }: LinkSettings): Promise<Link> {
  const { host: server, pathname } = new URL(url);
  const channel = takenChannel(pathname.slice(1));
  const name = Buffer.from(systemRandom.bytes(16)).toString("hex");
  const messageListeners: Array<(message: string) => void> = [];
  const missedListeners: Array<() => void> = [];
  const closing = new AbortController();
  const { signal } = closing;
  let ahead = 0;
  let readyUntil = Number.NEGATIVE_INFINITY;
  let probing: Promise<void> | undefined;

  const way = await openWay<Pair>({
    open: connect,
    onOpened(opened) {
      for (const listener of missedListeners) listener();
      return warnOfForgetting(opened, log);
    },
    ...{ server, log, signal },
  });

  async function run(command: string, args: string[], by = way.current()): Promise<unknown> {
    try {
      return await by.run(command, args);
    } catch (error) {
      readyUntil = Number.NEGATIVE_INFINITY;
      throw error;
    }
  }

  async function probe(by?: Pair): Promise<void> {
    await run("SET", [PROBE, "", "PX", "60000"], by);
  }

  /** Before the first ticket is issued that it may be asked about, and again soon after a server has been emptied. */
  async function keepUp(by: Pair): Promise<void> {
    await by.run("SET", [SINCE, String(clock.now()), "NX"]);
    await takeOver({ run: by.run, channel }, { clock, log, asIs });
  }

  /** Milliseconds by which the server's clock is ahead of the monotonic one. */
  async function measureClock(by: Pair): Promise<number> {
    const before = clock.monotonic();
    const [seconds, micros] = (await by.run("TIME", [])) as [string, string];
    const middle = (before + clock.monotonic()) / 2;
    return Math.round(Number(seconds) * 1000 + Number(micros) / 1000 - middle);
  }

  /** @throws {StoreUnavailable} */
  async function connect(use: (opened: Pair) => void, lose: Lose<Pair>): Promise<void> {
    let known: Pair | undefined;
    const opened = await openPair({
      ...{ url, channel, log, signal },
      onMessage(message) {
        for (const listener of messageListeners) listener(message);
      },
      onLost: (why) => known !== undefined && lose(known, why),
    });
    known = opened;
    try {
      if ((await opened.run("EXISTS", [COPYING])) !== 0) throw new StoreUnavailable(HALF_FILLED);
      ahead = await measureClock(opened);
      await Promise.all([probe(opened), keepUp(opened)]).catch((error: unknown) => {
        if (!(error instanceof ValkeyRefusal && READ_ONLY_FOR_NOW.has(error.word))) throw error;
      });
      await opened.ping();
      if (opened.isLost()) throw new StoreUnavailable(HUNG_UP);
      use(opened);
    } catch (error) {
      opened.lose(messageOf(error));
      throw error;
    }
  }

  const checks = setInterval(() => {
    // It hangs up if need be, and that is all there is to do.
    const pair = way.peek();
    if (pair !== undefined) Promise.all([probe(pair), pair.ping(), keepUp(pair)]).catch(() => {});
  }, CHECK_EVERY_MS);
  checks.unref();

  return {
    run: (command, args) => run(command, args),
    async ready() {
      if (way.peek() !== undefined && clock.monotonic() < readyUntil) return;
      // One question at a time, however many ask: the endpoint is open to everybody.
      probing ??= probe().finally(() => {
        probing = undefined;
      });
      await probing;
      readyUntil = clock.monotonic() + READY_FOR_MS;
    },
    sharedNow: () => Math.floor(clock.monotonic() + ahead),
    channel,
    name,
    onMessage: (listener) => void messageListeners.push(listener),
    onMissed: (listener) => void missedListeners.push(listener),
    close() {
      clearInterval(checks);
      closing.abort(CLOSED);
    },
  };
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
