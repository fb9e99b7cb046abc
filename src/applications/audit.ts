import { defineAudit } from "../observe/audit.ts";

const LINE = { route: "route", by: "actor" } as const;

/** By an administrator, for maintenance. */
export const ROUTE_CLOSED = defineAudit({ event: "route_closed", outcome: "ok", line: LINE });
export const ROUTE_OPENED = defineAudit({ event: "route_opened", outcome: "ok", line: LINE });
