import type { OutboxEntry } from "./waiting.ts";

/** What a mail says. */
export type MailContent = {
  readonly subject: string;
  readonly text: string;
  readonly html: string | undefined;
};

/** A mail as it is sent. */
export type Mail = Pick<OutboxEntry, "to" | "messageId" | "queuedAt"> &
  MailContent & {
    /** A PNG, if the HTML shows it (`logo.ts`). */
    readonly logo?: Buffer | undefined;
  };

/** Hands one mail on: to a mail server or service, or in development to a mailbox in memory. */
export type Mailer = {
  /**
   * Resolves once the next server has taken responsibility for the mail.
   * @throws {MailError}
   */
  send(mail: Mail): Promise<Receipt>;
};

/** Who has taken a mail. */
export type Receipt = {
  /** Name of the back-end. */
  readonly by: string;
  /** What it said, with the id that it knows the mail by; one line, fit for a log. */
  readonly words: string;
};

/** One of the back-ends of `email.toml`. */
export type BackendMailer = {
  readonly name: string;
  /** Where it is, for people. */
  readonly address: string;
  /** @param onStep gets a sentence for an operator after each step. @throws {MailError} */
  send(mail: Mail, onStep?: (step: string) => void): Promise<Receipt>;
  /** Tries it as far as that goes without a mail. @throws {MailError} */
  verify(onStep: (step: string) => void): Promise<void>;
};

export class MailError extends Error {
  readonly code = "mail_failed";
  /** One sentence for an operator. Holds neither credentials nor anything from the mail's body. */
  readonly reason: string;
  /** What the operator can do about it, in one or more sentences. */
  readonly remedy: string;
  /** True if the server refused this recipient or this mail for good: trying again is no use. */
  readonly permanent: boolean;
  /** True if every mail will fail like this one until somebody changes the configuration. */
  readonly misconfigured: boolean;
  constructor(failure: Pick<MailError, "reason" | "remedy" | "permanent" | "misconfigured">) {
    super(failure.reason);
    this.reason = failure.reason;
    this.remedy = failure.remedy;
    this.permanent = failure.permanent;
    this.misconfigured = failure.misconfigured;
  }
}

/** One that may pass by itself. */
export function temporary(reason: string, remedy: string): MailError {
  return new MailError({ reason, remedy, permanent: false, misconfigured: false });
}

export function misconfigured(reason: string, remedy: string): MailError {
  return new MailError({ reason, remedy, permanent: false, misconfigured: true });
}

export function permanent(reason: string, remedy: string): MailError {
  return new MailError({ reason, remedy, permanent: true, misconfigured: false });
}
