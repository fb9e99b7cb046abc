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
import { PLACEHOLDERS } from "./placeholders.ts";
import { checkTemplate, type TemplateProblem, unknownPlaceholders } from "./template-check.ts";

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
      help: "Subject of the mail, with `{code}`, `{app}` and `{host}`. By default with the code in it.",
      optional: true,
    },
    bodyTemplate: {
      name: "body_template",
      parse: text((written) => checked(written, "text")),
      example: "Open {login_url} or type {code}.",
      help: `The text, with \`{login_url}\` and best with \`{code}\`; also ${OTHERS}.`,
      optional: true,
    },
    textFile: {
      name: "text_template_file",
      parse: text((name) => checkedFile(files.text(oneLine(name)), "text")),
      example: "login.txt",
      help: "A file with the text, in place of `body_template`.",
      optional: true,
    },
    htmlTemplate: {
      name: "html_template",
      parse: text((written) => checked(written, "html")),
      example: "<p>Open {login_url} or type {code}.</p>",
      help: "The HTML part, with the same placeholders. Without it, there is a plain one.",
      optional: true,
    },
    htmlFile: {
      name: "html_template_file",
      parse: text((name) => checkedFile(files.text(oneLine(name)), "html")),
      example: "login.html",
      help: "A file with the HTML part, in place of `html_template`.",
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
    const { bodyTemplate, textFile } = values;
    // A key that is there and wrong has been reported already.
    const isRead = "bodyTemplate" in values && "textFile" in values;
    if (isRead && bodyTemplate === undefined && textFile === undefined) {
      const add = `Add a line: body_template = ${JSON.stringify(keys.bodyTemplate.example)}`;
      report("error", "bodyTemplate", "is missing", `${add}, or name a file as text_template_file.`);
    }
    for (const [inline, file] of TEMPLATES) {
      if (values[inline] !== undefined && values[file] !== undefined)
        report("error", file, `is given beside ${keys[inline].name}`, "Keep one of them.");
      for (const key of [inline, file]) {
        if (values[key]?.includes("{code}") !== false) continue;
        const problem = "does not contain {code}, so mail read on another device is of no use";
        report("warning", key, problem, "Add {code}.");
      }
    }
  });
}

const TEMPLATES = [
  ["bodyTemplate", "textFile"],
  ["htmlTemplate", "htmlFile"],
] as const;

const OTHERS = PLACEHOLDERS.filter((name) => name !== "login_url" && name !== "code")
  .map((name) => `\`{${name}}\``)
  .join(", ");

/** What each but the last has time for, and the last one needs, must be less than a mail is kept from other processes. */
const MOST_BACKENDS = 3;

type EmailValues = TableOf<ReturnType<typeof emailTable>["keys"]>;

/** Whom mail is from. */
export type Sender = Pick<EmailValues, "from" | "replyTo">;

export type SmtpConfig = SmtpBackend & Sender;

/** `email.toml`, checked. */
export type EmailConfig = Sender &
  Pick<EmailValues, "subject" | "htmlTemplate"> & {
    readonly bodyTemplate: string;
    readonly path: string;
    /** In the order they are tried. At least one. */
    readonly backends: readonly Backend[];
  };

/** @param values that were checked. */
export function emailConfigOf(values: EmailValues, path: string, files: Files): EmailConfig {
  const { from, replyTo, subject, backends } = values;
  const bodyTemplate = values.bodyTemplate ?? values.textFile ?? "";
  const htmlTemplate = values.htmlTemplate ?? values.htmlFile;
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

/** A template that stands in the file itself. */
function checked(written: string, kind: "text" | "html"): string {
  const several = written.includes("\n");
  const problems = checkTemplate(written, kind);
  if (problems.length === 0) return written;
  throw new ValueError(
    problems.map(({ line, problem }) => (several ? `${problem} (line ${line} of it)` : problem)).join("; "),
    remediesOf(problems),
  );
}

/** One in a file of its own. */
function checkedFile({ path, text: written }: ReturnType<Files["text"]>, kind: "text" | "html"): string {
  const problems = checkTemplate(written, kind);
  if (problems.length === 0) return written;
  throw new ValueError(
    problems.map(({ line, problem }) => `names ${path}, which in line ${line} ${problem}`).join("; "),
    remediesOf(problems),
  );
}

function knownPlaceholders(written: string): string {
  const problems = unknownPlaceholders(written);
  if (problems.length === 0) return written;
  throw new ValueError(problems.map(({ problem }) => problem).join("; "), remediesOf(problems));
}

function remediesOf(problems: readonly TemplateProblem[]): string {
  return [...new Set(problems.map(({ remedy }) => remedy))].join(" ");
}
