import { defineAudit } from "../observe/audit.ts";

export const ACCESS_REFUSED = defineAudit({
  event: "access_refused",
  help: "A request was refused: by whom, to what path and why.",
  outcome: "refused",
  line: { client: "client", reason: "reason", path: "path", by: "actor" },
  isEndless: () => true,
});
