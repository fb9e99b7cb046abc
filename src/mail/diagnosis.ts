import { isIP } from "node:net";
import type { NodemailerError } from "nodemailer";
import { MailError, misconfigured, permanent, temporary } from "./mailer.ts";
import { printable } from "./printable.ts";
import type { SmtpConfig } from "./settings.ts";

/**
 * What went wrong in an SMTP conversation, in words: a reason for the log and a remedy for whoever set the server up.
 *
 * Only what the server says about this recipient or this message, with a 5yz reply (RFC 5321 §4.2.1), is permanent. A
 * refused password, sender or certificate is not: an operator may put it right while the mail is still of use.
 */

/** Any error of a conversation as a {@link MailError}. */
export function diagnose(error: unknown, config: SmtpConfig): MailError {
  if (error instanceof MailError) return error;
  // nodemailer adds these fields to whatever error it passes on; each of them may be missing.
  const smtp: NodemailerError = error instanceof Error ? error : new Error(String(error));
  return (
    ofNetwork(smtp, config) ??
    ofTls(smtp, config) ??
    ofReply(smtp, config) ??
    temporary(
      `The conversation with ${serverName(config)} failed: ${printable(smtp.message, config)}`,
      "Try again; if it stays, look into the mail server's log.",
    )
  );
}

/** The whole conversation took longer than it may. */
export function conversationTimeout(milliseconds: number): MailError {
  return temporary(
    `The conversation was not over within ${seconds(milliseconds)}.`,
    "The mail server is very slow or overloaded: look into its log, or try again later.",
  );
}

/** There is a user to log in with, but the server offers no way to. */
export function noAuthOffered(config: SmtpConfig): MailError {
  return misconfigured(
    `${serverName(config)} offers no login.`,
    "If this server takes mail without a login, remove smtp_user and smtp_pass; otherwise use its submission port (587 or 465).",
  );
}

function ofNetwork(error: NodemailerError, config: SmtpConfig): MailError | undefined {
  const server = serverName(config);
  if (error.code === "EDNS") {
    return temporary(
      `The host name ${config.host} was not found (${systemCode(error)}).`,
      "Check smtp_host for a misspelling, and that this machine can resolve names.",
    );
  }
  if (error.code === "ETIMEDOUT") return ofTimeout(error, config);
  switch (systemCode(error)) {
    case "ECONNREFUSED":
      return temporary(
        `${server} refused the connection.`,
        "Check smtp_host and smtp_port (587 for STARTTLS, 465 for implicit TLS), and that the mail server is running.",
      );
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return temporary(
        `${server} cannot be reached from this machine (${systemCode(error)}).`,
        "Check this machine's network and firewall.",
      );
    case "ECONNRESET":
    case "EPIPE":
      return closed(config);
  }
  return error.code === "ECONNECTION" && error.responseCode === undefined ? closed(config) : undefined;
}

function closed(config: SmtpConfig): MailError {
  return temporary(
    `${serverName(config)} closed the connection unexpectedly.`,
    'Try again. If it stays, the port may expect another kind of TLS (smtp_tls = "implicit" goes with port 465, "starttls" with 587), or the server turns this machine away: look into its log.',
  );
}

function ofTimeout(error: NodemailerError, config: SmtpConfig): MailError {
  const server = serverName(config);
  switch (error.timeoutType) {
    case "CONNECT_TIMEOUT":
      return temporary(
        `${server} did not answer: the connection timed out.`,
        "Check smtp_host and smtp_port. Many VPS providers block outgoing mail ports: ask yours to open this one, or use another that your mail service offers, often 2525.",
      );
    case "GREETING_TIMEOUT":
      return temporary(
        `${server} took the connection but sent no greeting.`,
        config.tls === "implicit"
          ? "Check that smtp_host and smtp_port are those of a mail server."
          : 'If the port expects TLS from the first byte, as 465 does, set smtp_tls = "implicit". Otherwise the server is hanging: look into its log.',
      );
    case "UPGRADE_TIMEOUT":
      return temporary(
        `${server} agreed to STARTTLS but did not finish the TLS handshake.`,
        'Try again; if it stays, try smtp_tls = "implicit" with port 465.',
      );
    default:
      return temporary(
        `${server} stopped answering in the middle of the conversation.`,
        "Try again; if it stays, look into the mail server's log.",
      );
  }
}

const UNTRUSTED: ReadonlySet<string> = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "CERT_UNTRUSTED",
]);

function ofTls(error: NodemailerError, config: SmtpConfig): MailError | undefined {
  const server = serverName(config);
  const code = systemCode(error);
  if (error.command === "STARTTLS" || (error.command === "EHLO" && config.tls === "starttls")) {
    return misconfigured(
      `${server} offers no STARTTLS, and without TLS nothing is sent to it.`,
      'Try smtp_tls = "implicit" with port 465, or the submission port 587 if another is set.',
    );
  }
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    return misconfigured(
      `The TLS certificate of ${server} is for another name.`,
      isIP(config.host) === 0
        ? "Set smtp_host to a name that is in the certificate, usually the one the mail service documents."
        : "Set smtp_host to the server's name instead of its IP address.",
    );
  }
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID") {
    return misconfigured(
      `The TLS certificate of ${server} ${code === "CERT_HAS_EXPIRED" ? "has expired" : "is not valid yet"}.`,
      "Renew the mail server's certificate, and check that this machine's clock is right.",
    );
  }
  if (UNTRUSTED.has(code)) {
    return misconfigured(
      `The TLS certificate of ${server} is not trusted (${code}).`,
      "Check that smtp_host is the right server. If it uses an authority of your own, start Runegate with NODE_EXTRA_CA_CERTS set to that authority's certificate file (PEM).",
    );
  }
  if (code === "ERR_SSL_WRONG_VERSION_NUMBER" || code === "ERR_SSL_PACKET_LENGTH_TOO_LONG") {
    return misconfigured(
      `${server} does not speak TLS from the first byte.`,
      'Set smtp_tls = "starttls" with port 587, or use port 465.',
    );
  }
  if (error.code === "ETLS" || code.startsWith("ERR_SSL_") || code.startsWith("ERR_TLS_")) {
    return misconfigured(
      `The TLS handshake with ${server} failed (${code}).`,
      "The server must speak TLS 1.2 or newer: look into its log.",
    );
  }
  return undefined;
}

/** The server answered with a refusal. */
function ofReply(error: NodemailerError, config: SmtpConfig): MailError | undefined {
  if (error.response === undefined) return undefined;
  const server = serverName(config);
  const said = `: ${printable(error.response, config)}`;
  const isForGood = error.permanent === true;
  if (error.code === "EAUTH") {
    return isForGood
      ? misconfigured(
          `${server} did not accept the login of ${config.user ?? ""}${said}`,
          remedyForLogin(config),
        )
      : temporary(`${server} could not check the login just now${said}`, "Try again later.");
  }
  // RFC 4954 §6: 530 asks for a login first, whichever command it answers.
  if (error.responseCode === 530) {
    return misconfigured(`${server} wants a login first${said}`, "Set smtp_user and smtp_pass.");
  }
  switch (error.command) {
    case "MAIL FROM": {
      const reason = `${server} refused the sender ${config.from.address}${said}`;
      if (!isForGood) return temporary(reason, "Try again later.");
      return misconfigured(
        reason,
        "Set from_address to an address that this account may send from; with most services it must be verified there first.",
      );
    }
    case "RCPT TO": {
      const reason = `${server} refused the recipient${said}`;
      const deferred = "Nothing to do if it passes: servers defer mail from senders they do not know yet.";
      if (!isForGood) return temporary(reason, deferred);
      return permanent(
        reason,
        "Check the address. If the reply speaks of relaying, the server wants a login (smtp_user) or does not know this machine.",
      );
    }
    case "DATA": {
      const reason = `${server} refused the mail${said}`;
      if (!isForGood) return temporary(reason, "Try again later.");
      return permanent(
        reason,
        "The reply says why. If it speaks of spam or policy, check SPF, DKIM and DMARC of the sender's domain.",
      );
    }
    default:
      return temporary(
        `${server} turned the conversation down${said}`,
        "The reply says why; check that smtp_host and smtp_port are those of a mail server.",
      );
  }
}

function remedyForLogin(config: SmtpConfig): string {
  if (/(?:^|\.)(?:gmail|googlemail|google)\.com$/.test(config.host)) {
    return "Gmail takes an app password here, never the account's own: turn on two-step verification, make one at myaccount.google.com/apppasswords, and set it as smtp_pass.";
  }
  return "Check smtp_user and smtp_pass. Some services want an app password or an API key in place of the account's password.";
}

function serverName(config: SmtpConfig): string {
  return `${isIP(config.host) === 6 ? `[${config.host}]` : config.host}:${config.port}`;
}

/** The operating system's or TLS library's code, which nodemailer keeps beside its own. */
function systemCode(error: NodemailerError): string {
  return error.originalCode ?? error.code ?? "";
}

function seconds(milliseconds: number): string {
  return `${milliseconds / 1000} s`;
}
