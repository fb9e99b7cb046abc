import { defineAudit } from "../observe/audit.ts";

export const PASSKEY_ADDED = defineAudit({
  event: "passkey_added",
  help: "Somebody added a passkey.",
  outcome: "ok",
  line: { email: "subject", client: "client", session: "session" },
});

export const PASSKEY_REMOVED = defineAudit({
  event: "passkey_removed",
  help: "A passkey was removed.",
  outcome: "ok",
  line: { email: "subject", client: "client", session: "session" },
});

/** Adding one, or signing in with one. */
export const PASSKEY_REFUSED = defineAudit({
  event: "passkey_refused",
  help: "A passkey was not accepted, or not added.",
  outcome: "refused",
  line: { client: "client", reason: "reason", email: "subject" },
  // These alone take a signature by the passkey; what else is wrong, whoever comes may send.
  isEndless: ({ reason = "" }) => !["counter", "not_allowed", "on_hold"].includes(reason),
  foldedBy: ["reason", "subject"],
});
