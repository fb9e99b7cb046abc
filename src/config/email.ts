import { isIP } from "node:net";
import { parse as parseToml, TomlError } from "smol-toml";
import example from "../../deploy/config/email.toml.example" with { type: "text" };
import { type Address, AddressError, parseAddress } from "../identity/address.ts";
import { PLACEHOLDERS } from "../mail/message.ts";
import type { EmailConfig, TlsMode } from "../mail/settings.ts";
import { isLoopbackHost } from "../net/loopback.ts";
import { readableByOthers, readTextFile } from "../option/files.ts";
import { ConfigError, type Finding } from "../option/finding.ts";
import { nearest } from "../option/nearest.ts";
import { quote, ValueError } from "../option/value-error.ts";
import { choice } from "../option/values.ts";
import { OPTIONS, type Options } from "./options.ts";
import { type Surroundings, SYSTEM } from "./surroundings.ts";

/** `email.toml`: how mail is sent and what it says. */

export type LoadedEmail = { readonly config: EmailConfig; readonly warnings: readonly Finding[] };

/**
 * Reads the configured file, or else the first of the default places that exists.
 * @returns undefined where there is none and development makes do without.
 * @throws {ConfigError} with everything that is wrong with the file, or with its being missing.
 */
export function findEmailConfig(
  options: Pick<Options, "production" | "emailConfig">,
  surroundings: Surroundings = SYSTEM,
): LoadedEmail | undefined {
  const { emailConfig: configured, production } = options;
  const places = configured === undefined ? surroundings.emailConfigs : [configured];
  for (const path of places) {
    const read = readTextFile(path);
    if (read.kind === "missing") continue;
    if (read.kind === "failed") throw missing(read.problem, read.remedy);
    const { config, warnings } = parseEmailConfig(read.text, path);
    const exposed = config.pass === undefined ? undefined : readableByOthers(path, read.mode, read.uid);
    return { config, warnings: exposed === undefined ? warnings : [...warnings, exposed] };
  }
  if (configured !== undefined) {
    throw missing(
      `names a file that does not exist: ${configured}`,
      production ? `Create it. ${BEGIN_WITH}` : `Create it, or leave the option out. ${BEGIN_WITH}`,
    );
  }
  if (production) {
    throw missing(
      "is not set, and no email.toml was found, without which production sends no mail",
      `Create ${places[0] ?? "email.toml"}. ${BEGIN_WITH}`,
    );
  }
  return undefined;
}

const BEGIN_WITH = "`runegate config --example email` prints one to begin with.";

function missing(problem: string, remedy: string): ConfigError {
  return new ConfigError([{ option: OPTIONS.emailConfig.name, problem, remedy }]);
}

/**
 * Parses the text of an `email.toml`; `path` is for the findings, which never quote the password.
 * @throws {ConfigError} with every problem there is.
 */
export function parseEmailConfig(text: string, path: string): LoadedEmail {
  const table = parseTable(text, path);
  const problems: Finding[] = [];
  const warnings: Finding[] = [];
  const report = (to: Finding[], key: string, problem: string, remedy: string) =>
    to.push({ option: `${path}: ${key}`, problem, remedy });

  /** The value of a key, or undefined if it is not there or not good. */
  function read<T>(key: Key, parse: (value: unknown) => T, needed: "required" | "optional"): T | undefined {
    const value = table[key];
    if (value === undefined) {
      if (needed === "required") report(problems, key, "is missing", `Add a line: ${EXAMPLES[key]}`);
      return undefined;
    }
    try {
      return parse(value);
    } catch (error) {
      if (!(error instanceof ValueError)) throw error;
      report(problems, key, error.problem, error.remedy);
      return undefined;
    }
  }

  const host = read("smtp_host", smtpHost, "required");
  const port = read("smtp_port", smtpPort, "required");
  const user = read("smtp_user", credential, "optional");
  const pass = read("smtp_pass", credential, "optional");
  const from = read("from_address", mailbox, "required");
  const replyTo = read("reply_to", (value) => plainAddress(oneLine(value)), "optional");
  const subject = read("subject", (value) => knownPlaceholders(oneLine(value)), "required");
  const bodyTemplate = read("body_template", template, "required");
  const htmlTemplate = read("html_template", template, "optional");
  const tls = read("smtp_tls", tlsMode, "optional") ?? (port === 465 ? "implicit" : "starttls");

  for (const [present, absent, given] of [
    ["smtp_user", "smtp_pass", user !== undefined && pass === undefined],
    ["smtp_pass", "smtp_user", pass !== undefined && user === undefined],
  ] as const) {
    // A key that is there and wrong has been reported already.
    if (given && (table[absent] === undefined || table[absent] === "")) {
      report(problems, absent, `is missing while ${present} is set`, "Set both, or neither.");
    }
  }
  const examples = parseToml(example);
  for (const [key, value, examplesOwn, remedy] of [
    ["smtp_host", host, examples.smtp_host, "Write the name of your mail server, such as smtp.gmail.com."],
    ["smtp_user", user, examples.smtp_user, "Write your user name there, or remove smtp_user and smtp_pass."],
    [
      "smtp_pass",
      pass,
      examples.smtp_pass,
      "Write the password, or what your mail service gives out as one.",
    ],
    [
      "from_address",
      from?.address,
      mailbox(examples.from_address).address,
      "Write an address that the account may send from.",
    ],
  ] as const) {
    if (value !== undefined && value === examplesOwn) report(problems, key, "is still the example's", remedy);
  }
  if (tls === "none" && host !== undefined && !isLoopbackHost(host)) {
    report(
      problems,
      "smtp_tls",
      `is none, and ${host} is another machine, so links could be read on the way`,
      "Write starttls or implicit.",
    );
  }
  for (const [key, value] of [
    ["body_template", bodyTemplate],
    ["html_template", htmlTemplate],
  ] as const) {
    if (value !== undefined && !value.includes("{code}")) {
      report(
        warnings,
        key,
        "does not contain {code}, so mail read on another device is of no use",
        "Add {code}.",
      );
    }
  }
  for (const key of Object.keys(table)) {
    if (KEYS.includes(key)) continue;
    const meant = nearest(key, KEYS);
    const remedy = meant === undefined ? `The keys are ${KEYS.join(", ")}.` : `Did you mean ${meant}?`;
    report(warnings, quoteKey(key), "is not a key of email.toml", remedy);
  }

  if (
    problems.length > 0 ||
    host === undefined ||
    port === undefined ||
    from === undefined ||
    subject === undefined ||
    bodyTemplate === undefined
  ) {
    throw new ConfigError(problems, warnings);
  }
  const config = { path, host, port, tls, user, pass, from, replyTo, subject, bodyTemplate, htmlTemplate };
  return { config, warnings };
}

/** The keys, each with a line to copy. */
const EXAMPLES = {
  smtp_host: 'smtp_host = "smtp.example.org"',
  smtp_port: "smtp_port = 587",
  smtp_user: 'smtp_user = "runegate@example.org"',
  smtp_pass: 'smtp_pass = "…"',
  smtp_tls: 'smtp_tls = "starttls"',
  from_address: 'from_address = "Example <login@example.org>"',
  reply_to: 'reply_to = "help@example.org"',
  subject: 'subject = "Your sign-in link"',
  body_template: 'body_template = "Open {login_url} or type {code}."',
  html_template: 'html_template = "…"',
} as const;
type Key = keyof typeof EXAMPLES;
const KEYS: readonly string[] = Object.keys(EXAMPLES);

function parseTable(text: string, path: string): Readonly<Record<string, unknown>> {
  try {
    return parseToml(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // The lines after the first quote the file, and with it perhaps the password.
    const reason = error.message.split("\n", 1)[0]?.replace(/^.*?: /, "") ?? "";
    throw new ConfigError([
      {
        option: `${path}:${error.line}:${error.column}`,
        problem: `is not TOML: ${reason}`,
        remedy: "Put texts in quotes, and long ones between three quotes.",
      },
    ]);
  }
}

function quoteKey(key: string): string {
  return /^[\w-]{1,40}$/.test(key) ? key : quote(key);
}

function text(value: unknown): string {
  if (typeof value === "string") return value;
  throw new ValueError("is not a text", "Put it in quotes.");
}

/** Goes into a header: a line feed would begin another one (RFC 5322 §2.2). */
function oneLine(value: unknown): string {
  const line = text(value);
  if (/[\p{Cc}\u2028\u2029]/u.test(line)) {
    throw new ValueError("contains a line break or another control character", "Write it on one line.");
  }
  if (line.trim() === "") throw new ValueError("is empty", "Write something, or remove the line.");
  return line.trim();
}

function smtpHost(value: unknown): string {
  const host = oneLine(value).toLowerCase();
  if (isIP(host) !== 0 || /^[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?$/.test(host)) return host;
  throw new ValueError(
    `is not a host name: ${quote(host)}`,
    "Write a name such as smtp.example.org; the port goes into smtp_port.",
  );
}

function smtpPort(value: unknown): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 65535) return value;
  throw new ValueError("is not a port", "Write a number from 1 to 65535, usually 587 or 465.");
}

function tlsMode(value: unknown): TlsMode {
  return choice("starttls", "implicit", "none")(oneLine(value));
}

/** User name or password; empty is none. No error repeats it. */
function credential(value: unknown): string | undefined {
  const secret = text(value);
  if (/\p{Cc}/u.test(secret)) {
    throw new ValueError(
      "contains a control character",
      "Write a backslash in a text in double quotes as two, or use single quotes.",
    );
  }
  return secret === "" ? undefined : secret;
}

/** `address` or `Name <address>`. */
function mailbox(value: unknown): { name: string | undefined; address: Address } {
  const line = oneLine(value);
  const match = /^(.*?)\s*<([^<>]*)>$/.exec(line);
  if (match === null) return { name: undefined, address: plainAddress(line) };
  const [, written = "", address = ""] = match;
  const name = written.replace(/^"(.*)"$/, "$1").trim();
  if (/[<>"\\]/.test(name)) {
    throw new ValueError(`has a name with quotes or angle brackets: ${quote(line)}`, "Write Name <address>.");
  }
  return { name: name === "" ? undefined : name, address: plainAddress(address) };
}

function plainAddress(line: string): Address {
  try {
    return parseAddress(line);
  } catch (error) {
    if (!(error instanceof AddressError)) throw error;
    throw new ValueError(`is not an address: ${quote(line)}`, error.message);
  }
}

function template(value: unknown): string {
  const written = text(value);
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
