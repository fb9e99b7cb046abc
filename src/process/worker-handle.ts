import type { Configuration } from "../config/configuration.ts";
import type { StoreAnswer, StoreCall, StoreEvent } from "../store/remote/messages.ts";
import { BUILD } from "../version.ts";
import { commandLine } from "./executable.ts";
import type { ToSupervisor, ToWorker } from "./messages.ts";
import type { Holder } from "./take-out.ts";

/** A worker as its supervisor sees it. */
export type WorkerHandle = Holder & {
  readonly pid: number;
  /** @throws with the reason, if it ends before or takes too long. */
  readonly listening: Promise<void>;
  steer(places: readonly number[] | "all"): Promise<boolean>;
  tell(event: StoreEvent): void;
  /** Asks for a sign of life. @returns for how long there was none, milliseconds. */
  ping(): number;
  kill(): void;
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
  const listening = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  let steered: ((done: boolean) => void) | undefined;
  let lastSign = performance.now();
  let gone = false;

  // Service notifications are the main process's alone.
  const { NOTIFY_SOCKET: _, WATCHDOG_USEC: __, WATCHDOG_PID: ___, ...env } = settings.env;
  const child = Bun.spawn(commandLine("worker"), {
    env,
    stdin: "ignore",
    stdout: "inherit",
    stderr: "inherit",
    serialization: "advanced",
    ipc: (message: ToSupervisor) => receive(message),
  });
  const late = setTimeout(() => listening.reject(new Error("it does not get to listen")), START_MS);
  const exited = child.exited.then((code) => {
    gone = true;
    const how = child.signalCode === null ? `exit code ${code}` : `signal ${child.signalCode}`;
    listening.reject(new Error(`it ended with ${how}`));
    closed.resolve();
    steered?.(false);
    return how;
  });
  // Whoever waits for it hears of it; where nobody does, `exited` says enough.
  listening.promise.catch(() => {}).finally(() => clearTimeout(late));

  function send(message: ToWorker): void {
    if (!gone) child.send(message);
  }

  function receive(message: ToSupervisor): void {
    lastSign = performance.now();
    switch (message.kind) {
      case "hello":
        if (message.build === BUILD) send({ kind: "start", configuration: settings.configuration });
        else listening.reject(new Error(`the executable on disk is another one: ${message.build}`));
        break;
      case "listening":
        listening.resolve();
        break;
      case "failed":
        listening.reject(new Error(message.reason));
        break;
      case "steered":
        steered?.(message.done);
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

  return {
    pid: child.pid,
    listening: listening.promise,
    async steer(places) {
      const { promise, resolve } = Promise.withResolvers<boolean>();
      if (gone) return false;
      steered = resolve;
      const patience = setTimeout(resolve, ANSWER_MS, false);
      send({ kind: "steer", places });
      const done = await promise;
      clearTimeout(patience);
      return done;
    },
    retire: () => send({ kind: "retire" }),
    close() {
      send({ kind: "stop" });
      return closed.promise;
    },
    tell: send,
    ping() {
      send({ kind: "ping" });
      return performance.now() - lastSign;
    },
    kill: () => child.kill("SIGKILL"),
    exited,
  };
}
