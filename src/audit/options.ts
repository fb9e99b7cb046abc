import type { Declaration } from "../option/option.ts";
import { DAY, duration } from "../option/values.ts";

const LONGEST = 3650 * DAY;

export const AUDIT_OPTIONS = {
  /** Milliseconds; 0 is for ever. */
  auditKeep: {
    name: "RUNEGATE_AUDIT_KEEP",
    parse: duration("d", 0, LONGEST),
    default: "180d",
    help: "How long events of the audit are kept; 0 for ever, a plain number is days. The store `memory` keeps the last 10,000.",
  },
} satisfies Declaration;
