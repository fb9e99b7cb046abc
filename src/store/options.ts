import type { Declaration } from "../option/option.ts";
import { quote, ValueError } from "../option/value-error.ts";
import { DEFAULT_SCHEMA, storeLocation } from "./location.ts";

export const STORE_OPTIONS = {
  store: {
    name: "RUNEGATE_STORE",
    parse: storeLocation,
    default: "memory",
    help:
      "Where sessions, used links, limits and waiting mail are kept. `memory` forgets at restart; `sqlite:<path>` is " +
      "a file; `valkey://user:password@host:6379/0` (`valkeys://` for TLS; `redis://`, `rediss://` too) is shared by " +
      "several machines, and so is `postgres://user:password@host:5432/database` (`?sslmode=verify-full`, " +
      "`&sslrootcert=<file>`, `&prepare=false`; `postgres:///database?host=/run/postgresql` for a socket).",
    words: ["memory", "sqlite:"],
    holdsSecret: true,
    basic: true,
  },
  storeSchema: {
    name: "RUNEGATE_STORE_SCHEMA",
    parse: schemaName,
    default: DEFAULT_SCHEMA,
    help: "Which schema of a PostgreSQL database is Runegate's. It is made if it is missing.",
  },
} satisfies Declaration;

function schemaName(text: string): string {
  // As PostgreSQL takes it without quotes, and shorter than the 63 bytes that a name may have.
  if (/^[a-z_][a-z0-9_]{0,39}$/.test(text) && !text.startsWith("pg_")) return text;
  throw new ValueError(
    `is no name of a schema: ${quote(text)}`,
    "Write small letters, digits and _, at most 40.",
  );
}
