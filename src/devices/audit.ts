import { defineAudit } from "../observe/audit.ts";

/** The reason says what became of the mail about it. */
export const NEW_DEVICE = defineAudit({
  event: "new_device",
  outcome: "ok",
  line: { email: "subject", client: "client", session: "session", mail: "reason" },
});

/** Whoever reads the mail of an address ended all of its sessions. */
export const NOT_ME = defineAudit({
  event: "not_me",
  outcome: "ok",
  line: { email: "subject", client: "client" },
});

export const DEVICE_FORGOTTEN = defineAudit({
  event: "device_forgotten",
  outcome: "ok",
  line: { email: "subject", client: "client" },
});
