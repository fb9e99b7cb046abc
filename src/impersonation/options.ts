import type { Declaration, OptionsOf } from "../option/option.ts";
import { choice, duration, HOUR, MINUTE } from "../option/values.ts";

export type ImpersonationOptions = OptionsOf<typeof IMPERSONATION_OPTIONS>;

const NOTIFY = ["page", "mail"] as const;

export const IMPERSONATION_OPTIONS = {
  /** Milliseconds. */
  impersonationTtl: {
    name: "RUNEGATE_IMPERSONATION_TTL",
    parse: duration("s", MINUTE, HOUR),
    default: "15m",
    help:
      "How long an administrator may use an application as somebody else, unless they ask for another time, an hour at most; a plain " +
      "number is seconds. Only where a route has `impersonation`.",
  },
  impersonationNotify: {
    name: "RUNEGATE_IMPERSONATION_NOTIFY",
    parse: choice(...NOTIFY),
    default: "page",
    help: "How people learn that an administrator used an application as them: on the `page` of their account, or by `mail` too.",
    words: NOTIFY,
  },
} satisfies Declaration;
