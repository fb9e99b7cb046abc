import { messageOf } from "../../observe/message-of.ts";
import { type Kind, type Records, StoreFull, StoreUnavailable } from "../records.ts";
import type { Store } from "../store.ts";
import type { StoreAnswer, StoreCall, StoreEvent } from "./messages.ts";

/** What another process may call. It is told what was taken, and `close` is this process's own affair. */
const RECORDS = [
  "add",
  "get",
  "replace",
  "take",
  "takeAll",
  "find",
  "count",
] as const satisfies (keyof Records<object>)[];
const LIMITS = ["hit", "count", "release"] as const satisfies (keyof Store["limits"])[];
const STORE = ["since", "ready"] as const satisfies (keyof Store)[];

type Verb = (...args: unknown[]) => unknown;
type Verbs = Readonly<Record<string, Verb>>;

/**
 * Answers the calls of other processes on this process's store, and on what else it keeps for them. Never rejects.
 * @param others by the name they are called by.
 * @param tell says to all of them what was taken.
 */
export function serveStore(
  store: Store,
  others: Readonly<Record<string, Verbs>>,
  tell: (event: StoreEvent) => void,
): (call: StoreCall) => Promise<StoreAnswer> {
  const known = new Map<string, Verbs>([
    ...Object.entries(others),
    ["limits", verbsOf(store.limits, LIMITS)],
    ["store", verbsOf(store, STORE)],
  ]);

  function recordsOf(kind: Kind<object>): Verbs {
    const name = `records of ${kind.name}`;
    let verbs = known.get(name);
    if (verbs === undefined) {
      const records = store.records(kind);
      verbs = verbsOf(records, RECORDS);
      known.set(name, verbs);
      records.onTaken((id) => tell({ kind: "taken", of: kind.name, id }));
    }
    return verbs;
  }

  return async ({ id, of, verb, args }) => {
    try {
      const verbs = typeof of === "object" ? recordsOf(of) : known.get(of);
      if (verbs === undefined || !Object.hasOwn(verbs, verb))
        throw new StoreUnavailable(`there is no ${verb}`);
      return { kind: "answer", id, value: await verbs[verb]?.(...args) };
    } catch (error) {
      if (error instanceof StoreFull) return { kind: "answer", id, full: error.message };
      return { kind: "answer", id, unavailable: messageOf(error) };
    }
  };
}

/** Called with what the contract's own types made at the other end of the channel, by a process of the same build. */
function verbsOf<T extends object>(target: T, names: readonly (keyof T & string)[]): Verbs {
  return Object.fromEntries(
    names.map((name) => [name, (...args: unknown[]) => (target[name] as Verb)(...args)]),
  );
}
