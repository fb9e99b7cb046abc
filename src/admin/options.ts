import { networks } from "../net/endpoint.ts";
import type { Declaration, OptionsOf } from "../option/option.ts";
import { DAY, duration, MINUTE } from "../option/values.ts";

export type AdminOptions = OptionsOf<typeof ADMIN_OPTIONS>;

export const ADMIN_OPTIONS = {
  /** Milliseconds. */
  adminMaxAge: {
    name: "RUNEGATE_ADMIN_MAX_AGE",
    parse: duration("s", MINUTE, DAY),
    default: "15m",
    help:
      "How long after signing in an administrator may act, on the pages and by the API, without signing in again; a plain " +
      "number is seconds.",
  },
  adminNetworks: {
    name: "RUNEGATE_ADMIN_NETWORKS",
    parse: networks,
    default: "",
    help:
      "Networks from which administrators may act as such, on the pages and by the API, as a CIDR list; empty for wherever " +
      "they are.",
  },
} satisfies Declaration;
