import { composeMail } from "./compose.ts";
import type { SmtpSettings } from "./conversation.ts";
import { signed } from "./dkim.ts";
import type { BackendMailer } from "./mailer.ts";
import type { SmtpConfig } from "./settings.ts";

/**
 * A mailer that hands each mail to the SMTP server of `email.toml`, in a conversation of its own: login mails are too
 * few for a kept connection to pay, and a connection that is never kept is never found dead.
 */
export function createSmtpMailer(config: SmtpConfig, settings: SmtpSettings = {}): BackendMailer {
  return {
    name: "smtp",
    address: `${config.host}:${config.port}`,
    async send(mail, onStep) {
      const { converse } = await conversation();
      const { envelope, message } = await composeMail(config, mail);
      const composed = { envelope, message: await signed(message, config.dkim) };
      return { by: "smtp", words: await converse(config, settings, composed, onStep) };
    },
    async verify(onStep) {
      const { converse } = await conversation();
      await converse(config, settings, undefined, onStep);
    },
  };
}

/** Loaded with the first mail, and with it what speaks TLS. */
const conversation = () => import("./conversation.ts");
