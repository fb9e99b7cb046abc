import { systemClock } from "../clock.ts";
import type { Configuration } from "../config/configuration.ts";
import type { Mailbox } from "../mail/mailbox.ts";
import { messageOf } from "../observe/message-of.ts";
import type { MailboxMail } from "../pages/pages.ts";
import { openStore } from "../store/open.ts";
import { createStoreClient } from "../store/remote/client.ts";
import type { Store } from "../store/store.ts";
import { BUILD } from "../version.ts";
import { composeGateway } from "./compose.ts";
import { type Instance, openInstance } from "./instance.ts";
import { type Log, openLog } from "./log.ts";
import type { ToSupervisor, ToWorker } from "./messages.ts";
import { DRAIN_MS } from "./serving.ts";

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
  let running: { readonly instance: Instance; readonly stores: Store; log: Log } | undefined;
  let stopping = false;

  async function start(configuration: Configuration): Promise<void> {
    const { options } = configuration;
    const log = openLog(options, true);
    const stores =
      options.store.kind === "memory"
        ? shared.store
        : await openStore(options.store, { clock: systemClock, log: log.loggers("store") });
    // It may have been asked to stop meanwhile.
    if (stopping) return;
    const gateway = composeGateway(configuration, { stores, mailbox: remoteMailbox(), loggers: log.loggers });
    running = { instance: openInstance(gateway, options, true, log.loggers("main")), stores, log };
  }

  async function reload(configuration: Configuration): Promise<void> {
    if (running === undefined || stopping) throw new Error("it does not serve");
    const { instance, stores } = running;
    const log = running.log.by(configuration.options);
    await instance.swap(
      composeGateway(configuration, {
        stores,
        mailbox: remoteMailbox(),
        loggers: log.loggers,
        live: instance.gateway.live,
      }),
    );
    running.log = log;
  }

  /** One for all workers: whoever develops looks at whichever answers. */
  function remoteMailbox(): Mailbox {
    return {
      send: async (mail) => void (await shared.call("mailbox", "send", mail)),
      mails: async () => (await shared.call("mailbox", "mails")) as readonly MailboxMail[],
    };
  }

  async function stop(withinMs: number): Promise<void> {
    const drained = running?.instance.stop(withinMs);
    if (stopping) return;
    stopping = true;
    // The socket is closed by now; what follows are the requests under way.
    send({ kind: "closed" });
    await drained;
    await running?.stores.close();
    running?.log.flush();
    resolve();
  }

  function failed(error: unknown): void {
    send({ kind: "failed", reason: messageOf(error) });
  }

  send({ kind: "hello", build: BUILD });
  return {
    receive(message) {
      switch (message.kind) {
        case "start":
          start(message.configuration).then(
            () => running !== undefined && send({ kind: "listening" }),
            (error: unknown) => {
              failed(error);
              resolve();
            },
          );
          break;
        case "reload":
          reload(message.configuration).then(() => send({ kind: "reloaded" }), failed);
          break;
        case "retire":
          running?.instance.retire();
          break;
        case "resume":
          running?.instance.resume();
          break;
        case "stop":
          void stop(message.withinMs);
          break;
        case "ping":
          send({ kind: "pong" });
          break;
        case "answer":
        case "taken":
          shared.receive(message);
          break;
      }
    },
    stop: () => void stop(DRAIN_MS),
    abandon() {
      void shared.store.close();
      void stop(DRAIN_MS);
    },
    stopped,
  };
}
