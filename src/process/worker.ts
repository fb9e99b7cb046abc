import { systemClock } from "../clock.ts";
import type { Configuration } from "../config/configuration.ts";
import type { Mailbox, ReceivedMail } from "../mail/mailbox.ts";
import type { Stores } from "../store/contracts.ts";
import { openStores } from "../store/open.ts";
import { createGuestStores } from "../store/remote/guest.ts";
import { BUILD } from "../version.ts";
import { type Instance, openInstance } from "./instance.ts";
import { openLibc } from "./libc.ts";
import type { ToSupervisor, ToWorker } from "./messages.ts";
import { composeGateway, type Log, openLog, reasonOf } from "./parts.ts";
import { findListeningSocket, steer } from "./steering.ts";

/**
 * A worker: a gateway that shares its port with others and does what the supervisor says. When the supervisor is gone, it
 * lets its requests finish and ends.
 * @param send says something to the supervisor.
 * @returns what to call with everything the supervisor says, and when the worker has ended.
 */
export function runWorker(send: (message: ToSupervisor) => void): {
  receive(message: ToWorker): void;
  stop(): void;
  readonly stopped: Promise<void>;
} {
  const { promise: stopped, resolve } = Promise.withResolvers<void>();
  const guest = createGuestStores({ clock: systemClock, send });
  let running: { instance: Instance; stores: Stores; log: Log; port: number } | undefined;
  let stopping = false;

  async function start(configuration: Configuration): Promise<void> {
    const { options } = configuration;
    const log = openLog(options);
    const stores =
      options.store.kind === "memory"
        ? guest.stores
        : await openStores(options.store, { clock: systemClock, log: log.loggers("store") });
    const gateway = composeGateway(configuration, { stores, mailbox: remoteMailbox(), loggers: log.loggers });
    const instance = openInstance(gateway, options.listen, true);
    running = { instance, stores, log, port: options.listen.kind === "tcp" ? options.listen.port : 0 };
    send({ kind: "listening" });
  }

  /** One for all workers: whoever develops looks at whichever answers. */
  function remoteMailbox(): Mailbox {
    return {
      send: async (entry) => void (await guest.call("mailbox.send", entry)),
      mails: async () => (await guest.call("mailbox.mails")) as readonly ReceivedMail[],
    };
  }

  async function stop(): Promise<void> {
    if (stopping) return;
    stopping = true;
    const drained = running?.instance.stop();
    // The socket is closed by now; what follows are the requests under way.
    send({ kind: "closed" });
    await drained;
    await running?.stores.close();
    running?.log.flush();
    resolve();
  }

  function steerPort(places: readonly number[] | "all"): boolean {
    const libc = openLibc();
    const socket = running === undefined ? undefined : findListeningSocket(running.port);
    return libc !== undefined && socket !== undefined && steer(libc, socket, places);
  }

  send({ kind: "hello", build: BUILD });
  return {
    receive(message) {
      switch (message.kind) {
        case "start":
          start(message.configuration).catch((error: unknown) => {
            send({ kind: "failed", reason: reasonOf(error) });
            resolve();
          });
          break;
        case "steer":
          send({ kind: "steered", done: steerPort(message.places) });
          break;
        case "retire":
          running?.instance.retire();
          break;
        case "stop":
          void stop();
          break;
        case "ping":
          send({ kind: "pong" });
          break;
        case "answer":
        case "ended":
          guest.receive(message);
          break;
      }
    },
    stop: () => void stop(),
    stopped,
  };
}
