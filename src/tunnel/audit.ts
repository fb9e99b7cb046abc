import { defineAudit } from "../observe/audit.ts";

const MANAGED = { tunnel: "of", by: "actor" } as const;

export const TUNNEL_CREATED = defineAudit({
  event: "tunnel_created",
  help: "A tunnel was made, and a token for its connectors; `of` is its name.",
  outcome: "ok",
  line: MANAGED,
});
export const TUNNEL_ROTATED = defineAudit({
  event: "tunnel_rotated",
  help: "A tunnel got another token; `of` is its name.",
  outcome: "ok",
  line: MANAGED,
});
export const TUNNEL_REVOKED = defineAudit({
  event: "tunnel_revoked",
  help: "A tunnel and its token were ended for good; `of` is its name.",
  outcome: "ok",
  line: MANAGED,
});
export const TUNNEL_CONNECTED = defineAudit({
  event: "tunnel_connected",
  help: "A connector has opened a tunnel; `of` is its name.",
  outcome: "ok",
  line: { tunnel: "of", client: "client", version: "version" },
});
export const TUNNEL_REFUSED = defineAudit({
  event: "tunnel_refused",
  help: "What came as a connector has no token for this tunnel.",
  outcome: "refused",
  line: { client: "client", reason: "reason" },
  isEndless: () => true,
});
