import type { Clock } from "../clock.ts";
import type { Logger } from "../observe/logger.ts";
import type { StoreLocation } from "./location.ts";
import { createMemoryStore } from "./memory.ts";
import type { Store } from "./store.ts";

/**
 * Opens the store that an option names.
 * @throws {StoreUnavailable} where it cannot be had at all, with a reason for the operator: a folder that is not there, a file
 * of something else. A server that is away is no such reason: the store opens, and is not ready until it is back.
 */
export async function openStore(
  location: StoreLocation,
  settings: { readonly clock: Clock; readonly log: Logger },
): Promise<Store> {
  switch (location.kind) {
    case "memory":
      return createMemoryStore(settings);
    case "sqlite":
      return (await BACK_ENDS.sqlite()).openSqliteStore({ ...settings, path: location.path });
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
  valkey: () => import("./valkey.ts"),
};
