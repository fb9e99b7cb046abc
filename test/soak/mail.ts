import type { AddressInfo } from "node:net";
import { SMTPServer } from "smtp-server";

/** A mail server that hands each mail to whoever waits for it, and keeps nothing. */
export type MailServer = {
  readonly port: number;
  /** The next mail to an address. To be called before it is asked for. @throws after `withinMs`. */
  expect(address: string, withinMs: number): Promise<LoginMail>;
  /** How many mails came that nobody waited for: sent twice, or to somebody else. */
  unexpected(): number;
  stop(): Promise<void>;
};

export type LoginMail = { readonly link: string; readonly code: string };

export async function startMailServer(): Promise<MailServer> {
  const waiting = new Map<string, (text: string) => void>();
  let unexpected = 0;
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ["STARTTLS", "AUTH"],
    disableReverseLookup: true,
    closeTimeout: 1000,
    async onData(stream, session, done) {
      const chunks: Uint8Array[] = [];
      for await (const chunk of stream) chunks.push(chunk);
      const text = Buffer.concat(chunks).toString("latin1");
      for (const { address } of session.envelope.rcptTo) {
        const take = waiting.get(address);
        if (take === undefined) unexpected++;
        else take(text);
      }
      done(null, "2.0.0 taken");
    },
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));

  return {
    port: (server.server.address() as AddressInfo).port,

    expect(address, withinMs) {
      const { promise, resolve, reject } = Promise.withResolvers<LoginMail>();
      const timer = setTimeout(() => {
        waiting.delete(address);
        reject(new Error(`no mail for ${address} within ${withinMs} ms`));
      }, withinMs);
      waiting.set(address, (text) => {
        clearTimeout(timer);
        waiting.delete(address);
        resolve(readMail(text));
      });
      return promise;
    },

    unexpected: () => unexpected,

    stop: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

/** Link and code of the text part. */
function readMail(message: string): LoginMail {
  // Quoted-printable (RFC 2045 §6.7): soft line breaks, then octets.
  const text = message
    .replace(/=\r?\n/g, "")
    .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  const link = /https?:\/\/\S+?[?&]token=[\w.-]+/.exec(text)?.[0];
  const code = /^ +([0-9]{4} [0-9]{4})\r?$/m.exec(text)?.[1];
  if (link === undefined || code === undefined) throw new Error(`a mail without link or code:\n${message}`);
  return { link, code };
}
