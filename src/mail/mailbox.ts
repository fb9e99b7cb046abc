import type { MailboxMail } from "../pages/pages.ts";
import type { Awaitable } from "../store/records.ts";
import type { Mail, Mailer } from "./mailer.ts";

export type Mailbox = Mailer & {
  /** Newest first. Later, where another process keeps them. */
  mails(): Awaitable<readonly MailboxMail[]>;
};

export type LocalMailbox = Mailer & { mails(): readonly MailboxMail[] };

const CAPACITY = 50;

/**
 * The development mailbox: keeps the last 50 mails in memory and sends nothing anywhere.
 * @param settings.onMail called with each mail as it arrives, for the terminal.
 */
export function createMailbox(
  settings: { readonly onMail?: (mail: MailboxMail) => void } = {},
): LocalMailbox {
  let mails: readonly MailboxMail[] = [];
  return {
    async send(sent) {
      const mail = received(sent);
      mails = [mail, ...mails].slice(0, CAPACITY);
      settings.onMail?.(mail);
      return { by: "mailbox", words: "kept" };
    },
    mails: () => mails,
  };
}

function received({ to, subject, text, html, queuedAt }: Mail): MailboxMail {
  const link = /https?:\/\/\S+[?&]token=\S+/.exec(text)?.[0];
  // Not the part of a token that looks like one.
  const code = /(?<![\w.-])(?:[0-9A-Z]{4}-[0-9A-Z]{4}|[0-9]{4} [0-9]{4})(?![\w-])/.exec(text)?.[0];
  return { to, subject, text, html, at: queuedAt, link, code };
}
