import { type Kind, type Records, StoreUnavailable } from "../../src/store/records.ts";
import type { Store } from "../../src/store/store.ts";

/** A call of the store under test. */
export type InterceptedCall = {
  /** A kind's name, `limits`, or `store`. */
  readonly of: string;
  readonly verb: string;
  readonly args: readonly unknown[];
  /** Does what was asked for. */
  go(): unknown;
};

/** The store, with every call but `onTaken` and `close` handed to the test, which answers in its stead or lets it go on. */
export function intercepted(store: Store, answer: (call: InterceptedCall) => unknown): Store {
  function watched<T extends object>(of: string, target: T): T {
    return new Proxy(target, {
      get(_, verb: string) {
        const method: unknown = Reflect.get(target, verb);
        if (typeof method !== "function" || verb === "onTaken") return method;
        return (...args: unknown[]) => answer({ of, verb, args, go: () => method.apply(target, args) });
      },
    });
  }
  const { ready, since } = watched("store", { ready: store.ready, since: store.since });
  return {
    records: <T extends object>(kind: Kind<T>): Records<T> => watched(kind.name, store.records(kind)),
    limits: watched("limits", store.limits),
    ready,
    since,
    close: () => store.close(),
  };
}

/** A store that is away for as long as it is told to be. */
export type Stoppable = { readonly store: Store; away: boolean };

/** @param concerns which calls fail while it is away; all of them, unless said otherwise. */
export function stoppable(
  store: Store,
  concerns: (call: InterceptedCall) => boolean = () => true,
): Stoppable {
  const state: Stoppable = {
    away: false,
    store: intercepted(store, (call) => {
      if (state.away && concerns(call))
        throw new StoreUnavailable("The store at /secret/place does not answer.");
      return call.go();
    }),
  };
  return state;
}
