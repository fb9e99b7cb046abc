import type { Clock } from "../clock.ts";
import { createMemoryContents } from "./memory/contents.ts";
import { createMemoryLimits } from "./memory/limits.ts";
import { createMemoryRecords, type MemoryRecords } from "./memory/records.ts";
import { type Kind, openOnce, StoreUnavailable } from "./records.ts";
import type { Store } from "./store.ts";

/**
 * A store in this process's memory: everything answers at once and is bounded, and a restart forgets it all. Nothing runs in
 * the background: what has expired is let go while the next call is served.
 */
export function createMemoryStore({
  clock,
}: {
  readonly clock: Clock;
}): Store & Required<Pick<Store, "inside">> {
  const state = { since: clock.now() };
  const kinds = new Map<string, MemoryRecords<object>>();
  const limits = createMemoryLimits(clock);
  let heldBecause: string | undefined;

  function free<Args extends readonly unknown[], Result>(verb: (...args: Args) => Result) {
    return (...args: Args): Result => {
      if (heldBecause !== undefined) throw new StoreUnavailable(heldBecause);
      return verb(...args);
    };
  }

  function recordsOf<T extends object>(kind: Kind<T>) {
    const records = createMemoryRecords(kind, clock);
    kinds.set(kind.name, records as unknown as MemoryRecords<object>);
    return {
      add: free(records.add),
      get: free(records.get),
      replace: free(records.replace),
      take: free(records.take),
      takeAll: free(records.takeAll),
      find: free(records.find),
      count: free(records.count),
      onTaken: records.onTaken,
    };
  }

  const records = openOnce(recordsOf);
  return {
    records,
    limits: { hit: free(limits.hit), count: free(limits.count), release: free(limits.release) },
    since: () => state.since,
    ready: free(() => {}),
    inside: {
      contents: createMemoryContents({ clock, state, kinds, limits, open: records }),
      hold(reason) {
        const before = heldBecause;
        heldBecause = reason;
        return before;
      },
    },
    close() {},
  };
}
