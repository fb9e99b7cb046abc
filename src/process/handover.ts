import type { Options } from "../config/options.ts";
import { flagOf } from "../option/option.ts";
import { commandLine, startProcess } from "./executable.ts";
import type { Io } from "./io.ts";
import { REPLACED_DRAIN_MS, RETIRE_MS, type Serving } from "./serving.ts";

/**
 * One main process handing over to the next, started from the executable on disk: that is how a new version takes over
 * without a refused connection. Both listen for a moment; then the old one lets its requests finish and ends.
 */

/** Follows `serve` in the process that takes over from the one that starts it, and in no other. */
export const SUCCESSOR_FLAG = "--successor";

/** Whether there can be two for a moment: what is kept in memory is lost, and a unix socket has one listener. */
export function canHandOver({
  store,
  listen,
  checkListen,
}: Pick<Options, "store" | "listen" | "checkListen">): boolean {
  return store.kind !== "memory" && listen.kind !== "unix" && checkListen?.kind !== "unix";
}

type ToPredecessor = "up";
/** The address and the control socket are free; by whom. */
type ToSuccessor = { readonly releasedBy: number };

/** From the start of the successor until it listens. */
const START_MS = 60_000;

/**
 * Starts the successor and hands over to it.
 * @returns the pid of the successor, which has the address to itself by then.
 * @throws with the reason if it does not get to listen: nothing has changed then.
 */
export async function handOver(settings: {
  readonly serving: Serving;
  /** What the successor is to be given as well. */
  readonly io: Pick<Io, "env" | "flags">;
  /** Called when the successor listens. */
  readonly onUp: (pid: number) => void;
  /** Aborted where all is to stop: the successor too. */
  readonly signal: AbortSignal;
  /** Called when no other process listens any more, and before it goes on as the only main process. */
  readonly onClosed: (pid: number) => Promise<void>;
  /** Called when the successor ends later than that and with anything but success, as long as this process is there. */
  readonly onLost: (how: string) => void;
}): Promise<number> {
  const { serving, signal } = settings;
  const up = Promise.withResolvers<ToPredecessor>();
  // systemd names the process that the watchdog is for.
  const { WATCHDOG_PID: _, ...env } = settings.io.env;
  const flags = Object.entries(settings.io.flags ?? {}).map(([name, value]) => `${flagOf(name)}=${value}`);
  const command = commandLine("serve", SUCCESSOR_FLAG, ...flags);
  const { child, exited } = startProcess<ToPredecessor>(command, env, up.resolve);
  const stopToo = () => child.kill("SIGTERM");
  signal.addEventListener("abort", stopToo);
  const late = setTimeout(() => up.reject(new Error("it does not get to listen")), START_MS);
  void exited.then((how) => up.reject(new Error(`it ended with ${how}`)));
  try {
    await up.promise;
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  } finally {
    clearTimeout(late);
  }
  const isThere = () => child.exitCode === null && child.signalCode === null;
  settings.onUp(child.pid);
  serving.retire();
  await Bun.sleep(RETIRE_MS);
  if (signal.aborted) throw new Error("all is to stop");
  if (!isThere()) {
    serving.resume();
    throw new Error("who was to take over is gone");
  }
  await serving.stop(REPLACED_DRAIN_MS).closed;
  await settings.onClosed(child.pid);
  const released: ToSuccessor = { releasedBy: process.pid };
  if (isThere()) child.send(released);
  signal.removeEventListener("abort", stopToo);
  child.disconnect();
  child.unref();
  void exited.then((how) => child.exitCode !== 0 && settings.onLost(how));
  return child.pid;
}

/**
 * Tells the predecessor that its successor is up, and waits until the address is free of it.
 * @returns the pid of the predecessor, which lets its requests finish; undefined where it was killed meanwhile.
 */
export async function takeOver(): Promise<number | undefined> {
  if (process.send === undefined) throw new Error("a successor is started by its predecessor");
  const { promise: released, resolve } = Promise.withResolvers<number | undefined>();
  process.on("message", (message) => resolve((message as ToSuccessor).releasedBy));
  // A predecessor that is killed has released everything too.
  process.once("disconnect", () => resolve(undefined));
  const up: ToPredecessor = "up";
  process.send(up);
  return released;
}

const LOOK_MS = 50;

/**
 * Makes the predecessor, if it is still there, give its requests no more time than a stop does, and waits for its end: systemd
 * kills what is left when the main process has ended.
 */
export async function stopPredecessor(pid: number): Promise<void> {
  // Whose parent has ended has another one (getppid(2)).
  const isThere = () => process.ppid === pid;
  if (isThere()) {
    try {
      process.kill(pid, "SIGTERM");
    } catch {
      // It has just ended.
    }
  }
  while (isThere()) await Bun.sleep(LOOK_MS);
}
