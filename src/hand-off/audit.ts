import { defineAudit } from "../observe/audit.ts";

/** Somebody who is signed in was let in on a further host. */
export const HANDED_OFF = defineAudit({
  event: "handed_off",
  help: "Somebody who is signed in was let in on a further host.",
  outcome: "ok",
  line: { email: "subject", client: "client", session: "session", host: "host" },
});

export const HAND_OFF_REFUSED = defineAudit({
  event: "hand_off_refused",
  help: "What was to let somebody in on a further host was not right.",
  outcome: "refused",
  line: { client: "client", reason: "reason", host: "host" },
  isEndless: () => true,
});
