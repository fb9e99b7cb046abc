import { defineAudit } from "../observe/audit.ts";

/** Once for each session and hour. */
export const ADMIN_OPENED = defineAudit({
  event: "admin_opened",
  outcome: "ok",
  line: { email: "subject", client: "client", session: "session" },
});

/** Somebody who is known, and is no administrator or not where one may be. */
export const ADMIN_REFUSED = defineAudit({
  event: "admin_refused",
  outcome: "refused",
  line: { email: "subject", client: "client", path: "path", reason: "reason" },
  isEndless: () => true,
});
