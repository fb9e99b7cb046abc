import { defineAudit } from "../observe/audit.ts";

/** A hook is not told of something any more, and why; or it is turned off. `of` is the event. */
export const HOOK_FAILED = defineAudit({
  event: "hook_failed",
  help: "A hook is not told of something any more, or is turned off, and why; `of` is the event.",
  outcome: "failed",
  line: { hook: "by", of: "of", tries: "n", reason: "reason" },
  // What anybody may cause.
  isEndless: ({ of }) => of === "login_requested" || of === "access_requested",
  foldedBy: ["by", "of", "reason"],
});

/** Nobody is signed in: the reason is `denied`, or why there was no answer that counts. */
export const HOOK_DENIED = defineAudit({
  event: "hook_denied",
  help: "A hook denied a sign-in, or a mail for one.",
  outcome: "refused",
  line: { hook: "by", email: "subject", client: "client", reason: "reason" },
});
