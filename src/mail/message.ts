import loginHtml from "../../static/login-mail.html" with { type: "text" };
import type { Address } from "../identity/address.ts";
import { type Language, said, say, spoken } from "../pages/language.ts";
import type { Look } from "../pages/look.ts";
import { template, toText } from "../pages/template.ts";
import type { MailContent } from "./mailer.ts";
import { type EmailConfig, PLACEHOLDERS } from "./settings.ts";

/** The part of `email.toml` that says what the login mail looks like. */
export type MailTemplate = Pick<EmailConfig, "subject" | "bodyTemplate" | "htmlTemplate">;

export type LoginMailFacts = {
  readonly to: Address;
  readonly loginUrl: string;
  /** The 8 characters as they are compared, without the hyphen they are shown with. */
  readonly code: string;
  readonly expiryMinutes: number;
  /**
   * Where the link was asked for, for a person: an address, a browser's name. Whoever asks for a mail to somebody else
   * chooses what their browser calls itself, so hand in names recognized from a list, never the header.
   */
  readonly requestedFrom: string;
};

type Placeholder = (typeof PLACEHOLDERS)[number];

const builtIn = template(loginHtml, [
  ...(["email", "loginUrl", "code", "lifetime", "requestedFrom", "tag", "direction"] as const),
]);

const PLACEHOLDER = new RegExp(`\\{(${PLACEHOLDERS.join("|")})\\}`, "g");

/**
 * Fills in the login mail.
 *
 * Placeholders are replaced in one pass, so a value that looks like a placeholder is not expanded again. In the HTML
 * part every value is escaped. The subject has no placeholders, so no link or code shows in a list of mails.
 */
export function renderLoginMail(
  { language }: Look,
  written: MailTemplate | undefined,
  facts: LoginMailFacts,
): MailContent & { readonly html: string } {
  const values: Readonly<Record<Placeholder, string>> = {
    login_url: facts.loginUrl,
    code: `${facts.code.slice(0, 4)}-${facts.code.slice(4)}`,
    expiry_minutes: String(facts.expiryMinutes),
    email: facts.to,
    requested_from: singleLine(facts.requestedFrom).slice(0, 120),
  };
  const shown = {
    ...{ email: values.email, loginUrl: values.login_url, code: values.code },
    requestedFrom: values.requested_from,
    lifetime: spoken(language, { amount: facts.expiryMinutes, unit: "minute" }),
  };
  return {
    subject: singleLine(written?.subject ?? say(language, said("mail.subject"))),
    text:
      written === undefined ? textOf(language, shown) : fill(written.bodyTemplate, values, (value) => value),
    // Ours is one table with inline styles, since mail clients read little CSS, and loads nothing from anywhere.
    html:
      written?.htmlTemplate === undefined
        ? toText(builtIn(language, { ...shown, tag: language.tag, direction: language.direction }))
        : fill(written.htmlTemplate, values, toText),
  };
}

/** The text part where there is no `email.toml` to say otherwise. */
function textOf(
  language: Language,
  shown: Readonly<Record<"email" | "loginUrl" | "code" | "lifetime" | "requestedFrom", string>>,
): string {
  const { email, loginUrl, code, lifetime, requestedFrom } = shown;
  const paragraphs = [
    ...[said("mail.hello"), said("mail.link", { email }), loginUrl, said("mail.code"), `    ${code}`],
    ...[said("mail.once", { lifetime }), said("mail.from", { requestedFrom })],
  ];
  return `${paragraphs.map((one) => say(language, one)).join("\n\n")}\n`;
}

function fill(
  written: string,
  values: Readonly<Record<Placeholder, string>>,
  encode: (value: string) => string,
): string {
  return written.replace(PLACEHOLDER, (_, name: Placeholder) => encode(values[name]));
}

/** Line ends and other control characters become single spaces. */
export function singleLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, " ").trim();
}
