import { defineAudit } from "../observe/audit.ts";

export const LOGGED_OUT = defineAudit({
  event: "logged_out",
  help: "Somebody signed out.",
  outcome: "ok",
  line: { email: "subject", session: "session" },
});

/** The session was shown from elsewhere than it was begun. The reason says what differs. */
export const SESSION_BIND_MISMATCH = defineAudit({
  event: "session_bind_mismatch",
  help: "A session was shown from elsewhere than it was begun; the reason says what differs.",
  outcome: "refused",
  line: { email: "subject", client: "client", session: "session", reason: "reason" },
});

export const SESSION_REVOKED = defineAudit({
  event: "session_revoked",
  help: "A session was ended by somebody or something else than signing out.",
  outcome: "ok",
  line: { email: "subject", session: "session", by: "actor" },
});
