import { type Address, parseAddress } from "../identity/address.ts";
import { explained } from "../identity/values.ts";
import { type TableOf, table, text } from "../option/table.ts";
import { quote, ValueError } from "../option/value-error.ts";
import {
  type Backend,
  type BackendKey,
  type BackendValues,
  backendKeys,
  backendOf,
  checkBackend,
  type Files,
  oneLine,
  type SmtpBackend,
} from "./backend-settings.ts";

/** What a template may contain. Anything else in braces, such as the rules of a style sheet, stays as it is. */
export const PLACEHOLDERS = ["login_url", "code", "expiry_minutes", "email", "requested_from"] as const;

/** `email.toml`: how mail is sent and what it says. */
export function emailTable(files: Files) {
  const one = backendKeys(files);
  const check = checkBackend(files, one);
  const keys = {
    /** As given: `address` or `Name <address>`. */
    from: {
      name: "from_address",
      parse: text(mailbox),
      example: "Example <login@example.org>",
      help: "Whom the mail is from: an address that the account may send from.",
    },
    replyTo: {
      name: "reply_to",
      parse: text((written) => plainAddress(oneLine(written))),
      example: "help@example.org",
      help: "Where answers go.",
      optional: true,
    },
    subject: {
      name: "subject",
      parse: text((written) => knownPlaceholders(oneLine(written))),
      example: "Your sign-in link",
      help: "Subject of the mail.",
    },
    bodyTemplate: {
      name: "body_template",
      parse: text(template),
      example: "Open {login_url} or type {code}.",
      help: "The text, with `{login_url}` and best with `{code}`; also `{email}`, `{expiry_minutes}`, `{requested_from}`.",
    },
    htmlTemplate: {
      name: "html_template",
      parse: text(template),
      example: "<p>Open {login_url} or type {code}.</p>",
      help: "The HTML part, with the same placeholders. Without it, there is a plain one.",
      optional: true,
    },
    ...one,
    backends: {
      name: "backends",
      tables: table(one, check),
      help: "In place of the keys of one: several, each tried when the one before has taken no mail for ten seconds.",
    },
  } as const;
  return table(keys, (values, report) => {
    const { backends, from } = values;
    if (backends === undefined || backends.length === 0) check(values, report);
    else if (backends.length > MOST_BACKENDS)
      report("error", "backends", `are more than ${MOST_BACKENDS}`, "Remove the last ones.");
    else
      for (const key of Object.keys(one) as BackendKey[])
        if (values[key] !== undefined)
          report("error", key, "is given beside [[backends]]", "Move it into one of them, or remove it.");
    if (from?.address === keys.from.parse(keys.from.example).address)
      report("error", "from", "is still the example's", "Write an address that the account may send from.");
    for (const key of ["bodyTemplate", "htmlTemplate"] as const) {
      if (values[key]?.includes("{code}") !== false) continue;
      const problem = "does not contain {code}, so mail read on another device is of no use";
      report("warning", key, problem, "Add {code}.");
    }
  });
}

/** What each but the last has time for, and the last one needs, must be less than a mail is kept from other processes. */
const MOST_BACKENDS = 3;

type EmailValues = TableOf<ReturnType<typeof emailTable>["keys"]>;

/** Whom mail is from. */
export type Sender = Pick<EmailValues, "from" | "replyTo">;

export type SmtpConfig = SmtpBackend & Sender;

/** `email.toml`, checked. */
export type EmailConfig = Sender &
  Pick<EmailValues, "subject" | "bodyTemplate" | "htmlTemplate"> & {
    readonly path: string;
    /** In the order they are tried. At least one. */
    readonly backends: readonly Backend[];
  };

/** @param values that were checked. */
export function emailConfigOf(values: EmailValues, path: string, files: Files): EmailConfig {
  const { from, replyTo, subject, bodyTemplate, htmlTemplate, backends } = values;
  const given: readonly BackendValues[] = backends.length === 0 ? [values] : backends;
  return {
    ...{ path, from, replyTo, subject, bodyTemplate, htmlTemplate },
    backends: given.map((one) => backendOf(one, files)),
  };
}

/** `address` or `Name <address>`. */
function mailbox(written: string): { readonly name: string | undefined; readonly address: Address } {
  const line = oneLine(written);
  const match = /^(.*?)\s*<([^<>]*)>$/.exec(line);
  if (match === null) return { name: undefined, address: plainAddress(line) };
  const [, before = "", address = ""] = match;
  const name = before.replace(/^"(.*)"$/, "$1").trim();
  if (/[<>"\\]/.test(name)) {
    throw new ValueError(`has a name with quotes or angle brackets: ${quote(line)}`, "Write Name <address>.");
  }
  return { name: name === "" ? undefined : name, address: plainAddress(address) };
}

function plainAddress(line: string): Address {
  return explained(parseAddress, line, `is not an address: ${quote(line)}`, "");
}

function template(written: string): string {
  if (/\p{Cc}/u.test(written.replace(/[\t\r\n]/g, ""))) {
    throw new ValueError("contains a control character", "Write plain text.");
  }
  if (!written.includes("{login_url}")) {
    throw new ValueError(
      "does not contain {login_url}, so nobody could sign in",
      "Add {login_url} where the link goes.",
    );
  }
  return knownPlaceholders(written);
}

/** Only what looks like a name counts: the braces of a style sheet are none of our business. */
function knownPlaceholders(written: string): string {
  const unknown = [...written.matchAll(/\{(\w+)\}/g)]
    .map((match) => match[1] ?? "")
    .filter((name) => !PLACEHOLDERS.some((known) => known === name));
  if (unknown.length === 0) return written;
  throw new ValueError(
    `contains ${[...new Set(unknown)].map((name) => `{${name}}`).join(", ")}, which stands for nothing`,
    `The placeholders are ${PLACEHOLDERS.map((name) => `{${name}}`).join(", ")}.`,
  );
}
