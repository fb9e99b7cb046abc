import { composeMail } from "./compose.ts";
import type { SmtpSettings } from "./conversation.ts";
import { MailError, type Mailer } from "./mailer.ts";
import type { EmailConfig } from "./settings.ts";

/**
 * A mailer that hands each mail to the SMTP server of `email.toml`, in a conversation of its own: login mails are too
 * few for a kept connection to pay, and a connection that is never kept is never found dead.
 */
export function createSmtpMailer(config: EmailConfig, settings: SmtpSettings = {}): Mailer {
  return {
    async send(mail) {
      const { converse } = await conversation();
      await converse(config, settings, await composeMail(config, mail));
    },
  };
}

/** Loaded with the first mail, and with it what speaks TLS. */
const conversation = () => import("./conversation.ts");

export type SmtpVerdict = {
  readonly ok: boolean;
  /** What happened at each step, and if one failed, why and what to do. */
  readonly lines: readonly string[];
};

/** Tries the server without sending anything: connects, goes over to TLS, logs in, quits. Never throws. */
export async function verifySmtp(config: EmailConfig, settings: SmtpSettings = {}): Promise<SmtpVerdict> {
  const lines: string[] = [];
  const { converse } = await conversation();
  try {
    await converse(config, settings, undefined, (step) => lines.push(step));
    return { ok: true, lines };
  } catch (error) {
    lines.push(...describeFailure(error));
    return { ok: false, lines };
  }
}

/** Why a conversation failed and what to do about it, for an operator. Errors of other kinds are thrown on. */
export function describeFailure(error: unknown): string[] {
  if (!(error instanceof MailError)) throw error;
  return [error.reason, error.remedy];
}
