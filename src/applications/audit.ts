import { defineAudit } from "../observe/audit.ts";

const LINE = { route: "route", by: "actor" } as const;

/** By an administrator, for maintenance. */
export const ROUTE_CLOSED = defineAudit({
  event: "route_closed",
  help: "An application was closed for maintenance.",
  outcome: "ok",
  line: LINE,
});
export const ROUTE_OPENED = defineAudit({
  event: "route_opened",
  help: "It was opened again.",
  outcome: "ok",
  line: LINE,
});
