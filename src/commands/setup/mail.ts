import { statSync } from "node:fs";
import { systemClock } from "../../clock.ts";
import { parseEmailConfig } from "../../config/email.ts";
import { EXAMPLES } from "../../config/examples.ts";
import { SYSTEM } from "../../config/surroundings.ts";
import { EXIT } from "../../exit.ts";
import { type Address, addressIn, parseAddress } from "../../identity/address.ts";
import { explained } from "../../identity/values.ts";
import { createBackends, verifyBackends } from "../../mail/backends.ts";
import { emailTable } from "../../mail/settings.ts";
import { isLoopbackHost } from "../../net/loopback.ts";
import { readTextFile } from "../../option/files.ts";
import { ConfigError, describe } from "../../option/finding.ts";
import { quote, ValueError } from "../../option/value-error.ts";
import type { Io } from "../../process/io.ts";
import { UsageError } from "../command.ts";
import type { Existing } from "../replace-file.ts";
import { sendTestMail } from "../send-email.ts";
import type { Dialog } from "./dialog.ts";
import { type EmailKeys, fillEmail } from "./texts.ts";

/** The mail server of a first run: asked for, logged in to, and tried with a mail. */

const SUBMISSION_PORT = 587;
const NO_MAIL = "-";

/** Flags that answer the questions. */
export type MailFlags = Readonly<Partial<Record<(typeof SETTINGS)[number] | "test-mail", string>>>;

const SETTINGS = ["smtp", "smtp-user", "smtp-password-file", "smtp-tls", "from"] as const;

/** The first flag that says what email.toml is to say. */
export const mailSetting = (flags: MailFlags) => SETTINGS.find((name) => flags[name] !== undefined);

/** What mail is for: the host whose links it carries, whom a test may go to, and the file that the settings will be in. */
export type MailSite = {
  readonly domain: string;
  /** The base URL. */
  readonly origin: string;
  readonly someone: string | undefined;
  readonly path: string;
};

/**
 * Keeps a file that is good, unless other settings are wanted; else asks for them.
 * @returns the text of email.toml; undefined where it does not work, and nobody is there who could change it.
 */
export async function askEmail(
  dialog: Dialog,
  flags: MailFlags,
  site: MailSite,
  existing: Existing,
  io: Io,
): Promise<string | undefined> {
  const before = existing.before.toString("utf8");
  const keeps = mailSetting(flags) === undefined && existing.owner !== undefined && isGood(before, site.path);
  const question = `Keep the settings for mail in ${site.path}?`;
  if (keeps && (!dialog.isInteractive || (await dialog.confirm(question, true)))) {
    const testMail = flags["test-mail"];
    if (testMail === undefined || (await works(dialog, before, testMail, site, io))) return before;
    if (!dialog.isInteractive) return undefined;
  }
  let given = flags;
  let known: EmailKeys | undefined;
  for (;;) {
    known = await askKeys(dialog, given, known, site.domain);
    const text = fillEmail(EXAMPLES.get("email") ?? "", known);
    if (await works(dialog, text, given["test-mail"], site, io)) return text;
    if (!dialog.isInteractive) return undefined;
    if (!(await dialog.confirm("Other settings for mail?", true))) return text;
    given = {};
  }
}

/** Not so of one that was never filled in. */
function isGood(text: string, path: string): boolean {
  try {
    parseEmailConfig(text, path, SYSTEM.serviceCredentials);
    return true;
  } catch (error) {
    if (error instanceof ConfigError) return false;
    throw error;
  }
}

/** As in the file, which here names no other. */
const { keys: KEYS } = emailTable({
  secret: () => "",
  text: (path) => ({ path, text: "" }),
  credential: () => undefined,
  path: (name) => name,
});

async function askKeys(
  dialog: Dialog,
  flags: MailFlags,
  known: EmailKeys | undefined,
  domain: string,
): Promise<EmailKeys> {
  const { host, port } = await dialog.ask({
    hint: "The mail server to send by: smtp.example.org, or with its port smtp.example.org:465",
    text: "Mail server",
    ...{ flag: "--smtp", given: flags.smtp, default: known && `${known.host}:${known.port}` },
    parse(text) {
      const [, name = text, digits = String(SUBMISSION_PORT)] = /^(.*):([0-9]+)$/.exec(text) ?? [];
      return { host: KEYS.host.parse(name), port: KEYS.port.parse(Number(digits)) };
    },
  });
  const user = await dialog.ask({
    hint: "The account there; nothing, if it wants none",
    text: "User",
    ...{ flag: "--smtp-user", given: flags["smtp-user"], default: known?.user ?? "" },
    parse: (text) => KEYS.user.parse(text) ?? "",
  });
  const pass = user === "" ? "" : await askPassword(dialog, flags["smtp-password-file"]);
  const from = await dialog.ask({
    hint: "Whom the mail is from: an address that this account may send from",
    text: "From",
    ...{ flag: "--from", given: flags.from },
    default: known?.from ?? addressIn(user) ?? `login@${domain}`,
    parse(text) {
      KEYS.from.parse(text);
      return text;
    },
  });
  const again = known?.host === host && known.tls !== "none" ? known.tls : undefined;
  const tls = flags["smtp-tls"] ?? again ?? (isLoopbackHost(host) ? "none" : undefined);
  return { host, port, user, pass, from, tls };
}

function askPassword(dialog: Dialog, file: string | undefined): Promise<string> {
  return dialog.ask({
    hint: "Its password, which is not shown; with many services an app password or an API key",
    text: "Password",
    ...{ flag: "--smtp-password-file", given: file && passwordIn(file), hidden: true },
    parse(text) {
      const password = KEYS.pass.parse(text);
      if (password === undefined) throw new ValueError("is empty", "Write the password of that user.");
      return password;
    },
  });
}

function passwordIn(file: string): string {
  // Nothing that is typed there would end it.
  if (statSync(file, { throwIfNoEntry: false })?.isCharacterDevice())
    throw new UsageError("--smtp-password-file names a terminal. Without it, the password is asked for.");
  const read = readTextFile(file);
  if (read.kind === "read") return read.text.replace(/[\r\n]+$/, "");
  const why = read.kind === "missing" ? `names a file that does not exist: ${file}` : read.problem;
  throw new UsageError(`--smtp-password-file ${why}.`);
}

/** Whether the server takes the login, and a mail if one is wanted. */
async function works(
  dialog: Dialog,
  text: string,
  testMail: string | undefined,
  { origin, someone, path }: MailSite,
  io: Io,
): Promise<boolean> {
  let config: ReturnType<typeof parseEmailConfig>["config"];
  try {
    ({ config } = parseEmailConfig(text, path, SYSTEM.serviceCredentials));
  } catch (error) {
    if (!(error instanceof ConfigError) || !dialog.isInteractive) throw error;
    for (const problem of error.problems) io.err(`  ${describe(problem)}`);
    return false;
  }
  const { ok, lines } = await verifyBackends(createBackends(config, systemClock));
  for (const line of lines) (ok ? io.out : io.err)(`  ${line}`);
  if (!ok) return false;
  const to = await dialog.ask<Address | typeof NO_MAIL>({
    hint: `Who gets a test mail; ${NO_MAIL} for nobody`,
    text: "Test mail to",
    ...{ flag: "--test-mail", given: testMail },
    default: (dialog.isInteractive && someone) || NO_MAIL,
    parse: (one) =>
      one === NO_MAIL ? one : explained(parseAddress, one, `is no address: ${quote(one)}`, ""),
  });
  if (to === NO_MAIL) return true;
  return (await sendTestMail(config, origin, to, io)).code === EXIT.done;
}
