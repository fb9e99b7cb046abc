import type { Clock } from "../clock.ts";
import type { Contents } from "./contents.ts";
import type { StoreLocation } from "./location.ts";

/** Where something can be that outlives a process. */
export type KeptLocation = Exclude<StoreLocation, { readonly kind: "memory" }>;

type Settings = {
  readonly clock: Clock;
  /** Of a PostgreSQL database. */
  readonly schema: string;
  /** Whether a store that is not there yet is made. */
  readonly made: boolean;
};

/**
 * Loads what opening takes, before any rights are given up.
 * @returns what opens it. @throws {StoreUnavailable} with a reason for the operator.
 */
export async function loadContents(
  location: KeptLocation,
): Promise<(settings: Settings) => Promise<Contents>> {
  const { kind } = location;
  if (kind === "sqlite") {
    const { openSqliteContents } = await import("./sqlite/contents.ts");
    return async (settings) => openSqliteContents(location.path, settings);
  }
  if (kind === "postgres") {
    const { openPostgresContents } = await import("./postgres/contents.ts");
    return (settings) => openPostgresContents(location.place, settings);
  }
  const { openValkeyContents } = await import("./valkey/contents.ts");
  return (settings) => openValkeyContents(location.url, settings);
}
