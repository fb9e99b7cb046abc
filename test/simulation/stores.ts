import { needs } from "../support/needs.ts";
import { postgresPrograms, startPostgres } from "../support/postgres.ts";
import { startValkey } from "../support/valkey.ts";
import type { Machine } from "./network.ts";

/** The store that all gateways share, on a machine of its own. */
export type SharedStore = {
  /** As `RUNEGATE_STORE` says it. */
  readonly location: string;
  /** As a power cut would, but for what the kernel holds. */
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
};

export const STORES = ["valkey", "postgres"] as const;
export type StoreKind = (typeof STORES)[number];

export async function startStore(kind: StoreKind, machine: Machine): Promise<SharedStore> {
  if (kind === "valkey") {
    const executable = Bun.which("valkey-server") ?? needs("redis-server");
    if (executable === undefined) throw new Error("there is neither valkey-server nor redis-server");
    // As the guide has it.
    const lines = ["appendonly yes", "protected-mode no"];
    const { url, kill, start, stop } = await startValkey(executable, { lines, machine });
    return { location: url, kill, start, stop };
  }
  const programs = postgresPrograms();
  if (programs === undefined) throw new Error("there is no PostgreSQL");
  const { url, halt, start, stop } = await startPostgres(programs, { machine });
  // Nobody else is on that switch.
  return { location: `${url}?sslmode=disable`, kill: () => halt("immediate"), start, stop };
}
