import { parseAddress } from "../identity/address.ts";
import type { Look } from "../pages/look.ts";
import { OWN_PREFIX } from "../pages/paths.ts";
import { composeMail } from "./compose.ts";
import { withLogo } from "./logo.ts";
import type { MailContent } from "./mailer.ts";
import { renderLoginMail } from "./message.ts";
import type { EmailConfig, Sender } from "./settings.ts";

/** Every mail as somebody would get it, by the name of the file it goes into. Its link and code are good for nothing. */
export async function previewMails(
  email: EmailConfig | undefined,
  settings: {
    readonly baseUrl: string;
    readonly magicLinkExpiry: number;
    readonly now: number;
    readonly codeKind: "digits" | "letters";
    readonly logo: Buffer | undefined;
  },
  look: Look,
  notices: Readonly<Record<string, MailContent>>,
): Promise<ReadonlyMap<string, string>> {
  const sender: Sender = email ?? { from: { name: "Runegate", address: EXAMPLE }, replyTo: undefined };
  const login = renderLoginMail(look, email, {
    to: EXAMPLE,
    loginUrl: `${settings.baseUrl}${OWN_PREFIX}/auth?token=preview`,
    code: settings.codeKind === "letters" ? "ABCD-2345" : "1234 5678",
    expiryMinutes: Math.round(settings.magicLinkExpiry / 60_000),
    fromIp: "203.0.113.7",
    device: "Firefox on Linux",
  });
  const files = new Map<string, string>();
  for (const [name, mail] of Object.entries({ login, ...notices })) {
    const kept = { ...mail, to: EXAMPLE, messageId: `<preview@localhost>`, queuedAt: settings.now };
    const { message } = await composeMail(sender, withLogo(kept, settings.logo));
    files.set(`${name}.html`, mail.html).set(`${name}.txt`, `${mail.subject}\n\n${mail.text}`);
    files.set(`${name}.eml`, message.toString());
  }
  return files;
}

export const EXAMPLE = parseAddress("ada@example.org");
