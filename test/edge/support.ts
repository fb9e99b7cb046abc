import { type Stores, StoreUnavailable } from "../../src/store/contracts.ts";

/** Stores that are away for as long as they are told to be. */
export type Stoppable = { readonly stores: Stores; away: boolean };

export function stoppable(stores: Stores): Stoppable {
  const state: Stoppable = {
    away: false,
    stores: {
      records: (kind) => guarded(stores.records(kind)),
      tickets: {
        spend: (...args: Parameters<Stores["tickets"]["spend"]>) =>
          state.away ? "unavailable" : stores.tickets.spend(...args),
        isSpent(jti: string) {
          refuseIfAway();
          return stores.tickets.isSpent(jti);
        },
        since() {
          refuseIfAway();
          return stores.tickets.since();
        },
      },
      sessions: guarded(stores.sessions),
      limits: guarded(stores.limits),
      outbox: guarded(stores.outbox),
      ready: () => {
        refuseIfAway();
        return stores.ready();
      },
      close: () => stores.close(),
    },
  };

  function refuseIfAway(): void {
    if (state.away) throw new StoreUnavailable("The store at /secret/place does not answer.");
  }

  function guarded<Store extends object>(store: Store): Store {
    return new Proxy(store, {
      get(target, name) {
        const method = Reflect.get(target, name) as (...args: unknown[]) => unknown;
        return async (...args: unknown[]) => {
          refuseIfAway();
          return method.apply(target, args);
        };
      },
    });
  }

  return state;
}
