import { defineAudit } from "../observe/audit.ts";

/** Once for each session and hour. */
export const ADMIN_OPENED = defineAudit({
  event: "admin_opened",
  help: "An administrator looked at the admin pages: once for each session and hour.",
  outcome: "ok",
  line: { email: "subject", client: "client", session: "session" },
});

/** Somebody who is known, and is no administrator or not where one may be. */
export const ADMIN_REFUSED = defineAudit({
  event: "admin_refused",
  help: "Somebody who is known came to the admin pages, and is no administrator or not where one may be.",
  outcome: "refused",
  line: { email: "subject", client: "client", path: "path", reason: "reason" },
  isEndless: () => true,
});
