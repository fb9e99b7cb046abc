import { defineAudit } from "../observe/audit.ts";

const LINE = { key: "key", owner: "subject", by: "actor" } as const;

export const KEY_CREATED = defineAudit({ event: "key_created", outcome: "ok", line: LINE });
export const KEY_CHANGED = defineAudit({ event: "key_changed", outcome: "ok", line: LINE });
export const KEY_ROTATED = defineAudit({ event: "key_rotated", outcome: "ok", line: LINE });
export const KEY_DISABLED = defineAudit({ event: "key_disabled", outcome: "ok", line: LINE });
export const KEY_REVOKED = defineAudit({ event: "key_revoked", outcome: "ok", line: LINE });

/** `key` only where there is one of this id. */
export const KEY_REFUSED = defineAudit({
  event: "key_refused",
  outcome: "refused",
  line: { client: "client", reason: "reason", key: "key" },
  isEndless: () => true,
});
