import type { MailContent, Mailer } from "./mailer.ts";

/** What mails name the operator's logo by, which travels with them: what a mail loads from elsewhere tells when it is read (RFC 2392). */
export const LOGO_URL = "cid:logo";

export const LOGO_FILE = { cid: "logo", filename: "logo.png", contentType: "image/png" } as const;

/** The mail with the logo that it shows; one that shows none, or where there is none, as it is. */
export function withLogo<T extends MailContent>(mail: T, logo: Buffer | undefined): T & { logo?: Buffer } {
  return logo !== undefined && mail.html?.includes(LOGO_URL) ? { ...mail, logo } : mail;
}

/** A mailer whose mails have their logo with them. */
export function sendingLogo(mailer: Mailer, logo: Buffer | undefined): Mailer {
  return { send: (mail) => mailer.send(withLogo(mail, logo)) };
}
