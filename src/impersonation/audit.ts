import { defineAudit } from "../observe/audit.ts";

/** Administrators (`actor`) who use an application as somebody else (`subject`). */

/** Written before it begins. */
export const IMPERSONATION_STARTED = defineAudit({
  event: "impersonation_started",
  help: "An administrator uses an application as somebody else. Written before it begins.",
  outcome: "ok",
  line: {
    ...{ email: "subject", by: "actor", route: "route", reason: "reason" },
    ...{ client: "client", session: "session" },
  },
});

/** Not begun; or a request or ticket that did not lead into an application, mostly of nobody known. */
export const IMPERSONATION_REFUSED = defineAudit({
  event: "impersonation_refused",
  help: "Somebody may not use an application as somebody else.",
  outcome: "refused",
  line: {
    ...{ email: "subject", by: "actor", route: "route", reason: "reason" },
    ...{ client: "client", host: "host" },
  },
  isEndless: ({ actor }) => actor === undefined,
});

export const IMPERSONATION_ENDED = defineAudit({
  event: "impersonation_ended",
  help: "It is over: why, how long it was, how many requests there were, and how many of these were refused.",
  outcome: "ok",
  line: {
    ...{ email: "subject", by: "actor", route: "route", reason: "reason" },
    ...{ seconds: "seconds", requests: "requests", refused: "refused" },
  },
});

export const IMPERSONATED_REQUEST = defineAudit({
  event: "impersonated_request",
  help: "A request as somebody else; of the first thousand each.",
  outcome: "ok",
  line: {
    ...{ email: "subject", by: "actor", route: "route" },
    ...{ method: "method", path: "path", status: "status", client: "client" },
  },
});
