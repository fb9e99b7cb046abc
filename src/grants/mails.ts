import type { MailContent } from "../mail/mailer.ts";
import { renderNotice } from "../mail/notice.ts";
import { said } from "../pages/language.ts";
import type { Look } from "../pages/look.ts";

/** What is said by mail to whom an administrator let in. Nothing that anybody wrote is in a subject. */

type About = { readonly email: string; readonly at: number; readonly url: string };

export function invitedMail(look: Look, { email, at, url }: About): MailContent {
  const { app } = look;
  return renderNotice(look, {
    subject: said("invited.subject", { app }),
    heading: said("invited.subject", { app }),
    opening: said("invited.opening", { app, email }),
    at,
    closing: said("invited.closing"),
    link: { url, label: said("invited.button") },
  });
}

/** @param what titles of applications, or names of groups. @param at when it ends */
export function endsSoonMail(
  look: Look,
  { what, at, url }: Omit<About, "email"> & { what: string },
): MailContent {
  const { app } = look;
  return renderNotice(look, {
    subject: said("accessEnds.subject", { app }),
    heading: said("accessEnds.subject", { app }),
    opening: said("accessEnds.opening", { what }),
    at,
    closing: said("accessEnds.closing"),
    link: { url, label: said("invited.button") },
  });
}
