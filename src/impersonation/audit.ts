import { defineAudit } from "../observe/audit.ts";

/** Administrators (`actor`) who use an application as somebody else (`subject`). */

/** Written before it begins. */
export const IMPERSONATION_STARTED = defineAudit({
  event: "impersonation_started",
  outcome: "ok",
  line: {
    ...{ email: "subject", by: "actor", route: "route", reason: "reason" },
    ...{ client: "client", session: "session" },
  },
});

/** Not begun; or a request or ticket that did not lead into an application, mostly of nobody known. */
export const IMPERSONATION_REFUSED = defineAudit({
  event: "impersonation_refused",
  outcome: "refused",
  line: {
    ...{ email: "subject", by: "actor", route: "route", reason: "reason" },
    ...{ client: "client", host: "host" },
  },
  isEndless: ({ actor }) => actor === undefined,
});

export const IMPERSONATION_ENDED = defineAudit({
  event: "impersonation_ended",
  outcome: "ok",
  line: {
    ...{ email: "subject", by: "actor", route: "route", reason: "reason" },
    ...{ seconds: "seconds", requests: "requests", refused: "refused" },
  },
});

export const IMPERSONATED_REQUEST = defineAudit({
  event: "impersonated_request",
  outcome: "ok",
  line: {
    ...{ email: "subject", by: "actor", route: "route" },
    ...{ method: "method", path: "path", status: "status", client: "client" },
  },
});
