import { defineAudit } from "../observe/audit.ts";

/** Its reason says what came of it. */
export const LOGIN_REQUESTED = defineAudit({
  event: "login_requested",
  help: "Somebody asked for a mail to sign in; the reason says what came of it.",
  outcome: ({ reason }) =>
    reason === "queued" || reason === "sent_again"
      ? "ok"
      : reason === "store_unavailable"
        ? "failed"
        : "refused",
  line: { email: "subject", client: "client", outcome: "reason" },
  isEndless: ({ reason }) => reason === "rate_limited" || reason === "cooldown",
});

/** What was typed is no address; it is not logged, since it may be anything. Or too many ask. */
export const LOGIN_REFUSED = defineAudit({
  event: "login_refused",
  help: "What was typed is no address (it may be anything, so it is not kept), or too many ask.",
  outcome: "refused",
  line: { client: "client", reason: "reason" },
  isEndless: () => true,
});

export const LINK_PRINTED = defineAudit({
  event: "link_printed",
  help: "The operator had a link printed; `of` says for how many uses.",
  outcome: "ok",
  line: { email: "subject", by: "actor", of: "of" },
});

/** One of several uses that a link is good for, by the session that began with it. */
export const LINK_USED = defineAudit({
  event: "link_used",
  help: "One of several uses of a link was made, by the session that began with it.",
  outcome: "ok",
  line: { email: "subject", session: "session", n: "n", of: "of" },
});

export const LINK_REVOKED = defineAudit({
  event: "link_revoked",
  help: "A link for several uses was ended.",
  outcome: "ok",
  line: { email: "subject", by: "actor" },
});

export const REDEEMED = defineAudit({
  event: "redeemed",
  help: "Somebody signed in; `by` says how.",
  outcome: "ok",
  line: { email: "subject", client: "client", by: "by", session: "session" },
});

export const REDEMPTION_REFUSED = defineAudit({
  event: "redemption_refused",
  help: "A link or a code was not accepted; with an address, it was signed for it.",
  outcome: "refused",
  line: { client: "client", reason: "reason", email: "subject" },
  // With an address, somebody had a link that was signed for it. Looking at a spent one is no attempt, and has no limit.
  isEndless: ({ subject, reason }) => subject === undefined || reason === "spent",
  foldedBy: ["reason", "subject"],
});
