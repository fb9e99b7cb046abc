import loginHtml from "../../static/login-mail.html" with { type: "text" };
import type { Address } from "../identity/address.ts";
import { type Language, said, say, spoken } from "../pages/language.ts";
import type { Look } from "../pages/look.ts";
import { template, toText } from "../pages/template.ts";
import { LOGO_URL } from "./logo.ts";
import type { MailContent } from "./mailer.ts";
import { PLACEHOLDERS } from "./placeholders.ts";
import type { EmailConfig } from "./settings.ts";

/** The part of `email.toml` that says what the login mail looks like. */
export type MailTemplate = Pick<EmailConfig, "subject" | "bodyTemplate" | "htmlTemplate">;

export type LoginMailFacts = {
  readonly to: Address;
  readonly loginUrl: string;
  /** As people read it. */
  readonly code: string;
  readonly expiryMinutes: number;
  /** Where the link was asked for. */
  readonly fromIp: string;
  /**
   * A browser's name, for a person. Whoever asks for a mail to somebody else chooses what their browser calls itself, so hand in
   * names recognized from a list, never the header.
   */
  readonly device: string;
};

type Placeholder = (typeof PLACEHOLDERS)[number];
type Values = Readonly<Record<Placeholder, string>>;

const builtIn = template(loginHtml, [
  ...(["email", "loginUrl", "code", "lifetime", "requestedFrom", "tag", "direction"] as const),
  ...(["app", "host", "logo", "accent", "accentDark"] as const),
]);

const PLACEHOLDER = new RegExp(`\\{(${PLACEHOLDERS.join("|")})\\}`, "g");

/**
 * Fills in the login mail.
 *
 * Placeholders are replaced in one pass, so a value that looks like a placeholder is not expanded again. In the HTML
 * part every value is escaped.
 */
export function renderLoginMail(
  look: Look,
  written: MailTemplate | undefined,
  facts: LoginMailFacts,
): MailContent & { readonly html: string } {
  const { language, app } = look;
  const device = shortLine(facts.device);
  const values: Values = {
    ...subjectValues(look, facts.code),
    login_url: facts.loginUrl,
    expiry_minutes: String(facts.expiryMinutes),
    email: facts.to,
    requested_from: `${facts.fromIp}, ${device}`,
    from_ip: facts.fromIp,
    device,
  };
  const shown = {
    ...{ email: values.email, loginUrl: values.login_url, code: values.code, app },
    host: look.host === app ? "" : look.host,
    requestedFrom: values.requested_from,
    lifetime: spoken(language, { amount: facts.expiryMinutes, unit: "minute" }),
  };
  return {
    subject: loginSubject(look, written, facts.code),
    text:
      written === undefined ? textOf(language, shown) : fill(written.bodyTemplate, values, (value) => value),
    // Ours is one table with inline styles, since mail clients read little CSS, and loads nothing from anywhere.
    html:
      written?.htmlTemplate === undefined
        ? toText(builtIn(language, { ...shown, ...frameOf(look) }))
        : fill(written.htmlTemplate, values, toText),
  };
}

/** The colors of the pages (`static/style.css`), unless the operator has others. */
const ACCENT = { light: "#0e5f63", dark: "#6fd6ca" };

/** What all mails have of how they look. */
export function frameOf({ language, colors = ACCENT, hasMailLogo }: Look) {
  const { tag, direction } = language;
  const logo = hasMailLogo ? LOGO_URL : undefined;
  return { tag, direction, logo, accent: colors.light, accentDark: colors.dark };
}

/** @param code as people read it, or what stands for it where it is not to be shown. */
export function loginSubject(look: Look, written: MailTemplate | undefined, code: string): string {
  const ours = () => say(look.language, said("mail.subject", { code, app: look.app }));
  if (written?.subject === undefined) return singleLine(ours());
  return singleLine(fill(written.subject, subjectValues(look, code), (value) => value));
}

/** A link has no place in a list of mails. */
function subjectValues({ app, host }: Look, code: string): Readonly<Record<"code" | "app" | "host", string>> {
  return { code, app: shortLine(app), host };
}

/** The text part where there is no `email.toml` to say otherwise. */
function textOf(
  language: Language,
  shown: Readonly<
    Record<"email" | "loginUrl" | "code" | "lifetime" | "requestedFrom" | "app" | "host", string>
  >,
): string {
  const { email, loginUrl, code, lifetime, requestedFrom, app, host } = shown;
  const heading = say(language, said("mail.heading", { app }));
  const paragraphs = [
    ...[host === "" ? heading : `${heading}\n${host}`, said("mail.link", { email }), loginUrl],
    ...[said("mail.code"), `    ${code}`, said("mail.once", { lifetime })],
    said("mail.from", { requestedFrom }),
  ];
  return `${paragraphs.map((one) => say(language, one)).join("\n\n")}\n`;
}

function fill(written: string, values: Partial<Values>, encode: (value: string) => string): string {
  return written.replace(PLACEHOLDER, (whole, name: Placeholder) => {
    const value = values[name];
    return value === undefined ? whole : encode(value);
  });
}

const shortLine = (text: string) => singleLine(text).slice(0, 100);

/** Line ends and other control characters become single spaces. */
export function singleLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, " ").trim();
}
