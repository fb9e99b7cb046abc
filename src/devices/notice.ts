import type { MailContent } from "../mail/mailer.ts";
import { renderNotice } from "../mail/notice.ts";
import { said } from "../pages/language.ts";
import type { Look } from "../pages/look.ts";

/** To somebody who signed in with a browser that is new to them. @param url where they say that it was somebody else */
export function newDeviceNotice(
  look: Look,
  { email, at, where, url }: { email: string; at: number; where: string; url: string },
): MailContent {
  return renderNotice(look, {
    subject: said("newDevice.subject", { app: look.app }),
    heading: said("newDevice.heading"),
    opening: said("newDevice.opening", { email }),
    ...{ at, where },
    closing: said("newDevice.closing"),
    link: { url, label: said("newDevice.button") },
  });
}
