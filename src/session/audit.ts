import { defineAudit } from "../observe/audit.ts";

export const LOGGED_OUT = defineAudit({
  event: "logged_out",
  outcome: "ok",
  line: { email: "subject", session: "session" },
});

export const SESSION_REVOKED = defineAudit({
  event: "session_revoked",
  outcome: "ok",
  line: { email: "subject", session: "session", by: "actor" },
});
