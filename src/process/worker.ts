import { systemClock } from "../clock.ts";
import type { Configuration } from "../config/configuration.ts";
import type { Mailbox, ReceivedMail } from "../mail/mailbox.ts";
import { messageOf } from "../observe/message-of.ts";
import type { Stores } from "../store/contracts.ts";
import { openStores } from "../store/open.ts";
import { createGuestStores } from "../store/remote/guest.ts";
import { BUILD } from "../version.ts";
import { type Instance, openInstance } from "./instance.ts";
import { openLibc } from "./libc.ts";
import type { ToSupervisor, ToWorker } from "./messages.ts";
import { composeGateway, DRAIN_MS, type Log, openLog } from "./parts.ts";
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
  /** The supervisor is gone, and what it kept with it. */
  abandon(): void;
  readonly stopped: Promise<void>;
} {
  const { promise: stopped, resolve } = Promise.withResolvers<void>();
  const guest = createGuestStores({ clock: systemClock, send });
  let running: { instance: Instance; stores: Stores; log: Log; port: number } | undefined;
  let stopping = false;

  async function start(configuration: Configuration): Promise<void> {
    const { options } = configuration;
    const log = openLog(options, true);
    const stores =
      options.store.kind === "memory"
        ? guest.stores
        : await openStores(options.store, { clock: systemClock, log: log.loggers("store") });
    // It may have been told to stop meanwhile.
    if (stopping) return;
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

  function steerPort(places: readonly number[] | "all"): boolean {
    const libc = openLibc();
    if (libc === undefined || running === undefined) return false;
    const socket = findListeningSocket(libc, running.port);
    return socket !== undefined && steer(libc, socket, places);
  }

  send({ kind: "hello", build: BUILD });
  return {
    receive(message) {
      switch (message.kind) {
        case "start":
          start(message.configuration).catch((error: unknown) => {
            send({ kind: "failed", reason: messageOf(error) });
            resolve();
          });
          break;
        case "steer":
          send({ kind: "steered", done: steerPort(message.places) });
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
        case "ended":
          guest.receive(message);
          break;
      }
    },
    stop: () => void stop(DRAIN_MS),
    abandon() {
      void guest.stores.close();
      void stop(DRAIN_MS);
    },
    stopped,
  };
}
