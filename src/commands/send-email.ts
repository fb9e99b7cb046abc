import { systemClock, systemRandom } from "../clock.ts";
import { loadConfiguration } from "../config/configuration.ts";
import { EXIT } from "../exit.ts";
import type { Address } from "../identity/address.ts";
import type { TlsMode } from "../mail/backend-settings.ts";
import { createBackends, describeFailure } from "../mail/backends.ts";
import type { SmtpSettings } from "../mail/conversation.ts";
import type { EmailConfig } from "../mail/settings.ts";
import { testMail } from "../mail/test-mail.ts";
import type { Io } from "../process/io.ts";
import type { Command, Outcome } from "./command.ts";
import { addressIn } from "./link.ts";

/** `runegate send-email`: one test mail, with the SMTP conversation told in words. */
export const sendEmail: Command = {
  name: "send-email",
  summary: "send a test mail and explain what the mail server or service says",
  help: `Usage: runegate send-email ADDRESS

Sends a test mail to ADDRESS with the settings in email.toml, in the same way as the gateway sends login mails, and
says what the mail server answered at each step: or what failed, and what to do about it.
With several [[backends]], one mail is sent by each.

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
  let failure: { readonly reason?: string | undefined; readonly remedy?: string | undefined } | undefined;
  io.out(`Sending a test mail to ${to}, with the settings in ${config.path}:`);
  for (const [index, backend] of createBackends(config, systemClock, settings).entries()) {
    const { kind, ...given } = config.backends[index] ?? {};
    const by = "tls" in given ? TLS_WORDS[given.tls] : kind;
    io.out(`${backend.address}, ${by}, from ${config.from.address}.`);
    try {
      await backend.send(testMail({ to, sender: config.from.address, baseUrl }, SYSTEM), (step) => {
        steps.push(step);
        io.out(`  ok  ${step}`);
      });
    } catch (error) {
      const [reason, remedy] = describeFailure(error);
      io.err(`  failed  ${reason}`);
      io.err(`What to do: ${remedy}`);
      failure ??= { reason, remedy };
    }
  }
  if (failure !== undefined) return { code: EXIT.failed, data: { sent: false, steps, ...failure } };
  io.out(
    "Done. If it does not arrive, look into the spam folder, and check SPF and DKIM of the sender's domain.",
  );
  return { code: EXIT.done, data: { sent: true, steps } };
}

const SYSTEM = { clock: systemClock, random: systemRandom };

const TLS_WORDS: Readonly<Record<TlsMode, string>> = {
  starttls: "STARTTLS",
  implicit: "implicit TLS",
  none: "no TLS",
};
