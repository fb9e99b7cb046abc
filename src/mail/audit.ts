import { defineAudit } from "../observe/audit.ts";

export const MAIL_GIVEN_UP = defineAudit({
  event: "mail_given_up",
  outcome: "failed",
  line: { email: "subject", reason: "reason" },
});

/** A service has told that mail came back; its reason is whoever refused it. */
export const MAIL_BOUNCED = defineAudit({
  event: "mail_bounced",
  outcome: "failed",
  line: { email: "subject", by: "by", reason: "reason" },
});

/** What came in the name of a mail service and is not from it. */
export const NOTICE_REFUSED = defineAudit({
  event: "mail_notice_refused",
  outcome: "refused",
  line: { client: "client", by: "by", reason: "reason" },
  isEndless: () => true,
});
