import { messageOf } from "../../observe/message-of.ts";
import { type Stores, StoreUnavailable } from "../contracts.ts";
import { type Kind, StoreFull } from "../records.ts";
import type { StoreAnswer, StoreCall, StoreEvent } from "./messages.ts";

/** What another process may call. `onEnded` is told to all of them, and `close` is the host's own affair. */
const METHODS = {
  tickets: ["spend", "isSpent", "since"],
  sessions: ["create", "find", "touch", "end", "endAll", "list", "note"],
  limits: ["hit", "release"],
  outbox: ["add", "claim", "nextDue", "postpone", "remove"],
} as const satisfies {
  readonly [Name in "tickets" | "sessions" | "limits" | "outbox"]: readonly (keyof Stores[Name])[];
};

type Method = (...args: unknown[]) => unknown;

/**
 * Answers the calls of other processes on this process's stores, and on what else it keeps for them. Never rejects.
 * @param others by the name they are called by.
 * @param tell says to all of them what was taken.
 */
export function hostStores(
  stores: Stores,
  others: Readonly<Record<string, Method>>,
  tell: (event: StoreEvent) => void,
): (call: StoreCall) => Promise<StoreAnswer> {
  const methods = new Map<string, Method>([["ready", () => stores.ready()], ...Object.entries(others)]);
  const kinds = new Set<string>();
  methods.set("records", (kind, verb, args) => {
    const { name } = kind as Kind<object>;
    const records = stores.records(kind as Kind<object>);
    if (!kinds.has(name)) {
      kinds.add(name);
      records.onTaken((id) => tell({ kind: "taken", of: name, id }));
    }
    const call = (records as unknown as Readonly<Record<string, Method>>)[String(verb)];
    return call?.(...(args as unknown[]));
  });
  for (const [name, names] of Object.entries(METHODS)) {
    // Called with what the contract's own types made on the other side of the channel, by a process of the same build.
    const store = stores[name as keyof typeof METHODS] as unknown as Readonly<Record<string, Method>>;
    for (const method of names) {
      const call = store[method];
      if (call !== undefined) methods.set(`${name}.${method}`, call);
    }
  }

  return async ({ id, method, args }) => {
    try {
      const call = methods.get(method);
      if (call === undefined) throw new StoreUnavailable(`there is no ${method}`);
      return { kind: "answer", id, value: await call(...args) };
    } catch (error) {
      if (error instanceof StoreFull) return { kind: "answer", id, full: error.message };
      return { kind: "answer", id, unavailable: messageOf(error) };
    }
  };
}
