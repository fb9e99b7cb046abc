import type { ServerWebSocket } from "bun";
import type { Clock } from "../clock.ts";
import type { Logger } from "../observe/logger.ts";
import { KIB, MIB } from "../option/values.ts";
import { type Holder, relieve, UNSEEN } from "./memory.ts";

/**
 * Back-pressure between the two sides of WebSockets: a side that writes faster than the other reads is not read from for a
 * while, so that little waits here and nothing is dropped. The runtime delivers whole messages: a single one may be longer
 * than the limits here, and then waits by itself.
 */

/**
 * More than this waiting for one side, and the other is paused. What had been read from the system before still comes, up to
 * 128 KiB: less than 1 MiB a connection, both directions together.
 */
const WINDOW = 256 * KIB;
/** For all connections of the process. Half of it is shared out as windows, however many connections there are. */
const PROCESS_BUDGET = 256 * MIB;
/** For all connections of a session: two of the longest messages. Beyond it a user's own tabs hold each other up. */
const SESSION_BUDGET = 128 * MIB;
/** No browser opens more (Chromium 255, Firefox 200). */
const MOST_PER_SESSION = 256;
/** The application's side tells no event when it was written to: it is asked, less and less often while nothing moves. */
const LOOK_SOON_MS = 2;
const LOOK_LATE_MS = 256;
/** What waits for one side when the other has left is still sent, unless for so long nothing of it could be. */
const LINGER_MS = 5 * 60_000;
/** Bytes per millisecond: a line that takes less is worth compressing for. */
const SLOW_LINE = 8_000;
/** A browser must have been behind for this long in all to tell how fast its line is: the system takes megabytes at once. */
const MEASURE_MS = 200;

/** Well below `idleTimeout` in `tunnel.ts`. */
const KEEP_MS = 60_000;
const LOOK_AT_MEMORY_MS = 500;
export type FlowSettings = {
  readonly clock: Pick<Clock, "monotonic">;
  /** Physical memory that this process may take, in bytes. */
  readonly memoryLimit: number;
  readonly log: Logger;
};

export type Flows = {
  /**
   * Counts one more WebSocket of the session, until its `leave`; undefined if it has too many already.
   * @param session whatever tells one from another.
   */
  admit(session: string): Flow | undefined;
};

export type Side = "browser" | "application";

/** Of one WebSocket, both directions. Nothing has an effect before `join` or after `leave`. */
export type Flow = {
  /** Both sides are open. */
  join(ends: Ends): void;
  /** To be called with every message that was sent to a side; nobody knows how long one is that was compressed. */
  sent(side: Side, bytes: number, compressed: boolean): void;
  /** To be called when something else was sent to either side, or was written to the browser. */
  settle(): void;
  /** The runtime has answered a ping of this side: one that does not read the answers is not read from either. */
  ponged(side: Side, bytes: number): void;
  /** Calls `then` once nothing waits for that side any more: it was sent, or cannot be. */
  afterLast(side: Side, then: () => void): void;
  /** Whether the browser has been seen to take less than it is sent, over a line that is slow. */
  readonly slowLine: boolean;
  leave(): void;
};

type Session = { readonly connections: Set<Connection>; waiting: number; stopped: boolean };

type Ends = {
  readonly browser: ServerWebSocket<unknown>;
  readonly application: WebSocket;
  /** Frees what both take at once. */
  readonly letGo: () => void;
};

type Connection = {
  readonly session: Session;
  ends: Ends | undefined;
  /** Bytes, both directions. */
  waiting: number;
  /** When that changed last, in monotonic milliseconds. */
  movedAt: number;
  /** Which side has more waiting for it than it should. */
  readonly behind: Record<Side, boolean>;
  /** Bytes of the longest message that was sent to each side: the runtime keeps its space until the connection ends. */
  readonly longest: Record<Side, number>;
  /** Bytes of pongs that may wait for each side. */
  readonly pongs: Record<Side, number>;
  /** How long the browser was behind, and what it was sent from when it first was; `since` is when it last fell behind. */
  readonly line: { since: number; behindMs: number; bytes: number };
  slowLine: boolean;
  last: { readonly side: Side; readonly then: () => void } | undefined;
};

export function createFlows({ clock, memoryLimit, log }: FlowSettings): Flows {
  const sessions = new Map<string, Session>();
  const total = { connections: 0, waiting: 0, waitingSessions: 0 };
  /** Whose state may change without an event. */
  const watched = new Set<Connection>();
  let lookAfter = LOOK_SOON_MS;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let chores: readonly ReturnType<typeof setInterval>[] = [];

  function settle(connection: Connection): void {
    const { session, ends, behind, pongs, last } = connection;
    if (ends === undefined) return;
    const waits: Record<Side, number> = {
      // 0 once it is closed, which the application's side does not say of itself.
      browser: ends.browser.getBufferedAmount(),
      application: ends.application.readyState === WebSocket.CLOSED ? 0 : ends.application.bufferedAmount,
    };
    account(connection, waits.browser + waits.application);
    const wasBehind = behind.browser;
    for (const side of ["browser", "application"] as const) {
      behind[side] = isBehind(waits[side], behind[side]);
      if (waits[side] === 0) pongs[side] = 0;
    }
    if (behind.browser !== wasBehind) measureLine(connection, waits.browser);
    steer(connection);
    restrain(session);
    if (last !== undefined && waits[last.side] === 0) finish(connection, last.then);
    // With that, it may have left.
    if (connection.ends === undefined) return;
    if (connection.last !== undefined || session.stopped || waits.application > 0) watch(connection);
    else watched.delete(connection);
  }

  /** Until half of the window is left, so that it is not paused and resumed with every message. */
  function isBehind(bytes: number, before: boolean): boolean {
    const window = Math.min(WINDOW, PROCESS_BUDGET / 2 / total.connections);
    return bytes > (before ? window / 2 : window);
  }

  function account(connection: Connection, bytes: number): void {
    const { session } = connection;
    const change = bytes - connection.waiting;
    if (change === 0) return;
    connection.waiting = bytes;
    connection.movedAt = clock.monotonic();
    if (session.waiting === 0) total.waitingSessions++;
    session.waiting += change;
    total.waiting += change;
    if (session.waiting === 0) total.waitingSessions--;
  }

  function measureLine(connection: Connection, waiting: number): void {
    const { line, behind } = connection;
    const now = clock.monotonic();
    if (behind.browser) {
      line.since = now;
      if (line.behindMs === 0) line.bytes = waiting;
      return;
    }
    line.behindMs += now - line.since;
    if (line.behindMs < MEASURE_MS) return;
    connection.slowLine = line.bytes < line.behindMs * SLOW_LINE;
    line.behindMs = 0;
  }

  /** No side of a session with more than its share is read from, so that nothing is added to it. */
  function restrain(session: Session): void {
    const fair = total.waiting > PROCESS_BUDGET ? PROCESS_BUDGET / total.waitingSessions : SESSION_BUDGET;
    const share = Math.min(SESSION_BUDGET, fair);
    const stopped = session.waiting > (session.stopped ? share / 2 : share);
    if (stopped === session.stopped) return;
    session.stopped = stopped;
    for (const connection of session.connections) {
      steer(connection);
      if (stopped) watch(connection);
    }
  }

  function steer({ session, ends, behind, pongs }: Connection): void {
    if (ends === undefined) return;
    pause(ends.browser, session.stopped || behind.application || pongs.browser > WINDOW);
    pause(ends.application, session.stopped || behind.browser || pongs.application > WINDOW);
  }

  function finish(connection: Connection, then: () => void): void {
    connection.last = undefined;
    then();
  }

  function watch(connection: Connection): void {
    if (watched.has(connection)) return;
    watched.add(connection);
    lookAfter = LOOK_SOON_MS;
    arm();
  }

  function arm(): void {
    clearTimeout(timer);
    timer = setTimeout(look, lookAfter).unref();
  }

  function look(): void {
    lookAfter = Math.min(2 * lookAfter, LOOK_LATE_MS);
    for (const connection of watched) {
      const before = connection.waiting;
      settle(connection);
      if (connection.waiting !== before) lookAfter = LOOK_SOON_MS;
      const { ends, last, movedAt } = connection;
      if (ends === undefined || last === undefined || clock.monotonic() - movedAt < LINGER_MS) continue;
      ends[last.side].terminate();
      finish(connection, last.then);
    }
    if (watched.size > 0) arm();
  }

  /**
   * Bun takes a browser for gone that has sent nothing for long, and one that has not read up to a ping cannot answer it.
   * Resuming begins that time anew. (Of one that is gone indeed, the system says so when it gives up sending to it.)
   */
  function keepSlow(): void {
    for (const { connections } of sessions.values()) {
      for (const { ends } of connections) {
        if (ends === undefined || ends.browser.isPaused || ends.browser.getBufferedAmount() === 0) continue;
        ends.browser.pause();
        ends.browser.resume();
      }
    }
  }

  function findHolders(): Holder[] {
    return [...sessions.values()].map(({ connections }) => ({
      connections: connections.size,
      weight: [...connections].reduce(
        (sum, { longest }) => sum + UNSEEN + longest.browser + longest.application,
        0,
      ),
      letGo() {
        for (const { ends } of connections) ends?.letGo();
      },
    }));
  }

  return {
    admit(key) {
      const session = sessions.get(key) ?? { connections: new Set(), waiting: 0, stopped: false };
      if (session.connections.size >= MOST_PER_SESSION) return undefined;
      sessions.set(key, session);
      const connection: Connection = {
        session,
        ends: undefined,
        waiting: 0,
        movedAt: 0,
        behind: { browser: false, application: false },
        longest: { browser: 0, application: 0 },
        pongs: { browser: 0, application: 0 },
        line: { since: 0, behindMs: 0, bytes: 0 },
        slowLine: false,
        last: undefined,
      };
      session.connections.add(connection);
      total.connections++;
      if (total.connections === 1) {
        chores = [
          setInterval(relieve, LOOK_AT_MEMORY_MS, memoryLimit, findHolders, log),
          setInterval(keepSlow, KEEP_MS),
        ];
        for (const chore of chores) chore.unref();
      }
      return {
        join(ends) {
          connection.ends = ends;
          settle(connection);
        },
        sent(side, bytes, compressed) {
          if (side === "browser" && !compressed) connection.line.bytes += bytes;
          connection.longest[side] = Math.max(connection.longest[side], bytes);
          settle(connection);
        },
        settle: () => settle(connection),
        ponged(side, bytes) {
          connection.pongs[side] += bytes;
        },
        afterLast(side, then) {
          connection.last = { side, then };
          connection.movedAt = clock.monotonic();
          settle(connection);
        },
        get slowLine() {
          return connection.slowLine;
        },
        leave() {
          if (!session.connections.delete(connection)) return;
          account(connection, 0);
          connection.ends = undefined;
          watched.delete(connection);
          total.connections--;
          restrain(session);
          if (session.connections.size === 0) sessions.delete(key);
          if (total.connections === 0) for (const chore of chores) clearInterval(chore);
        },
      };
    },
  };
}

/** A side that is paused does not notice either that the other end has left. */
function pause(end: ServerWebSocket<unknown> | WebSocket, paused: boolean): void {
  if (end.isPaused === paused) return;
  if (paused) end.pause();
  else end.resume();
}
