import type { Pair } from "../certificates/pair.ts";
import { systemClock } from "../clock.ts";
import type { Configuration } from "../config/configuration.ts";
import type { Mailbox } from "../mail/mailbox.ts";
import type { Receipt } from "../mail/mailer.ts";
import type { DayPoint } from "../metrics/day.ts";
import { createProcessMetrics } from "../metrics/metrics.ts";
import { measureLog, measureProcess } from "../metrics/process.ts";
import { messageOf } from "../observe/message-of.ts";
import type { MailboxMail } from "../pages/pages.ts";
import { openStore } from "../store/open.ts";
import { createStoreClient } from "../store/remote/client.ts";
import type { Store } from "../store/store.ts";
import { BUILD } from "../version.ts";
import { composeGateway } from "./compose.ts";
import { createLineSender } from "./line-sender.ts";
import { type Log, openLog, STDOUT_NAME } from "./log.ts";
import type { Order, ToSupervisor, ToWorker } from "./messages.ts";
import { DRAIN_MS, type Serving } from "./serving.ts";
import { serveSingle } from "./single.ts";

/**
 * A worker: a gateway that shares its port with others and does what the supervisor says. When the supervisor is gone, it
 * lets its requests finish and ends.
 * @param send says something to the supervisor.
 * @returns what to call with everything the supervisor says, and when the worker has ended.
 */
export function runWorker(send: (message: ToSupervisor) => void): {
  receive(message: ToWorker): void;
  stop(): void;
  /** The supervisor is gone, and what it kept with it. */
  abandon(): void;
  readonly stopped: Promise<void>;
} {
  const { promise: stopped, resolve } = Promise.withResolvers<void>();
  const shared = createStoreClient({ clock: systemClock, send });
  /** One for all workers: whoever develops looks at whichever answers. */
  const mailbox: Mailbox = {
    send: async (mail) => (await shared.call("mailbox", "send", mail)) as Receipt,
    mails: async () => (await shared.call("mailbox", "mails")) as readonly MailboxMail[],
  };
  const measured = createProcessMetrics(
    systemClock,
    async () => (await shared.call("metrics", "lastDay")) as readonly DayPoint[],
  );
  measureProcess(measured, systemClock);
  const lines = createLineSender(send);
  let running: { readonly serving: Serving; readonly stores: Store; log: Log } | undefined;
  let stopping = false;

  async function start(configuration: Configuration, certificates: readonly Pair[]): Promise<void> {
    const { options } = configuration;
    const { log } = openLog(options, true, () => lines);
    measureLog(measured, () => [{ sink: STDOUT_NAME, ...log.state() }]);
    const stores =
      options.store.kind === "memory"
        ? shared.store
        : await openStore(options.store, {
            schema: options.storeSchema,
            clock: systemClock,
            log: log.loggers("store"),
          });
    if (stopping) throw new Error("it was stopped meanwhile");
    const serving = await serveSingle(
      configuration,
      { stores, mailbox, loggers: log.loggers, measured },
      certificates,
    );
    running = { serving, stores, log };
  }

  async function reload(configuration: Configuration): Promise<void> {
    if (running === undefined || stopping) throw new Error("it does not serve");
    const log = running.log.by(configuration.options);
    await running.serving.reload(configuration, composeGateway, log.loggers);
    running.log = log;
  }

  async function end(drained: Promise<void> | undefined): Promise<void> {
    await drained;
    await sayMeasures();
    await running?.stores.close();
    await lines.flush();
    running?.log.flush();
    resolve();
  }

  async function stop(withinMs: number): Promise<void> {
    const { closed, ended } = running?.serving.stop(withinMs) ?? {};
    if (!stopping) void end(ended);
    stopping = true;
    await closed;
  }

  async function sayMeasures(): Promise<void> {
    const measures = await running?.serving.gateway.metrics.measures(false);
    if (measures !== undefined) send({ kind: "measured", measures });
  }

  async function obey(order: Order): Promise<void> {
    switch (order.verb) {
      case "start":
        return start(order.configuration, order.certificates);
      case "reload":
        return reload(order.configuration);
      case "stop":
        return stop(order.withinMs);
      case "certify":
        return running?.serving.certify(order.certificates);
      case "measure":
        return sayMeasures();
      case "retire":
      case "resume":
        return running?.serving[order.verb]();
    }
  }

  send({ kind: "hello", build: BUILD });
  return {
    receive(message) {
      if (message.kind === "lines_taken") return lines.taken();
      if (message.kind !== "order") return shared.receive(message);
      const { id, order } = message;
      obey(order).then(
        () => send({ kind: "done", id }),
        (error: unknown) => {
          send({ kind: "done", id, failed: messageOf(error) });
          if (order.verb === "start") resolve();
        },
      );
    },
    stop: () => void stop(DRAIN_MS),
    abandon() {
      void shared.store.close();
      void stop(DRAIN_MS);
    },
    stopped,
  };
}
