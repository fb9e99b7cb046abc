import { defineAudit } from "../observe/audit.ts";

const LINE = { key: "key", owner: "subject", by: "actor" } as const;

export const KEY_CREATED = defineAudit({
  event: "key_created",
  help: "An API key was made.",
  outcome: "ok",
  line: LINE,
});
export const KEY_CHANGED = defineAudit({
  event: "key_changed",
  help: "What an API key may do was changed, or it was enabled again.",
  outcome: "ok",
  line: LINE,
});
export const KEY_ROTATED = defineAudit({
  event: "key_rotated",
  help: "An API key got another secret.",
  outcome: "ok",
  line: LINE,
});
export const KEY_DISABLED = defineAudit({
  event: "key_disabled",
  help: "An API key was disabled.",
  outcome: "ok",
  line: LINE,
});
export const KEY_REVOKED = defineAudit({
  event: "key_revoked",
  help: "An API key was ended for good.",
  outcome: "ok",
  line: LINE,
});

/** `key` only where there is one of this id. */
export const KEY_REFUSED = defineAudit({
  event: "key_refused",
  help: "What was shown as an API key opens nothing, or not this; `key` only where there is one of that id.",
  outcome: "refused",
  line: { client: "client", reason: "reason", key: "key" },
  isEndless: () => true,
});
