import { defineAudit } from "../observe/audit.ts";

export const APPROVAL_REQUESTED = defineAudit({
  event: "approval_requested",
  help: "A screen without mail asked to be signed in from another device; the reason says what came of it.",
  outcome: ({ reason }) => (reason === "shown" ? "ok" : "refused"),
  line: { client: "client", outcome: "reason" },
  isEndless: ({ reason }) => reason === "rate_limited",
});

/** By whom, and in which session of theirs; that it was used is `redeemed`, by `approval`. */
export const APPROVAL_GIVEN = defineAudit({
  event: "approval_given",
  help: "Somebody approved that, in a session of theirs.",
  outcome: "ok",
  line: { email: "subject", client: "client", session: "session" },
});

export const APPROVAL_REFUSED = defineAudit({
  event: "approval_refused",
  help: "They did not, or what was shown or typed was not right.",
  outcome: "refused",
  line: { client: "client", reason: "reason", email: "subject" },
  // These alone take a code that is there, which only so many can be.
  isEndless: ({ reason = "" }) => !["denied", "wrong_number", "approver_ended", "on_hold"].includes(reason),
  foldedBy: ["reason", "subject"],
});
