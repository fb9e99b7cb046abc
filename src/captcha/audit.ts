import { defineAudit } from "../observe/audit.ts";

/** Nothing, or nothing good, spoke for whoever asked for a mail. */
export const CAPTCHA_REFUSED = defineAudit({
  event: "captcha_refused",
  help: "Nothing good spoke for whoever asked for a mail.",
  outcome: "refused",
  line: { client: "client", reason: "reason" },
  isEndless: () => true,
});
