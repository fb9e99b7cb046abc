import { defineAudit } from "../observe/audit.ts";

/** The configuration was read again: by whom or what (`signal`, `watch`, `operator`, `code`). */
export const CONFIG_RELOADED = defineAudit({
  event: "config_reloaded",
  help: "The configuration was read again, and is in force: by whom or what (`signal`, `watch`, `operator`, `code`).",
  outcome: "ok",
  line: { by: "by" },
});

/** It was read again and is wrong, or could not be put into force; the one before goes on. */
export const CONFIG_REFUSED = defineAudit({
  event: "config_refused",
  help: "The configuration was read again and is wrong, or could not be put into force; the one before goes on.",
  outcome: "refused",
  line: { by: "by", reason: "reason" },
});

/** With the configuration, a secret is another one: which, and whether the one before is still accepted. */
export const SECRETS_CHANGED = defineAudit({
  event: "secrets_changed",
  help: "With the configuration a secret is another one: which, and whether the one before is still accepted.",
  outcome: "ok",
  line: { by: "by", secrets: "reason" },
});
