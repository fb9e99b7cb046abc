import { targetsUp } from "../applications/up.ts";
import type { House } from "../house.ts";
import type { DayPoint } from "../metrics/day.ts";
import { StoreUnavailable } from "../store/records.ts";
import { VERSION } from "../version.ts";

/** How things are, at one look: for the overview, the API and `runegate status`. */
export type Status = {
  readonly version: string;
  readonly store: {
    readonly kind: "memory" | "sqlite" | "valkey";
    /** Why it cannot be used; undefined where it can. */
    readonly problem: string | undefined;
  };
  /** Undefined, as is the mail, where the store cannot be asked. */
  readonly sessions: number | undefined;
  readonly mail: { readonly waiting: number; readonly failed: number } | undefined;
  /**
   * @property closed what visitors are told while it is closed for maintenance.
   * @property up how many of its targets are up, as far as is known.
   */
  readonly applications: readonly {
    readonly name: string;
    readonly closed: string | undefined;
    readonly targets: number;
    readonly up: number;
  }[];
  /** 96 points of 15 minutes, oldest first; none where other processes could not be asked. */
  readonly day: readonly DayPoint[];
};

export type StatusHouse = Pick<
  House,
  "options" | "stores" | "sessions" | "outbox" | "routes" | "closures" | "metrics"
>;

export async function statusOf(house: StatusHouse): Promise<Status> {
  const { options, stores, sessions, outbox, routes, closures, metrics } = house;
  const [problem, count, waiting, day, up] = await Promise.all([
    problemOf(stores.ready),
    orUndefined(sessions.count),
    orUndefined(outbox.waiting),
    orUndefined(metrics.lastDay),
    targetsUp(house),
    closures.look(),
  ]);
  const failed = waiting?.filter(({ lastError }) => lastError !== undefined).length ?? 0;
  return {
    version: VERSION,
    store: { kind: options.store.kind, problem },
    sessions: count,
    mail: waiting && { waiting: waiting.length, failed },
    applications: routes.all.map((route) => ({
      name: route.name,
      closed: closures.textOf(route),
      targets: route.targets.length,
      up: up.get(route.name)?.filter(Boolean).length ?? route.targets.length,
    })),
    day: day ?? [],
  };
}

/** Of the day. */
export function totalOf(day: readonly DayPoint[], what: "requests" | "logins" | "refusals"): number {
  return day.reduce((sum, point) => sum + point[what], 0);
}

async function problemOf(ask: () => unknown): Promise<string | undefined> {
  try {
    await ask();
    return undefined;
  } catch (error) {
    if (error instanceof StoreUnavailable) return error.message;
    throw error;
  }
}

async function orUndefined<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof StoreUnavailable) return undefined;
    throw error;
  }
}
