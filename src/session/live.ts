import type { Clock } from "../clock.ts";
import type { Logger } from "../observe/logger.ts";
import { messageOf } from "../observe/message-of.ts";
import type { Sessions } from "./session.ts";

/**
 * What is under way on behalf of a session: WebSockets, streams, downloads, uploads and requests that wait for their answer,
 * for as long as they outlast the moment they were allowed in. When the session ends by an order, they are closed at once;
 * when it runs out, or ended before they were added, at the next sweep.
 */
export type LiveConnections = {
  /** @returns what to call when the connection has ended by itself. */
  add(sessionId: string, connection: LiveConnection): () => void;
  /**
   * Asks the store about every session that has something open, and closes what has lost its session, or all of it when the
   * store has not answered for seconds. Never rejects.
   */
  sweep(): Promise<void>;
  /** Goes by these sessions from now on, with what is open: a reload changes who may be in, and breaks nothing off. */
  follow(sessions: Sessions, log: Logger): void;
  /** Closes whatever is open; when the process stops, only what does not come to an end by itself. */
  closeAll(reason: CloseReason): void;
  start(): void;
  stop(): void;
  readonly size: number;
};

/** `unverified`: the store has not answered for so long that the session may have ended meanwhile. */
export type CloseReason = "session_ended" | "unverified" | "shutdown";

export type LiveConnection = {
  close(reason: CloseReason): void;
  /** Whether it comes to an end that may be waited for when the process stops. */
  readonly endsByItself?: boolean;
  /** Whether the user did something on it since it was last asked: that counts as use of the session. */
  takeUsed(): boolean;
};

/** What is under way ends within 5 seconds of its session, the age of what a cache in front of the store knows included. */
const SWEEP_EVERY_MS = 2_000;
/** A store may be away for this long before what is open is closed: a sweep or two. One that just starts anew is no reason. */
const UNANSWERED_MS = 3_000;

export function createLiveConnections(first: Sessions, clock: Clock, firstLog: Logger): LiveConnections {
  let sessions = first;
  let log = firstLog;
  const open = new Map<string, Set<LiveConnection>>();
  let timer: ReturnType<typeof setInterval> | undefined;
  let sweeping = false;
  let size = 0;
  let answeredAt = clock.monotonic();

  function remove(sessionId: string, connection: LiveConnection): void {
    const connections = open.get(sessionId);
    if (connections === undefined || !connections.delete(connection)) return;
    size--;
    if (connections.size === 0) open.delete(sessionId);
  }

  function close(sessionId: string, reason: CloseReason): void {
    const connections = open.get(sessionId);
    if (connections === undefined) return;
    const closing = [...connections].filter((one) => reason !== "shutdown" || one.endsByItself !== true);
    if (closing.length === 0) return;
    for (const connection of closing) {
      remove(sessionId, connection);
      connection.close(reason);
    }
    log.info("closed open connections", { reason, connections: closing.length });
  }

  // Once, whatever follows: all sessions of a process are in one store.
  sessions.onEnded((sessionId) => close(sessionId, "session_ended"));

  async function sweep(): Promise<void> {
    try {
      await look();
      answeredAt = clock.monotonic();
    } catch (error) {
      log.warn("could not look at open sessions", {
        reason: messageOf(error),
      });
      if (clock.monotonic() - answeredAt >= UNANSWERED_MS) closeAll("unverified");
    }
  }

  async function look(): Promise<void> {
    // All at once: one after the other, a store that takes its time with each would see none of them closed in time.
    await Promise.all([...open].map(([sessionId, connections]) => lookAt(sessionId, connections)));
  }

  async function lookAt(sessionId: string, connections: Iterable<LiveConnection>): Promise<void> {
    let used = false;
    for (const connection of connections) used = connection.takeUsed() || used;
    if (!(await sessions.alive(sessionId, used))) close(sessionId, "session_ended");
  }

  function closeAll(reason: CloseReason): void {
    for (const sessionId of [...open.keys()]) close(sessionId, reason);
  }

  return {
    add(sessionId, connection) {
      let connections = open.get(sessionId);
      if (connections === undefined) {
        connections = new Set();
        open.set(sessionId, connections);
      }
      connections.add(connection);
      size++;
      return () => remove(sessionId, connection);
    },
    sweep,
    follow(next, nextLog) {
      sessions = next;
      log = nextLog;
    },
    closeAll,
    start() {
      timer ??= setInterval(() => {
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
