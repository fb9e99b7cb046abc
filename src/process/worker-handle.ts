import type { Configuration } from "../config/configuration.ts";
import type { StoreAnswer, StoreCall, StoreEvent } from "../store/remote/messages.ts";
import { BUILD } from "../version.ts";
import { ownCommandLine } from "./executable.ts";
import type { ToSupervisor, ToWorker } from "./messages.ts";
import { REPLACED_DRAIN_MS } from "./serving.ts";

/** A worker as its supervisor sees it. */
export type WorkerHandle = {
  readonly pid: number;
  /** @throws with the reason, if it ends before or takes too long. */
  readonly listening: Promise<void>;
  /** @throws with the reason, if it does not go on with this configuration. */
  reload(configuration: Configuration): Promise<void>;
  retire(): void;
  resume(): void;
  /** Makes it close its socket. Resolves when no connection arrives there; it ends when its requests are done. */
  close(): Promise<void>;
  send(event: StoreEvent): void;
  /** Asks for a sign of life. @returns how often that was asked in vain since the last one. */
  ping(): number;
  /** Makes it end. It is killed where it has not within that time and a little more. */
  stop(withinMs: number): void;
  kill(): void;
  /** Whether it has been asked to end. */
  readonly isLeaving: boolean;
  /** How it ended, for people. */
  readonly exited: Promise<string>;
};

/** From the start of the process until it listens. */
const START_MS = 30_000;
/** For an answer to an order. */
const ANSWER_MS = 5_000;

export function startWorker(settings: {
  readonly configuration: Configuration;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly answer: (call: StoreCall) => Promise<StoreAnswer>;
}): WorkerHandle {
  const closed = Promise.withResolvers<void>();
  /** The order that waits for its answer: first to start, later to reload. */
  let order = createOrder(START_MS, "it does not get to listen");
  const listening = order.promise;
  let unanswered = 0;
  let gone = false;
  let isLeaving = false;

  // Service notifications are the main process's alone.
  const { NOTIFY_SOCKET: _, WATCHDOG_USEC: __, WATCHDOG_PID: ___, ...env } = settings.env;
  const child = Bun.spawn(ownCommandLine("worker"), {
    env,
    stdin: "ignore",
    stdout: "inherit",
    stderr: "inherit",
    serialization: "advanced",
    ipc: (message: ToSupervisor) => receive(message),
  });
  const exited = child.exited.then((code) => {
    gone = true;
    const how = child.signalCode === null ? `exit code ${code}` : `signal ${child.signalCode}`;
    order.reject(new Error(`it ended with ${how}`));
    closed.resolve();
    return how;
  });

  function send(message: ToWorker): void {
    if (gone) return;
    try {
      child.send(message);
    } catch {
      // It has ended, and `exited` is about to say so.
    }
  }

  function receive(message: ToSupervisor): void {
    unanswered = 0;
    switch (message.kind) {
      case "hello":
        if (message.build === BUILD) send({ kind: "start", configuration: settings.configuration });
        else order.reject(new Error(`the executable on disk is another one: ${message.build}`));
        break;
      case "listening":
      case "reloaded":
        order.resolve();
        break;
      case "failed":
        order.reject(new Error(message.reason));
        break;
      case "closed":
        closed.resolve();
        break;
      case "call":
        void settings.answer(message).then(send);
        break;
      case "pong":
        break;
    }
  }

  function stop(withinMs: number): void {
    isLeaving = true;
    send({ kind: "stop", withinMs });
    const timer = setTimeout(() => child.kill("SIGKILL"), withinMs + ANSWER_MS);
    void exited.then(() => clearTimeout(timer));
  }

  return {
    pid: child.pid,
    listening,
    async reload(configuration) {
      if (gone) throw new Error("it has ended");
      order = createOrder(ANSWER_MS, "it does not answer");
      send({ kind: "reload", configuration });
      await order.promise;
    },
    retire: () => send({ kind: "retire" }),
    resume: () => send({ kind: "resume" }),
    async close() {
      stop(REPLACED_DRAIN_MS);
      const hangs = setTimeout(() => child.kill("SIGKILL"), ANSWER_MS);
      await closed.promise;
      clearTimeout(hangs);
    },
    send,
    ping() {
      send({ kind: "ping" });
      return unanswered++;
    },
    stop,
    kill: () => child.kill("SIGKILL"),
    get isLeaving() {
      return isLeaving;
    },
    exited,
  };
}

/** Something to wait for, but not for longer than `withinMs`. */
function createOrder(withinMs: number, otherwise: string) {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const late = setTimeout(() => reject(new Error(otherwise)), withinMs);
  // Whoever waits for it hears of it; where nobody does, `exited` says enough.
  promise.catch(() => {}).finally(() => clearTimeout(late));
  return { promise, resolve, reject };
}
