import type { Pair } from "../certificates/pair.ts";
import type { Configuration } from "../config/configuration.ts";
import { type Measures, NOTHING } from "../metrics/measures.ts";
import type { StoreAnswer, StoreCall, StoreEvent } from "../store/remote/messages.ts";
import { BUILD } from "../version.ts";
import { ownCommandLine, startProcess } from "./executable.ts";
import type { Lines, Order, ToSupervisor, ToWorker } from "./messages.ts";

/** A worker as its supervisor sees it. */
export type WorkerHandle = ReturnType<typeof startWorker>;

/** From the start of the process until it listens. */
const START_MS = 30_000;
/** For an answer to an order. */
export const ANSWER_MS = 5_000;

/** What is waited for from the start: the first word of the worker. */
const HELLO = 0;

export function startWorker(settings: {
  readonly configuration: Configuration;
  readonly certificates: readonly Pair[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly answer: (call: StoreCall) => Promise<StoreAnswer>;
  readonly takeLines: (lines: Lines) => void;
}) {
  const { configuration, certificates } = settings;
  const waiting = new Map<number, PromiseWithResolvers<void>>();
  let orders = HELLO;
  let isGone = false;
  let measures = NOTHING;

  // Service notifications are the main process's alone.
  const { NOTIFY_SOCKET: _, WATCHDOG_USEC: __, WATCHDOG_PID: ___, ...env } = settings.env;
  const { child, exited } = startProcess(ownCommandLine("worker"), env, receive);
  void exited.then((how) => {
    isGone = true;
    for (const { reject } of waiting.values()) reject(new Error(`it ended with ${how}`));
  });

  function send(message: ToWorker): void {
    if (isGone) return;
    try {
      child.send(message);
    } catch {
      // It has ended, and `exited` is about to say so.
    }
  }

  function receive(message: ToSupervisor): void {
    switch (message.kind) {
      case "hello":
        if (message.build === BUILD) waiting.get(HELLO)?.resolve();
        else waiting.get(HELLO)?.reject(new Error(`the executable on disk is another one: ${message.build}`));
        break;
      case "done":
        if (message.failed === undefined) waiting.get(message.id)?.resolve();
        else waiting.get(message.id)?.reject(new Error(message.failed));
        break;
      case "measured":
        measures = message.measures;
        break;
      case "lines":
        settings.takeLines(message);
        send({ kind: "lines_taken" });
        break;
      case "call":
        void settings.answer(message).then(send);
        break;
    }
  }

  async function answerTo(id: number, withinMs: number): Promise<void> {
    const answer = Promise.withResolvers<void>();
    waiting.set(id, answer);
    const late = setTimeout(() => answer.reject(new Error("it does not answer")), withinMs);
    try {
      await answer.promise;
    } finally {
      clearTimeout(late);
      waiting.delete(id);
    }
  }

  /** Resolves when it is done. @throws with the reason, if it is not, or not within that time. */
  function order(order: Order, withinMs = ANSWER_MS): Promise<void> {
    if (isGone) return Promise.reject(new Error("it has ended"));
    const id = ++orders;
    send({ kind: "order", id, order });
    return answerTo(id, withinMs);
  }

  return {
    pid: child.pid,
    /** @throws with the reason, if it ends before or takes too long. */
    listening: answerTo(HELLO, START_MS).then(() =>
      order({ verb: "start", configuration, certificates }, START_MS),
    ),
    order,
    send: (event: StoreEvent) => send(event),
    kill: () => child.kill("SIGKILL"),
    /** What it has measured, as far as it has said. */
    get measures(): Measures {
      return measures;
    },
    get isGone() {
      return isGone;
    },
    /** How it ended, for people. */
    exited,
  };
}
