import type { Awaitable } from "../store/records.ts";
import type { Mail, Mailer } from "./mailer.ts";

/** A mail that reached the development mailbox. */
export type ReceivedMail = {
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string | undefined;
  /** When it was queued, milliseconds since the Unix epoch. */
  readonly at: number;
  /** The login link in the text, if there is one. */
  readonly link?: string;
  /** The login code in the text, as shown: XXXX-XXXX. */
  readonly code?: string;
};

export type Mailbox = Mailer & {
  /** Newest first. Later, where another process keeps them. */
  mails(): Awaitable<readonly ReceivedMail[]>;
};

export type LocalMailbox = Mailer & { mails(): readonly ReceivedMail[] };

const CAPACITY = 50;

/**
 * The development mailbox: keeps the last 50 mails in memory and sends nothing anywhere.
 * @param settings.onMail called with each mail as it arrives, for the terminal.
 */
export function createMailbox(
  settings: { readonly onMail?: (mail: ReceivedMail) => void } = {},
): LocalMailbox {
  let mails: readonly ReceivedMail[] = [];
  return {
    async send(sent) {
      const mail = received(sent);
      mails = [mail, ...mails].slice(0, CAPACITY);
      settings.onMail?.(mail);
    },
    mails: () => mails,
  };
}

function received({ to, subject, text, html, queuedAt }: Mail): ReceivedMail {
  const link = /https?:\/\/\S+[?&]token=\S+/.exec(text)?.[0];
  // Not the part of a token that looks like one.
  const code = /(?<![\w.-])[0-9A-Z]{4}-[0-9A-Z]{4}(?![\w-])/.exec(text)?.[0];
  return {
    to,
    subject,
    text,
    html,
    at: queuedAt,
    ...(link === undefined ? {} : { link }),
    ...(code === undefined ? {} : { code }),
  };
}
