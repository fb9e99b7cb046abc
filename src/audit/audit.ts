import { defineAudit } from "../observe/audit.ts";

/** The last event of this process's chain so far, as `writer:number:hash`: every hour, and when it stops. */
export const AUDIT_HEAD = defineAudit({ event: "audit_head", outcome: "ok", line: { heads: "heads" } });

/** Before events are deleted because of their age: how many, and where each chain goes on. */
export const AUDIT_PRUNED = defineAudit({
  event: "audit_pruned",
  outcome: "ok",
  line: { n: "n", before: "before", heads: "heads" },
});

/** Somebody read all of it that fits a filter. */
export const AUDIT_EXPORTED = defineAudit({
  event: "audit_exported",
  outcome: "ok",
  line: { by: "actor", client: "client", filter: "filter" },
});

/** So many events could not be written and are in the log alone. */
export const AUDIT_LOST = defineAudit({ event: "audit_lost", outcome: "failed", line: { n: "n" } });

export const STARTED = defineAudit({ event: "started", outcome: "ok", line: { version: "by" } });
export const STOPPED = defineAudit({ event: "stopped", outcome: "ok", line: {} });
