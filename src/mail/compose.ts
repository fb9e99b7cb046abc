import { type Address, parseAddress } from "../identity/address.ts";
import { LOGO_FILE } from "./logo.ts";
import { type Mail, permanent } from "./mailer.ts";
import { singleLine } from "./message.ts";
import type { Sender } from "./settings.ts";

/** A mail as SMTP carries it: who it is from and to (RFC 5321) and the message itself (RFC 5322). */
export type ComposedMail = {
  readonly envelope: { readonly from: Address; readonly to: Address };
  readonly message: Buffer;
};

/**
 * Builds the message. Addresses go in as structured values and everything else that reaches a header is a single line,
 * so nothing in a mail can add a header.
 * @throws {MailError} permanent, if the recipient is not one canonical address.
 */
export async function composeMail(config: Sender, mail: Mail): Promise<ComposedMail> {
  const to = canonicalRecipient(mail.to);
  // Loaded with the first mail: it would take a fifth of the time in which Runegate starts.
  const { default: MailComposer } = await import("nodemailer/lib/mail-composer");
  const composer = new MailComposer({
    from: { name: singleLine(config.from.name ?? ""), address: config.from.address },
    to: { name: "", address: to },
    ...(config.replyTo === undefined ? {} : { replyTo: { name: "", address: config.replyTo } }),
    subject: singleLine(mail.subject),
    messageId: mail.messageId,
    date: new Date(mail.queuedAt),
    headers: {
      // RFC 3834 §5: tells vacation responders and the like to stay quiet; Exchange listens to the second one only.
      "Auto-Submitted": "auto-generated",
      "X-Auto-Response-Suppress": "All",
    },
    text: mail.text,
    ...(mail.html === undefined ? {} : { html: mail.html }),
    ...(mail.logo === undefined
      ? {}
      : { attachments: [{ ...LOGO_FILE, content: mail.logo, contentDisposition: "inline" }] }),
    // The other encodings fold long lines in ways that some clients do not undo, and a link is a long line.
    encoding: "quoted-printable",
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return { envelope: { from: config.from.address, to }, message: await composer.compile().build() };
}

/** @throws {MailError} permanent, if it is not one canonical address. */
export function canonicalRecipient(to: string): Address {
  try {
    return parseAddress(to);
  } catch {
    throw permanent("The recipient is not a valid address.", "Check the address.");
  }
}
