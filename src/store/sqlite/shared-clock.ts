import { readFileSync } from "node:fs";
import { uptime } from "node:os";
import type { Clock } from "../../clock.ts";
import type { SqliteHandle } from "./handle.ts";

/** What all processes of a machine see alike. */
export type Machine = {
  /** Differs between two starts of the machine. */
  readonly bootId: string;
  /** Milliseconds since the machine started. Setting the wall clock does not move it. */
  uptime(): number;
};

/** Linux tells to a hundredth of a second (proc(5)); where there is no `/proc`, whole seconds do. */
export const systemMachine: Machine = {
  bootId: readOr("/proc/sys/kernel/random/boot_id", "unknown").trim(),
  uptime: () => Number.parseFloat(readOr("/proc/uptime", String(uptime()))) * 1000,
};

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return otherwise;
  }
}

/**
 * The time that limits are counted in: the same in all processes, going on over restarts, and not moved by setting the wall
 * clock. It is the machine's uptime plus a base that is drawn from the wall clock once per start of the machine, so that the
 * time it was down counts as well, and kept in the database for all.
 * @returns milliseconds, near those since the Unix epoch. @throws {StoreUnavailable}
 */
export function createSharedClock(
  handle: Pick<SqliteHandle, "database" | "write">,
  clock: Clock,
  machine: Machine,
): () => number {
  const { database } = handle;
  const state = database.prepare<{ name: string; value: string | number }, []>(
    "SELECT name, value FROM state WHERE name IN ('boot_id', 'clock_base')",
  );
  const latestHit = database.prepare<{ latest: number | null }, []>(
    "SELECT max(last_at) AS latest FROM limits",
  );
  const keep = database.prepare<never, [string, number]>(
    "INSERT OR REPLACE INTO state VALUES ('boot_id', ?1), ('clock_base', ?2)",
  );
  let base: number | undefined;

  const establish = database.transaction((): number => {
    const known = new Map(state.all().map(({ name, value }) => [name, value]));
    const uptime = machine.uptime();
    const latest = latestHit.get()?.latest ?? Number.NEGATIVE_INFINITY;
    const kept = Number(known.get("clock_base"));
    // A container's uptime may start anew without another start of the machine.
    if (known.get("boot_id") === machine.bootId && kept + uptime >= latest) return kept;
    // A machine without a battery for its clock wakes up in the past. Time must not stand still until the network corrects it.
    const fresh = Math.round(Math.max(clock.now(), latest) - uptime);
    keep.run(machine.bootId, fresh);
    return fresh;
  });

  return () => {
    base ??= handle.write(() => establish.immediate());
    return base + machine.uptime();
  };
}
