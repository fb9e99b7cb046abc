import { defineAudit } from "../observe/audit.ts";
import type { OutboxEntry } from "./waiting.ts";

/** Enough of the outbox's id to name a mail. */
const SHORT_ID = 12;

export function aboutMail({ id, to }: Pick<OutboxEntry, "id" | "to">) {
  return { subject: to, mail: id.slice(0, SHORT_ID) };
}

/** What becomes of a mail, from its place in the outbox to the server that takes it. */
export const MAIL_QUEUED = defineAudit({
  event: "mail_queued",
  help: "A mail waits to be sent.",
  outcome: "ok",
  line: { email: "subject", mail: "mail" },
});

/** Its reason is the server's words, with the id that it knows the mail by. */
export const MAIL_SENT = defineAudit({
  event: "mail_sent",
  help: "A mail server took it; the reason is what that said.",
  outcome: "ok",
  line: { email: "subject", mail: "mail", by: "by", answer: "reason" },
});

/** By the server, for good. */
export const MAIL_REFUSED = defineAudit({
  event: "mail_refused",
  help: "A mail server refused it for good.",
  outcome: "refused",
  line: { email: "subject", mail: "mail", reason: "reason" },
});

/** Not sent in time, not readable, kept back by the ceiling, or deleted by an operator. */
export const MAIL_GIVEN_UP = defineAudit({
  event: "mail_given_up",
  help: "A mail was not sent: too late, not readable, kept back by the ceiling, or deleted.",
  outcome: "failed",
  line: { email: "subject", mail: "mail", reason: "reason", by: "actor" },
});

/** A service has told that mail came back; its reason is whoever refused it. */
export const MAIL_BOUNCED = defineAudit({
  event: "mail_bounced",
  help: "A mail service told that a mail came back.",
  outcome: "failed",
  line: { email: "subject", by: "by", reason: "reason" },
});

/** What came in the name of a mail service and is not from it. */
export const NOTICE_REFUSED = defineAudit({
  event: "mail_notice_refused",
  help: "What came in the name of a mail service was not from it.",
  outcome: "refused",
  line: { client: "client", by: "by", reason: "reason" },
  isEndless: () => true,
});

/** An administrator or operator has it tried at once. */
export const MAIL_RETRIED = defineAudit({
  event: "mail_retried",
  help: "An administrator had a mail tried again.",
  outcome: "ok",
  line: { email: "subject", mail: "mail", by: "actor" },
});

/** A test mail, before it is sent; what becomes of it is told as of any other. */
export const MAIL_TESTED = defineAudit({
  event: "mail_tested",
  help: "Somebody sent a test mail; the reason is what the server said.",
  outcome: "ok",
  line: { email: "subject", mail: "mail", by: "actor" },
});
