import { defineAudit } from "../observe/audit.ts";

export const MAIL_GIVEN_UP = defineAudit({
  event: "mail_given_up",
  outcome: "failed",
  line: { email: "subject", reason: "reason" },
});
