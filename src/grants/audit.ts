import { defineAudit } from "../observe/audit.ts";

const LINE = { email: "subject", by: "actor", route: "route", reason: "reason" } as const;

/** With the end, where there is one. */
const GRANTED = { ...LINE, until: "until" } as const;

export const USER_INVITED = defineAudit({
  event: "user_invited",
  help: "An administrator lets somebody in, who gets a mail with a link.",
  outcome: "ok",
  line: GRANTED,
});
export const ACCESS_GRANTED = defineAudit({
  event: "access_granted",
  help: "An administrator, or whoever decides about an application, gives somebody access, changes its end, or undoes a denial.",
  outcome: "ok",
  line: GRANTED,
});
export const ACCESS_DENIED = defineAudit({
  event: "access_denied",
  help: "An administrator shuts somebody out; or, with a route, what they asked for is refused.",
  outcome: "ok",
  line: LINE,
});
export const USER_REMOVED = defineAudit({
  event: "user_removed",
  help: "An administrator ends what somebody was given, their sessions and their keys.",
  outcome: "ok",
  line: { email: "subject", by: "actor" },
});
export const GRANT_EXPIRED = defineAudit({
  event: "grant_expired",
  help: "What somebody was given has run out.",
  outcome: "ok",
  line: { email: "subject", route: "route" },
});
export const ACCESS_REQUESTED = defineAudit({
  event: "access_requested",
  help: "Somebody who may not use an application asks to; the reason is what they wrote.",
  outcome: "ok",
  line: { email: "subject", client: "client", route: "route", reason: "reason" },
});
