import { renderNotice } from "../mail/notice.ts";
import type { NewMail } from "../mail/outbox.ts";
import { DAY, MINUTE } from "../option/values.ts";
import { said } from "../pages/language.ts";
import type { Look } from "../pages/look.ts";
import type { Impersonation } from "./record.ts";

/** To the person whom somebody acts as. @param app the application's title */
export function viewNotice(
  look: Look,
  {
    email,
    admin,
    reason,
    startedAt,
    endsAt,
  }: Pick<Impersonation, "email" | "reason" | "startedAt" | "endsAt"> & { readonly admin: string },
  app: string,
): NewMail {
  const amount = Math.max(1, Math.round((endsAt - startedAt) / MINUTE));
  const content = renderNotice(look, {
    subject: said("viewed.subject", { app }),
    heading: said("viewed.heading"),
    opening: said("viewed.opening", { admin, app, email, reason, time: { amount, unit: "minute" } }),
    at: startedAt,
    closing: said("viewed.closing"),
  });
  const terms = { expiresAt: startedAt + DAY, cooldownKey: undefined, first: true };
  return { to: email, kind: "viewed", content, ...terms };
}
