import type { Clock } from "../../clock.ts";
import { cacheRecords } from "../cached-records.ts";
import { cacheSessions } from "../cached-sessions.ts";
import { type SessionStore, type Stores, StoreUnavailable } from "../contracts.ts";
import { type Kind, openOnce, type Records, StoreFull } from "../records.ts";
import type { StoreAnswer, StoreCall, StoreEvent } from "./messages.ts";

/** An answer that takes longer comes from a process that hangs. */
const ANSWER_MS = 2_000;

export type GuestStores = {
  readonly stores: Stores;
  /** Calls something else that the host keeps. @throws {StoreUnavailable} */
  call(method: string, ...args: readonly unknown[]): Promise<unknown>;
  /** For every message that comes over the channel. */
  receive(message: StoreAnswer | StoreEvent): void;
};

/**
 * The stores of the process at the other end of a channel. Sessions are cached as {@link cacheSessions} does it, and the
 * host tells of each that ends, so that a look-up is a round trip every few seconds and not every request.
 */
export function createGuestStores(settings: {
  readonly clock: Clock;
  readonly send: (call: StoreCall) => void;
}): GuestStores {
  type Waiting = { resolve(value: unknown): void; reject(error: Error): void; readonly timer: Timer };
  const waiting = new Map<number, Waiting>();
  const listeners: Array<(id: string) => void> = [];
  let count = 0;
  let closed = false;

  function call(method: string, args: readonly unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (closed) return reject(new StoreUnavailable("the store is closed"));
      const id = ++count;
      const timer = setTimeout(() => {
        waiting.delete(id);
        reject(new StoreUnavailable("the process that keeps the store does not answer"));
      }, ANSWER_MS);
      timer.unref();
      waiting.set(id, { resolve, reject, timer });
      settings.send({ kind: "call", id, method, args });
    });
  }

  /** The channel is typed by its two ends being of one build: `host.ts` calls the method of the same name. */
  function remote<Result>(method: string) {
    return (...args: unknown[]) => call(method, args) as Promise<Result>;
  }

  const sessions: SessionStore = {
    create: remote("sessions.create"),
    find: remote("sessions.find"),
    touch: remote("sessions.touch"),
    end: remote("sessions.end"),
    endAll: remote("sessions.endAll"),
    list: remote("sessions.list"),
    note: remote("sessions.note"),
    onEnded: (listener) => {
      listeners.push(listener);
    },
  };
  /** By kind, those who want to know what was taken. */
  const takenListeners = new Map<string, Array<(id: string) => void>>();

  function recordsOf<T extends object>(kind: Kind<T>): Records<T> {
    const verb = <Result>(name: string) => {
      return (...args: unknown[]) => call("records", [kind, name, args]) as Promise<Result>;
    };
    const remoteRecords: Records<T> = {
      add: verb("add"),
      get: verb("get"),
      replace: verb("replace"),
      take: verb("take"),
      takeAll: verb("takeAll"),
      find: verb("find"),
      onTaken(listener) {
        const known = takenListeners.get(kind.name) ?? [];
        takenListeners.set(kind.name, [...known, listener]);
        // The other side tells from the first call on.
        if (known.length === 0) void call("records", [kind, "find", [{ most: 0 }]]).catch(() => {});
      },
    };
    return kind.cached ? cacheRecords(remoteRecords, { clock: settings.clock }) : remoteRecords;
  }

  const spend: Stores["tickets"]["spend"] = remote("tickets.spend");

  return {
    stores: {
      records: openOnce(recordsOf),
      tickets: {
        spend: async (jti, expiresAt) => {
          try {
            return await spend(jti, expiresAt);
          } catch {
            return "unavailable";
          }
        },
        isSpent: remote("tickets.isSpent"),
        since: remote("tickets.since"),
      },
      sessions: cacheSessions(sessions, { clock: settings.clock }),
      limits: { hit: remote("limits.hit"), release: remote("limits.release") },
      outbox: {
        add: remote("outbox.add"),
        claim: remote("outbox.claim"),
        nextDue: remote("outbox.nextDue"),
        postpone: remote("outbox.postpone"),
        remove: remote("outbox.remove"),
      },
      ready: remote("ready"),
      close() {
        closed = true;
        for (const [id, { reject, timer }] of waiting) {
          waiting.delete(id);
          clearTimeout(timer);
          reject(new StoreUnavailable("the store is closed"));
        }
      },
    },
    call: (method, ...args) => call(method, args),
    receive(message) {
      if (message.kind === "ended") {
        for (const listener of listeners) listener(message.session);
        return;
      }
      if (message.kind === "taken") {
        for (const listener of takenListeners.get(message.of) ?? []) listener(message.id);
        return;
      }
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
