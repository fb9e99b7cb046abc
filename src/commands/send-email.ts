import { systemClock, systemRandom } from "../clock.ts";
import { loadConfiguration } from "../config/configuration.ts";
import { EXIT } from "../exit.ts";
import { type Address, domainOf } from "../identity/address.ts";
import { composeMail } from "../mail/compose.ts";
import { converse, type SmtpSettings } from "../mail/conversation.ts";
import type { Mail } from "../mail/mailer.ts";
import type { EmailConfig, TlsMode } from "../mail/settings.ts";
import { describeFailure } from "../mail/smtp.ts";
import type { Io } from "../process/io.ts";
import type { Command, Outcome } from "./command.ts";
import { addressIn } from "./link.ts";

/** `runegate send-email`: one test mail, with the SMTP conversation told in words. */
export const sendEmail: Command = {
  name: "send-email",
  summary: "send a test mail and explain what the mail server says",
  help: `Usage: runegate send-email ADDRESS

Sends a test mail to ADDRESS with the settings in email.toml, in the same way as the gateway sends login mails, and
says what the mail server answered at each step: or what failed, and what to do about it.

Example: runegate send-email you@example.org

Exit codes: ${EXIT.done} the server accepted the mail, ${EXIT.failed} it did not, ${EXIT.config} the configuration is wrong.`,

  readsOptions: true,
  takes: { least: 1, most: 1, what: "one address" },

  async run({ words: [to = ""] }, io) {
    const recipient = addressIn(to);
    const { options, email } = loadConfiguration(io);
    if (email !== undefined) return sendTestMail(email, options.baseUrl, recipient, io);
    io.err(WITHOUT_EMAIL_CONFIG);
    return EXIT.config;
  },
};

const WITHOUT_EMAIL_CONFIG = `There is no email.toml, so mail goes to the development mailbox and there is no server to try.
Write one, and name it in RUNEGATE_EMAIL_CONFIG if it is in another place than config/email.toml.`;

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
): Promise<Outcome & object> {
  const steps: string[] = [];
  io.out(`Sending a test mail to ${to}, with the settings in ${config.path}:`);
  io.out(`${config.host}:${config.port}, ${TLS_WORDS[config.tls]}, from ${config.from.address}.`);
  try {
    const mail = await composeMail(config, testMail(config, baseUrl, to));
    await converse(config, settings, mail, (step) => {
      steps.push(step);
      io.out(`  ok  ${step}`);
    });
  } catch (error) {
    const [reason, remedy] = describeFailure(error);
    io.err(`  failed  ${reason}`);
    io.err(`What to do: ${remedy}`);
    return { code: EXIT.failed, data: { sent: false, steps, reason, remedy } };
  }
  io.out(
    "Done. If it does not arrive, look into the spam folder, and check SPF and DKIM of the sender's domain.",
  );
  return { code: EXIT.done, data: { sent: true, steps } };
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
