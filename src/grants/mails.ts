import type { MailContent } from "../mail/mailer.ts";
import { renderNotice } from "../mail/notice.ts";
import { inUtc, said } from "../pages/language.ts";
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

/** To whoever decides. Nothing of what was written, nor of who asks, is in it. @param at when it was asked last */
export function askedMail(
  look: Look,
  { count, at, url }: Omit<About, "email"> & { readonly count: number },
): MailContent {
  const { app } = look;
  return renderNotice(look, {
    subject: said("asked.subject", { app }),
    heading: said("asked.subject", { app }),
    opening: said("asked.opening", { number: `${count}` }),
    at,
    closing: said("asked.closing"),
    link: { url, label: said("asked.button") },
  });
}

type Decided = { readonly what: string; readonly at: number };

/** @param until milliseconds since the Unix epoch; null for no end */
export function grantedMail(
  look: Look,
  { what, at, until, url }: Decided & { readonly until: number | null; readonly url: string },
): MailContent {
  const { app, language } = look;
  return renderNotice(look, {
    subject: said("granted.subject", { app }),
    heading: said("granted.subject", { app }),
    opening: said("granted.opening", { what }),
    at,
    closing:
      until === null ? said("granted.endless") : said("granted.closing", { until: inUtc(language, until) }),
    link: { url, label: said("ask.open") },
  });
}

export function refusedMail(look: Look, { what, at }: Decided): MailContent {
  const { app } = look;
  return renderNotice(look, {
    subject: said("refused.subject", { app }),
    heading: said("refused.subject", { app }),
    opening: said("refused.opening", { what }),
    at,
    closing: said("refused.closing"),
  });
}
