import { nameOf, type Principal } from "../identity/principal.ts";
import { defineAudit } from "../observe/audit.ts";

export const ACCESS_REFUSED = defineAudit({
  event: "access_refused",
  help: "A request was refused: by whom, to what path and why.",
  outcome: "refused",
  line: { email: "subject", client: "client", reason: "reason", path: "path", by: "actor" },
  isEndless: () => true,
});

/** Who was refused, as far as they have shown who they are. */
export function refusedOf(user: Principal | undefined) {
  const session = user?.proof.kind === "session" ? user.proof.id : undefined;
  return { subject: user && nameOf(user), actor: user?.actor, session };
}
