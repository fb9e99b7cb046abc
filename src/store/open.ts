import type { Clock } from "../clock.ts";
import type { Logger } from "../observe/logger.ts";
import { DEFAULT_SCHEMA, type StoreLocation } from "./location.ts";
import { createMemoryStore } from "./memory.ts";
import type { Store } from "./store.ts";

/**
 * Opens the store that an option names.
 * @param settings schema: of a PostgreSQL database. asIs: what an older Runegate made stays so and is refused, for programs that
 * run beside a gateway, which may be that older one.
 * @throws {StoreUnavailable} where it cannot be had at all, with a reason for the operator: a folder that is not there, a file
 * of something else. A server that is away is no such reason: the store opens, and is not ready until it is back.
 */
export async function openStore(
  location: StoreLocation,
  settings: {
    readonly clock: Clock;
    readonly log: Logger;
    readonly schema?: string;
    readonly asIs?: boolean;
  },
): Promise<Store> {
  switch (location.kind) {
    case "memory":
      return createMemoryStore(settings);
    case "sqlite":
      return (await BACK_ENDS.sqlite()).openSqliteStore({ ...settings, path: location.path });
    case "postgres": {
      const { openPostgresStore } = await BACK_ENDS.postgres();
      return openPostgresStore({ schema: DEFAULT_SCHEMA, ...settings, place: location.place });
    }
    case "valkey":
      return (await BACK_ENDS.valkey()).openValkeyStore({ ...settings, url: location.url });
  }
}

/** Loads what opening a store takes, for whoever may not read the program's files by then. */
export async function loadBackEnd({ kind }: StoreLocation): Promise<void> {
  if (kind !== "memory") await BACK_ENDS[kind]();
}

/** Each when it is needed: most of a start would be spent on what it does not use. */
const BACK_ENDS = {
  sqlite: () => import("./sqlite.ts"),
  postgres: () => import("./postgres.ts"),
  valkey: () => import("./valkey.ts"),
};
