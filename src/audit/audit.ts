import { defineAudit } from "../observe/audit.ts";

/** The last event of this process's chain so far, as `writer:number:hash`: every hour, and when it stops. */
export const AUDIT_HEAD = defineAudit({
  event: "audit_head",
  help: "The last event of a process's chain so far, as `writer:number:hash`: every hour, and when it stops.",
  outcome: "ok",
  line: { heads: "heads" },
});

/** Before events are deleted because of their age: how many, and where each chain goes on. */
export const AUDIT_PRUNED = defineAudit({
  event: "audit_pruned",
  help: "The oldest events are deleted: how many (`n`), up to when (`before`), and the last of each chain (`heads`).",
  outcome: "ok",
  line: { n: "n", before: "before", heads: "heads" },
});

/** Somebody read all of it that fits a filter. */
export const AUDIT_EXPORTED = defineAudit({
  event: "audit_exported",
  help: "Somebody read all of the audit that fits a filter.",
  outcome: "ok",
  line: { by: "actor", client: "client", filter: "filter" },
});

/** So many events could not be written and are in the log alone. */
export const AUDIT_LOST = defineAudit({
  event: "audit_lost",
  help: "So many events (`n`) could not be written, and are in the log alone.",
  outcome: "failed",
  line: { n: "n" },
});

/** The process that serves, or that watches over those that do. */
export const STARTED = defineAudit({
  event: "started",
  help: "The gateway serves.",
  outcome: "ok",
  line: { version: "version" },
});
export const STOPPED = defineAudit({
  event: "stopped",
  help: "It was told to stop.",
  outcome: "ok",
  line: { version: "version" },
});
