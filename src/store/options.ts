import type { Declaration } from "../option/option.ts";
import { storeLocation } from "./location.ts";

export const STORE_OPTIONS = {
  store: {
    name: "RUNEGATE_STORE",
    parse: storeLocation,
    default: "memory",
    help:
      "Where sessions, used links, limits and waiting mail are kept. `memory` forgets at restart; `sqlite:<path>` is " +
      "a file; `valkey://user:password@host:6379/0` (`valkeys://` for TLS; `redis://`, `rediss://` too) is shared by " +
      "several machines.",
    words: ["memory", "sqlite:"],
    holdsSecret: true,
    basic: true,
  },
} satisfies Declaration;
