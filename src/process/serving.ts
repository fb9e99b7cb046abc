import type { Pair } from "../certificates/pair.ts";
import type { Configuration } from "../config/configuration.ts";
import type { Measures } from "../metrics/measures.ts";
import type { LoggerFor } from "../observe/logger.ts";
import type { Gateway } from "../server.ts";
import type { Compose } from "./compose.ts";

/** What answers at the address: this process (`single.ts`), or workers that it supervises (`workers.ts`). */
export type Serving = {
  /** For what the command line asks: in this process, whether or not it listens. */
  readonly gateway: Gateway;
  /**
   * Goes on with another configuration, without closing a socket. Where that fails, with the one there is.
   * @param compose of the code that is to serve, which under `bun --hot` is newer than this.
   * @throws with the reason
   */
  reload(configuration: Configuration, compose: Compose, loggers: LoggerFor): Promise<void>;
  /** Goes on with other certificates, and loses no connection. */
  certify(pairs: readonly Pair[]): Promise<void>;
  /** Makes clients that keep their connection open a new one, which may reach another process, and leaves mail to that. */
  retire(): void;
  /** Takes that back. */
  resume(): void;
  /** What each process has measured, those that ended too. Never rejects. */
  measures(): Promise<readonly Measures[]>;
  /** Whether something answers. */
  healthy(): boolean;
  /**
   * Closes the address, WebSockets and event streams, and lets requests finish. Called again, it may give them less time.
   * @param withinMs what is under way after that is cut.
   * @returns when no connection arrives here any more, and when nothing is under way.
   */
  stop(withinMs: number): { readonly closed: Promise<void>; readonly ended: Promise<void> };
};

/**
 * What clients need to send one more request on a connection they keep, and be told that it was the last. Who is idle for
 * longer finds the connection closed before they send. New connections that wait at a socket when it closes go to the
 * other sockets of the port where `net.ipv4.tcp_migrate_req` is 1, and are reset where it is 0 (ip-sysctl.rst of the
 * kernel's documentation).
 */
export const RETIRE_MS = 1_500;

/** Requests under way may take this long after the order to stop. */
export const DRAIN_MS = 10_000;
/**
 * And mail and hooks so long after it, or a moment more than the requests. What follows that is the end of the audit and, in the main
 * process, of the sinks, which take some 6 seconds at most: systemd kills after 20 (`deploy/systemd/runegate.service`).
 */
export const SENDING_MS = 12_000;
/** The same where another process has taken over, so that nobody waits for the end: for long downloads and uploads. */
export const REPLACED_DRAIN_MS = 10 * 60_000;
