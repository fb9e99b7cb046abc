import loginHtml from "../../static/login-mail.html" with { type: "text" };
import type { Address } from "../identity/address.ts";
import { toText } from "../pages/template.ts";
import { PLACEHOLDERS } from "./placeholders.ts";
import type { EmailConfig } from "./settings.ts";

/** The part of `email.toml` that says what the login mail looks like. */
export type MailTemplate = Pick<EmailConfig, "subject" | "bodyTemplate" | "htmlTemplate">;

export type LoginMailFacts = {
  readonly to: Address;
  readonly loginUrl: string;
  /** The 8 characters as they are compared, without the hyphen they are shown with. */
  readonly code: string;
  readonly expiryMinutes: number;
  /** Where the link was asked for. */
  readonly fromIp: string;
  /**
   * A browser's name, for a person. Whoever asks for a mail to somebody else chooses what their browser calls itself, so hand in
   * names recognized from a list, never the header.
   */
  readonly device: string;
  /** What is signed in to, for a person; without it, its host. */
  readonly app?: string | undefined;
};

type Placeholder = (typeof PLACEHOLDERS)[number];

const PLACEHOLDER = new RegExp(`\\{(${PLACEHOLDERS.join("|")})\\}`, "g");

/** The login mail where there is no `email.toml` to say otherwise. */
export const DEFAULT_TEMPLATE: MailTemplate = {
  subject: "Your sign-in link",
  bodyTemplate: `Hello,

this link signs you in as {email}:

{login_url}

Reading this on another device? Type this code on the page where you
asked for the link:

    {code}

Link and code work once, within {expiry_minutes} minutes.

They were asked for from {requested_from}.
If that was not you, ignore this mail: nobody gets in without the link
or the code, so pass neither of them on.
`,
  htmlTemplate: undefined,
};

/**
 * Fills in the login mail.
 *
 * Placeholders are replaced in one pass, so a value that looks like a placeholder is not expanded again. In the HTML
 * part every value is escaped. The subject has no placeholders, so no link or code shows in a list of mails.
 */
export function renderLoginMail(template: MailTemplate, facts: LoginMailFacts) {
  const { host } = new URL(facts.loginUrl);
  const device = shortLine(facts.device);
  const values: Readonly<Record<Placeholder, string>> = {
    login_url: facts.loginUrl,
    code: `${facts.code.slice(0, 4)}-${facts.code.slice(4)}`,
    expiry_minutes: String(facts.expiryMinutes),
    email: facts.to,
    requested_from: `${facts.fromIp}, ${device}`,
    from_ip: facts.fromIp,
    device,
    app: shortLine(facts.app ?? host),
    host,
  };
  return {
    subject: singleLine(template.subject),
    text: fill(template.bodyTemplate, values, (value) => value),
    // Ours is one table with inline styles, since mail clients read little CSS, and loads nothing from anywhere.
    html: fill(template.htmlTemplate ?? loginHtml, values, toText),
  };
}

function fill(
  template: string,
  values: Readonly<Record<Placeholder, string>>,
  encode: (value: string) => string,
): string {
  return template.replace(PLACEHOLDER, (_, name: Placeholder) => encode(values[name]));
}

const shortLine = (text: string) => singleLine(text).slice(0, 100);

/** Line ends and other control characters become single spaces. */
export function singleLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, " ").trim();
}
