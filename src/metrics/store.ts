import type { Clock } from "../clock.ts";
import type { Kind, Records } from "../store/records.ts";
import type { Store } from "../store/store.ts";
import type { Registry } from "./registry.ts";

/** A store whose calls are timed, each by what is done and not by what it is done to. */

const BOUNDS = [0.00001, 0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5];

type Verb<Args extends readonly unknown[], Result> = (...args: Args) => Result;

export function timeStore(
  store: Store,
  registry: Pick<Registry, "counter" | "histogram">,
  clock: Clock,
): Store {
  const took = registry.histogram("runegate_store_duration_seconds", "Calls of the store.", ["op"], BOUNDS);
  const errors = registry.counter("runegate_store_errors_total", "Calls of the store that failed.", ["op"]);

  function timed<Args extends readonly unknown[], Result>(
    op: string,
    verb: Verb<Args, Result>,
  ): Verb<Args, Result> {
    const observe = took.of(op);
    const failed = errors.of(op);
    const done = (begun: number) => observe((clock.monotonic() - begun) / 1000);
    const fail = (error: unknown) => {
      failed.value++;
      throw error;
    };
    return (...args) => {
      const begun = clock.monotonic();
      try {
        const answer = verb(...args);
        if (answer instanceof Promise) return answer.catch(fail).finally(() => done(begun)) as Result;
        done(begun);
        return answer;
      } catch (error) {
        return fail(error);
      }
    };
  }

  function timedRecords<T extends object>(records: Records<T>): Records<T> {
    return {
      add: timed("add", records.add),
      get: timed("get", records.get),
      replace: timed("replace", records.replace),
      take: timed("take", records.take),
      takeAll: timed("take_all", records.takeAll),
      find: timed("find", records.find),
      count: timed("count", records.count),
      onTaken: records.onTaken,
    };
  }

  /** By the store's own, of which there is one for each kind. */
  const known = new WeakMap<Records<never>, unknown>();
  return {
    records: <T extends object>(kind: Kind<T>) => {
      const records = store.records(kind);
      return known.getOrInsertComputed(records as unknown as Records<never>, () =>
        timedRecords(records),
      ) as Records<T>;
    },
    limits: {
      hit: timed("limit_hit", store.limits.hit),
      count: timed("limit_count", store.limits.count),
      release: timed("limit_release", store.limits.release),
    },
    since: store.since,
    ready: store.ready,
    close: store.close,
  };
}
