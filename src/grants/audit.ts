import { defineAudit } from "../observe/audit.ts";

const LINE = { email: "subject", by: "actor", route: "route", reason: "reason" } as const;

/** Somebody was let in by an administrator and told so, or an administrator meant to. */
export const USER_INVITED = defineAudit({ event: "user_invited", outcome: "ok", line: LINE });
/** Somebody was let in by an administrator or by whoever decides about an application, or they meant to. */
export const ACCESS_GRANTED = defineAudit({ event: "access_granted", outcome: "ok", line: LINE });
/** Somebody was shut out by an administrator, or what they asked for was refused. */
export const ACCESS_DENIED = defineAudit({ event: "access_denied", outcome: "ok", line: LINE });
export const USER_REMOVED = defineAudit({
  event: "user_removed",
  outcome: "ok",
  line: { email: "subject", by: "actor" },
});
/** What somebody was given has run out. */
export const GRANT_EXPIRED = defineAudit({
  event: "grant_expired",
  outcome: "ok",
  line: { email: "subject", route: "route" },
});
/** Somebody who may not use an application has asked to. */
export const ACCESS_REQUESTED = defineAudit({
  event: "access_requested",
  outcome: "ok",
  line: { email: "subject", client: "client", route: "route", reason: "reason" },
});
