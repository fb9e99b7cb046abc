import { defineAudit } from "../observe/audit.ts";

/** Somebody who is signed in was let in on a further host. */
export const HANDED_OFF = defineAudit({
  event: "handed_off",
  outcome: "ok",
  line: { email: "subject", client: "client", session: "session", host: "host" },
});

export const HAND_OFF_REFUSED = defineAudit({
  event: "hand_off_refused",
  outcome: "refused",
  line: { client: "client", reason: "reason", host: "host" },
  isEndless: () => true,
});
