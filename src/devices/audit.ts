import { defineAudit } from "../observe/audit.ts";

/** The reason says what became of the mail about it. */
export const NEW_DEVICE = defineAudit({
  event: "new_device",
  help: "Somebody signed in with a browser that is new to them; the reason says what became of the mail about it.",
  outcome: "ok",
  line: { email: "subject", client: "client", session: "session", mail: "reason" },
});

/** Whoever reads the mail of an address ended all of its sessions. */
export const NOT_ME = defineAudit({
  event: "not_me",
  help: "Whoever reads the mail of an address said that a sign-in was not theirs, and all of its sessions ended.",
  outcome: "ok",
  line: { email: "subject", client: "client" },
});

export const DEVICE_FORGOTTEN = defineAudit({
  event: "device_forgotten",
  help: "Somebody had a browser of theirs forgotten.",
  outcome: "ok",
  line: { email: "subject", client: "client" },
});
