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
      "How long after signing in an administrator may act on the admin pages without signing in again; a plain number is " +
      "seconds.",
  },
  adminNetworks: {
    name: "RUNEGATE_ADMIN_NETWORKS",
    parse: networks,
    default: "",
    help:
      "Networks from which the admin pages are open, and the API is to an administrator's session, as a CIDR list; empty for " +
      "wherever an administrator is.",
  },
} satisfies Declaration;
