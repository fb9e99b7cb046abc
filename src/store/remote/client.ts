import type { Clock } from "../../clock.ts";
import { cacheRecords } from "../cached-records.ts";
import {
  createListeners,
  type Kind,
  openOnce,
  type Records,
  StoreFull,
  StoreUnavailable,
} from "../records.ts";
import type { Store } from "../store.ts";
import type { StoreAnswer, StoreCall, StoreEvent } from "./messages.ts";

/** An answer that takes longer comes from a process that hangs. */
const ANSWER_MS = 2_000;

export type StoreClient = {
  readonly store: Store;
  /** Calls something else that is kept at the other end. @throws {StoreUnavailable} */
  call(of: string, verb: string, ...args: readonly unknown[]): Promise<unknown>;
  /** For every message that comes over the channel. */
  receive(message: StoreAnswer | StoreEvent): void;
};

/**
 * The store of the process at the other end of a channel. Kinds that are cached are so here, as {@link cacheRecords} does it,
 * and the other end tells of each record that is taken, so that a look-up is a round trip every few seconds and not every request.
 */
export function createStoreClient(settings: {
  readonly clock: Clock;
  readonly send: (call: StoreCall) => void;
}): StoreClient {
  type Waiting = { resolve(value: unknown): void; reject(error: Error): void; readonly timer: Timer };
  const waiting = new Map<number, Waiting>();
  /** By kind, those who want to know what was taken. */
  const listeners = new Map<string, ReturnType<typeof createListeners>>();
  let count = 0;
  let closed = false;

  function call(of: StoreCall["of"], verb: string, args: readonly unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (closed) return reject(new StoreUnavailable("the store is closed"));
      const id = ++count;
      const timer = setTimeout(() => {
        waiting.delete(id);
        reject(new StoreUnavailable("the process that keeps the store does not answer"));
      }, ANSWER_MS);
      timer.unref();
      waiting.set(id, { resolve, reject, timer });
      settings.send({ kind: "call", id, of, verb, args });
    });
  }

  /** The channel is typed by its two ends being of one build: `server.ts` calls the verb of the same name. */
  function remote<Result>(of: StoreCall["of"], verb: string) {
    return (...args: unknown[]) => call(of, verb, args) as Promise<Result>;
  }

  function recordsOf<T extends object>(kind: Kind<T>): Records<T> {
    const verb = <Result>(name: string) => remote<Result>(kind as Kind<object>, name);
    const taken = createListeners();
    const records: Records<T> = {
      add: verb("add"),
      get: verb("get"),
      replace: verb("replace"),
      take: verb("take"),
      takeAll: verb("takeAll"),
      find: verb("find"),
      count: verb("count"),
      onTaken(listener) {
        // The other end tells from the first call on.
        if (!listeners.has(kind.name)) void call(kind as Kind<object>, "get", [""]).catch(() => {});
        listeners.set(kind.name, taken);
        taken.add(listener);
      },
    };
    return kind.cached ? cacheRecords(records, { clock: settings.clock }) : records;
  }

  return {
    store: {
      records: openOnce(recordsOf),
      limits: {
        hit: remote("limits", "hit"),
        count: remote("limits", "count"),
        release: remote("limits", "release"),
      },
      since: remote("store", "since"),
      ready: remote("store", "ready"),
      close() {
        closed = true;
        for (const [id, { reject, timer }] of waiting) {
          waiting.delete(id);
          clearTimeout(timer);
          reject(new StoreUnavailable("the store is closed"));
        }
      },
    },
    call: (of, verb, ...args) => call(of, verb, args),
    receive(message) {
      if (message.kind === "taken") return listeners.get(message.of)?.tell(message.id);
      const waiter = waiting.get(message.id);
      if (waiter === undefined) return;
      waiting.delete(message.id);
      clearTimeout(waiter.timer);
      if ("full" in message) waiter.reject(new StoreFull(message.full));
      else if ("unavailable" in message) waiter.reject(new StoreUnavailable(message.unavailable));
      else waiter.resolve(message.value);
    },
  };
}
