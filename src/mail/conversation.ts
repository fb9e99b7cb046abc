import { rootCertificates, TLSSocket } from "node:tls";
import type { SMTPConnectionOptions } from "nodemailer/lib/smtp-connection";
import type { ComposedMail } from "./compose.ts";
import { conversationTimeout, diagnose, noAuthOffered } from "./diagnosis.ts";
import { printable } from "./printable.ts";
import type { SmtpConfig } from "./settings.ts";

export type SmtpSettings = {
  /** Milliseconds for finding the host, connecting, the greeting and TLS together. */
  readonly setupTimeout?: number;
  /** Milliseconds without a word from the server. */
  readonly idleTimeout?: number;
  /** Milliseconds for one whole conversation: a server that trickles gets no further than this. */
  readonly totalTimeout?: number;
  /** A certificate (PEM) to trust besides the usual authorities. */
  readonly ca?: string;
};

const SETUP_TIMEOUT = 15_000;
const IDLE_TIMEOUT = 30_000;
const TOTAL_TIMEOUT = 60_000;
/** For the server's part in closing the connection, which changes nothing any more. */
const CLOSE_TIMEOUT = 1_000;

/**
 * One SMTP conversation (RFC 5321): connect, STARTTLS (RFC 3207) unless configured otherwise, AUTH (RFC 4954) if there
 * is a user, the mail if there is one, QUIT. Credentials are never sent before TLS is up, save where `smtp_tls` is
 * `none`. Ends within the timeouts whatever the server does.
 * @param onStep called with a sentence for an operator after each step.
 * @returns the server's words about the mail, if there was one.
 * @throws {MailError}
 */
export async function converse(
  config: SmtpConfig,
  settings: SmtpSettings,
  mail: ComposedMail | undefined,
  onStep: (step: string) => void = () => {},
): Promise<string> {
  // As late as `compose.ts` does it.
  const { default: SMTPConnection } = await import("nodemailer/lib/smtp-connection");
  const connection = new SMTPConnection(connectionOptions(config, settings));
  const total = settings.totalTimeout ?? TOTAL_TIMEOUT;
  let deadline: ReturnType<typeof setTimeout> | undefined;
  const broken = new Promise<never>((_, reject) => {
    // Stays attached to the end: a connection that fails after the mail was accepted fails nobody.
    connection.on("error", reject);
    deadline = setTimeout(() => reject(conversationTimeout(total)), total);
  });
  let connected = false;
  let words = "";
  const sayConnected = () => {
    if (connected || connection.stage !== "connected") return;
    connected = true;
    onStep(`Connected to ${config.host}:${config.port}.`);
  };
  try {
    await Promise.race([broken, called((done) => connection.connect(done))]);
    sayConnected();
    const socket = connection._socket;
    if (socket instanceof TLSSocket) {
      const protocol = socket.getProtocol() ?? "TLS";
      onStep(`Encrypted with ${protocol} (${socket.getCipher().name}); the certificate is trusted.`);
    }
    if (config.user !== undefined) {
      if (!connection.allowsAuth) throw noAuthOffered(config);
      const credentials = { user: config.user, pass: config.pass ?? "" };
      await Promise.race([broken, called((done) => connection.login({ credentials }, done))]);
      onStep(`Logged in as ${config.user}.`);
    }
    if (mail !== undefined) {
      const envelope = { from: mail.envelope.from, to: mail.envelope.to, size: mail.message.length };
      const info = await Promise.race([
        broken,
        called<{ response: string }>((done) => connection.send(envelope, mail.message, done)),
      ]);
      words = printable(info?.response ?? "", config);
      onStep(`The server accepted the mail: ${words}`);
    }
    connection.quit();
    setTimeout(() => connection.close(), CLOSE_TIMEOUT).unref();
    return words;
  } catch (error) {
    sayConnected();
    connection.close();
    throw diagnose(error, config);
  } finally {
    clearTimeout(deadline);
  }
}

/** A callback of the `(error, result)` kind as a promise. */
function called<T>(call: (done: (error?: Error | null, result?: T) => void) => void): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    call((error, result) => (error ? reject(error) : resolve(result)));
  });
}

function connectionOptions(config: SmtpConfig, settings: SmtpSettings): SMTPConnectionOptions {
  const setup = settings.setupTimeout ?? SETUP_TIMEOUT;
  return {
    host: config.host,
    port: config.port,
    secure: config.tls === "implicit",
    requireTLS: config.tls === "starttls",
    ignoreTLS: config.tls === "none",
    connectionTimeout: setup,
    greetingTimeout: setup,
    dnsTimeout: setup,
    socketTimeout: settings.idleTimeout ?? IDLE_TIMEOUT,
    socketCloseTimeout: CLOSE_TIMEOUT,
    // Logs of the conversation would hold the mail and its link.
    logger: false,
    tls: {
      minVersion: "TLSv1.2",
      rejectUnauthorized: true,
      ...(settings.ca === undefined ? {} : { ca: [...rootCertificates, settings.ca] }),
    },
  };
}
