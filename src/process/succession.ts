import { commandLine } from "./executable.ts";
import type { Fleet } from "./fleet.ts";
import { SUCCESSOR_FLAG } from "./successor-flag.ts";
import { type Holder, takeOut } from "./take-out.ts";

/**
 * One main process handing over to the next, started from the executable on disk: that is how a new version takes over
 * without a refused connection. Both listen for a moment; then the old one lets its requests finish and ends.
 */

type ToPredecessor = { readonly kind: "up"; readonly sockets: number };

type ToSuccessor =
  | { readonly kind: "steer"; readonly places: readonly number[] | "all" }
  /** The address and the control socket are free; `order` is how the kernel's list now goes, in the successor's sockets. */
  | { readonly kind: "released"; readonly order: readonly number[] };

/** From the start of the successor until it listens. */
const START_MS = 60_000;

/**
 * Starts the successor and hands over to it.
 * @returns the pid of the successor, which has the address to itself by then.
 * @throws with the reason if it does not get to listen: nothing has changed then.
 */
export async function handOver(settings: {
  readonly fleet: Fleet;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Called when the successor listens. */
  readonly onUp: (pid: number) => void;
  /** Called when it is alone in listening, and before it goes on as the only main process. */
  readonly onClosed: (pid: number) => Promise<void>;
}): Promise<number> {
  return settings.fleet.undisturbed(() => handOverNow(settings));
}

async function handOverNow(settings: Parameters<typeof handOver>[0]): Promise<number> {
  const { fleet } = settings;
  const up = Promise.withResolvers<number>();
  // The watchdog is told by the pid that it is for.
  const { WATCHDOG_PID: _, ...env } = settings.env;
  const child = Bun.spawn(commandLine("serve", SUCCESSOR_FLAG), {
    env,
    stdin: "ignore",
    stdout: "inherit",
    stderr: "inherit",
    serialization: "advanced",
    ipc: (message: ToPredecessor) => up.resolve(message.sockets),
  });
  const late = setTimeout(() => up.reject(new Error("it does not get to listen")), START_MS);
  void child.exited.then((code) =>
    up.reject(new Error(`it ended with ${child.signalCode ?? `exit code ${code}`}`)),
  );
  let sockets: number;
  try {
    sockets = await up.promise;
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  } finally {
    clearTimeout(late);
  }
  const isThere = () => child.exitCode === null && child.signalCode === null;
  function send(message: ToSuccessor): void {
    if (isThere()) child.send(message);
  }
  const successors = Array.from({ length: sockets }, strangeHolder);
  for (const successor of successors) fleet.places.add(successor);
  settings.onUp(child.pid);
  try {
    await takeOut({
      places: fleet.places,
      leaving: fleet.holders,
      staying: successors,
      steer: async (places, through) => {
        if (through !== undefined) return fleet.steer(places, through);
        send({ kind: "steer", places });
        return true;
      },
      mayClose: isThere,
    });
  } catch (error) {
    for (const successor of successors) fleet.places.remove(successor);
    throw error;
  }
  await settings.onClosed(child.pid);
  send({ kind: "released", order: fleet.places.list.map((holder) => successors.indexOf(holder)) });
  child.disconnect();
  child.unref();
  return child.pid;
}

/** Tells the predecessor that its successor is up, and waits until the address is free of it. */
export async function takeOver(fleet: Fleet): Promise<void> {
  if (process.send === undefined) throw new Error("a successor is started by its predecessor");
  const own = [...fleet.holders];
  let isReleased = false;
  const { promise: released, resolve } = Promise.withResolvers<void>();
  process.on("message", (message) => {
    const order = message as ToSuccessor;
    if (order.kind === "steer") void fleet.steer(order.places);
    else {
      isReleased = true;
      fleet.places.reset(order.order.flatMap((i) => own[i] ?? []));
      resolve();
    }
  });
  // A predecessor that is killed meanwhile has released everything too, in an order that nobody knows.
  process.once("disconnect", () => {
    if (!isReleased) fleet.places.lose();
    resolve();
  });
  const up: ToPredecessor = { kind: "up", sockets: own.length };
  process.send(up);
  await released;
}

/** A socket of a process that is not ours to command. */
function strangeHolder(): Holder {
  return { retire() {}, resume() {}, close: async () => {} };
}
