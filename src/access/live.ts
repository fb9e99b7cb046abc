import type { Clock } from "../clock.ts";
import type { Principal, Proof } from "../identity/principal.ts";
import type { Logger } from "../observe/logger.ts";
import { messageOf } from "../observe/message-of.ts";
import type { Authenticator } from "./admit.ts";

/**
 * What is under way on the strength of a proof, mostly a session: WebSockets, streams, downloads, uploads and requests that wait
 * for their answer, for as long as they outlast the moment they were allowed in. When the proof ends by an order, they are closed
 * at once; when it runs out, or ended before they were added, at the next sweep.
 */
export type LiveConnections = {
  /**
   * @param route the name of the application that it leads to.
   * @returns what to call when the connection has ended by itself.
   */
  add(principal: Principal, route: string, connection: LiveConnection): () => void;
  /**
   * Asks about every proof that has something open, and closes what has lost it, or that the store has not answered about
   * for seconds: of the one that it stumbles over, and no others. Never rejects.
   */
  sweep(): Promise<void>;
  /** Closes what a sweep asked about for which there is no answer in time, while it is still waited for too. */
  closeUnanswered(): void;
  /** Goes by these from now on, with what is open: a reload changes who may be in, and breaks nothing else off. */
  follow(authenticators: readonly Authenticator[], mayGoOn: MayGoOn, log: Logger): void;
  /** Who is told too of each proof that ends by an order; of several, whoever asked last. */
  whenEnded(listener: (proof: Proof) => void): void;
  /** Closes whatever is open; when the process stops, only what does not come to an end by itself. */
  closeAll(reason: CloseReason): void;
  start(): void;
  stop(): void;
  readonly size: number;
};

/** Whether somebody who is signed in may go on with what leads to a route, by its name. */
export type MayGoOn = (principal: Principal, route: string) => boolean;

/** `unverified`: the store has not answered for so long that the session may have ended meanwhile. */
export type CloseReason = "session_ended" | "unverified" | "shutdown";

export type LiveConnection = {
  close(reason: CloseReason): void;
  /** Whether it comes to an end that may be waited for when the process stops. */
  readonly endsByItself?: boolean;
  /** Whether the user did something on it since it was last asked: that counts as use of the session. */
  takeUsed(): boolean;
};

/** What is open of one proof. */
type Open = {
  /** Each with the name of the application that it leads to. */
  readonly connections: Map<LiveConnection, string>;
  /** When the store last said that the proof is good, on the monotonic clock. */
  answeredAt: number;
  /** Since when an answer is waited for, or asked for again and again. */
  askedAt: number | undefined;
};

/**
 * What is under way ends within 5 seconds of its session. What a sweep hears may come from a cache and be 2.5 s old; from then on it
 * stays open for this long. A store that just starts anew is no reason to close anything.
 */
const UNANSWERED_MS = 2_200;
const SWEEP_EVERY_MS = 1_000;
/** For those that a process asks about late, because it had no time, an answer may still come. */
const LEAST_WAIT_MS = 500;

/** @param first whose ends are heard of for as long as the process lives. */
export function createLiveConnections(
  first: readonly Authenticator[],
  firstMayGoOn: MayGoOn,
  clock: Clock,
  firstLog: Logger,
): LiveConnections {
  let byKind = kindsOf(first);
  let mayGoOn = firstMayGoOn;
  let log = firstLog;
  /** By kind and id of the proof. */
  const open = new Map<string, Open>();
  let timer: ReturnType<typeof setInterval> | undefined;
  let ended: (proof: Proof) => void = () => {};
  let sweeping = false;
  let size = 0;

  function remove(key: string, connection: LiveConnection): void {
    const connections = open.get(key)?.connections;
    if (connections === undefined || !connections.delete(connection)) return;
    size--;
    if (connections.size === 0) open.delete(key);
  }

  function close(key: string, reason: CloseReason, which = (_: LiveConnection) => true): void {
    const connections = open.get(key)?.connections;
    if (connections === undefined) return;
    const closing = [...connections.keys()].filter(
      (one) => which(one) && (reason !== "shutdown" || one.endsByItself !== true),
    );
    if (closing.length === 0) return;
    for (const connection of closing) {
      remove(key, connection);
      connection.close(reason);
    }
    log.info("closed open connections", { reason, connections: closing.length });
  }

  for (const { kind, onEnded } of first) {
    onEnded((id) => {
      close(keyOf({ kind, id }), "session_ended");
      ended({ kind, id });
    });
  }

  async function sweep(): Promise<void> {
    // All at once: one after the other, a store that takes its time with each would see none of them closed in time.
    const looks = await Promise.allSettled([...open].map(([key, one]) => lookAt(key, one)));
    const failed = looks.filter((look) => look.status === "rejected");
    if (failed[0] === undefined) return;
    log.warn("could not look at open sessions", {
      reason: messageOf(failed[0].reason),
      sessions: failed.length,
    });
  }

  async function lookAt(key: string, one: Open): Promise<void> {
    let used = false;
    one.askedAt ??= clock.monotonic();
    for (const connection of one.connections.keys()) used = connection.takeUsed() || used;
    const colon = key.indexOf(":");
    const authenticator = byKind.get(key.slice(0, colon));
    try {
      const principal = await authenticator?.alive(key.slice(colon + 1), used);
      // An application may have been closed to them, or want them to sign in again.
      const lost = [...one.connections].filter(
        ([, route]) => principal === undefined || !mayGoOn(principal, route),
      );
      const closing = new Set(lost.map(([connection]) => connection));
      if (closing.size > 0) close(key, "session_ended", (connection) => closing.has(connection));
      one.answeredAt = clock.monotonic();
      one.askedAt = undefined;
    } catch (error) {
      if (clock.monotonic() - one.answeredAt >= UNANSWERED_MS) close(key, "unverified");
      throw error;
    }
  }

  function closeUnanswered(): void {
    const now = clock.monotonic();
    for (const [key, { answeredAt, askedAt }] of open) {
      if (askedAt === undefined || now - askedAt < LEAST_WAIT_MS) continue;
      if (now - answeredAt >= UNANSWERED_MS) close(key, "unverified");
    }
  }

  function closeAll(reason: CloseReason): void {
    for (const key of [...open.keys()]) close(key, reason);
  }

  return {
    add(principal, route, connection) {
      const key = keyOf(principal.proof);
      let one = open.get(key);
      if (one === undefined) {
        one = { connections: new Map(), answeredAt: clock.monotonic(), askedAt: undefined };
        open.set(key, one);
      }
      one.connections.set(connection, route);
      size++;
      return () => remove(key, connection);
    },
    sweep,
    closeUnanswered,
    follow(next, nextMayGoOn, nextLog) {
      byKind = kindsOf(next);
      mayGoOn = nextMayGoOn;
      log = nextLog;
    },
    whenEnded(listener) {
      ended = listener;
    },
    closeAll,
    start() {
      timer ??= setInterval(() => {
        setTimeout(closeUnanswered, UNANSWERED_MS - SWEEP_EVERY_MS).unref();
        if (sweeping) return;
        sweeping = true;
        void sweep().finally(() => {
          sweeping = false;
        });
      }, SWEEP_EVERY_MS);
      timer.unref();
    },
    stop() {
      clearInterval(timer);
      timer = undefined;
    },
    get size() {
      return size;
    },
  };
}

function keyOf({ kind, id }: Pick<Proof, "kind" | "id">): string {
  return `${kind}:${id}`;
}

function kindsOf(authenticators: readonly Authenticator[]): ReadonlyMap<string, Authenticator> {
  return new Map(authenticators.map((one) => [one.kind, one]));
}
