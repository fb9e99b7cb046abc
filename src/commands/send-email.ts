import { parseArgs } from "node:util";
import { systemClock, systemRandom } from "../clock.ts";
import { loadConfiguration } from "../config/configuration.ts";
import { EXIT, type ExitCode } from "../exit.ts";
import { type Address, AddressError, domainOf, parseAddress } from "../identity/address.ts";
import { composeMail } from "../mail/compose.ts";
import { converse, type SmtpSettings } from "../mail/conversation.ts";
import type { Mail } from "../mail/mailer.ts";
import type { EmailConfig, TlsMode } from "../mail/settings.ts";
import { describeFailure } from "../mail/smtp.ts";
import { messageOf } from "../observe/message-of.ts";
import { ConfigError, describe } from "../option/finding.ts";
import type { Io } from "../process/io.ts";
import { type Command, UsageError } from "./command.ts";

const HELP = `Usage: runegate send-email ADDRESS

Sends a test mail to ADDRESS with the settings in email.toml, in the same way as the gateway sends login mails, and
says what the mail server answered at each step: or what failed, and what to do about it.

Options:
  --help  show this

Example:
  runegate send-email you@example.org

Exit codes: 0 the server accepted the mail, 1 it did not, 78 the configuration is wrong.`;

/** `runegate send-email`: one test mail, with the SMTP conversation told in words. */
export const sendEmail: Command = {
  name: "send-email",
  summary: "send a test mail and explain what the mail server says",
  help: HELP,
  readsOptions: true,

  async run(args, io) {
    const { help, to } = argumentsOf(args);
    if (help) {
      io.out(HELP);
      return EXIT.done;
    }
    const recipient = recipientOf(to);
    const loaded = configurationFor(io);
    return loaded === undefined
      ? EXIT.config
      : await sendTestMail(loaded.email, loaded.baseUrl, recipient, io);
  },
};

/**
 * Sends the test mail and tells each step to `io`, the bad ones on standard error. The password is in none of them.
 * @param baseUrl what the mail names as its origin.
 */
export async function sendTestMail(
  config: EmailConfig,
  baseUrl: string,
  to: Address,
  io: Pick<Io, "out" | "err">,
  settings: SmtpSettings = {},
): Promise<ExitCode> {
  io.out(`Sending a test mail to ${to}, with the settings in ${config.path}:`);
  io.out(`${config.host}:${config.port}, ${TLS_WORDS[config.tls]}, from ${config.from.address}.`);
  try {
    const mail = await composeMail(config, testMail(config, baseUrl, to));
    await converse(config, settings, mail, (step) => io.out(`  ok  ${step}`));
  } catch (error) {
    const [reason, remedy] = describeFailure(error);
    io.err(`  failed  ${reason}`);
    io.err(`What to do: ${remedy}`);
    return EXIT.failed;
  }
  io.out(
    "Done. If it does not arrive, look into the spam folder, and check SPF and DKIM of the sender's domain.",
  );
  return EXIT.done;
}

const TLS_WORDS: Readonly<Record<TlsMode, string>> = {
  starttls: "STARTTLS",
  implicit: "implicit TLS",
  none: "no TLS",
};

function testMail(config: EmailConfig, baseUrl: string, to: Address): Mail {
  const id = Buffer.from(systemRandom.bytes(16)).toString("hex");
  return {
    to,
    subject: "Runegate test mail",
    text: `Hello,

this is a test mail from Runegate at ${baseUrl}.

That you can read it means that login mails from there can reach you.
There is nothing to do.
`,
    html: undefined,
    messageId: `<${id}@${domainOf(config.from.address)}>`,
    queuedAt: systemClock.now(),
  };
}

function argumentsOf(args: readonly string[]): { help: boolean; to: string | undefined } {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { help: { type: "boolean", short: "h" } },
      allowPositionals: true,
    });
    if (positionals.length > 1) throw new UsageError("send-email takes one address.");
    return { help: values.help === true, to: positionals[0] };
  } catch (error) {
    throw error instanceof UsageError ? error : new UsageError(messageOf(error));
  }
}

function recipientOf(to: string | undefined): Address {
  if (to === undefined) throw new UsageError("send-email needs the address to send to.");
  try {
    return parseAddress(to);
  } catch (error) {
    if (error instanceof AddressError) throw new UsageError(error.message);
    throw error;
  }
}

/** Tells what is wrong with the configuration, if anything is; undefined if it cannot be used. */
function configurationFor(io: Io): { email: EmailConfig; baseUrl: string } | undefined {
  try {
    const { options, email } = loadConfiguration(io);
    if (email !== undefined) return { email, baseUrl: options.baseUrl };
    io.err("There is no email.toml, so mail goes to the development mailbox and there is no server to try.");
    io.err(
      "Write one, and name it in RUNEGATE_EMAIL_CONFIG if it is in another place than config/email.toml.",
    );
    return undefined;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    for (const problem of error.problems) io.err(`Error: ${describe(problem)}`);
    return undefined;
  }
}
