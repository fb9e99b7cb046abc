import type { Clock } from "../clock.ts";
import type { Logger } from "../observe/logger.ts";
import type { Stores } from "./contracts.ts";
import type { StoreLocation } from "./location.ts";
import { createMemoryStores } from "./memory.ts";
import { openSqliteStores } from "./sqlite.ts";
import { openValkeyStores } from "./valkey.ts";

/**
 * Opens the stores that an option names.
 * @throws {StoreUnavailable} where they cannot be had at all, with a reason for the operator: a folder that is not there,
 * a file of something else. A server that is away is no such reason: the stores open, and are not ready until it is back.
 */
export async function openStores(
  location: StoreLocation,
  settings: { readonly clock: Clock; readonly log: Logger },
): Promise<Stores> {
  switch (location.kind) {
    case "memory":
      return createMemoryStores(settings);
    case "sqlite":
      return openSqliteStores({ ...settings, path: location.path });
    case "valkey":
      return openValkeyStores({ ...settings, url: location.url });
  }
}
