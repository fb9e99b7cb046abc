import { SMTPServer } from "smtp-server";

/** A mail server on the simulation's own machine, which gives each mail to whoever it is for. */
export type Mail = { readonly token: string; readonly code: string };

export type PostOffice = {
  /** The next mail to an address that is not there yet when it is called; undefined if none comes in time. */
  next(address: string, withinMs: number): Promise<Mail | undefined>;
  stop(): void;
};

export const MAIL_PORT = 2525;

export async function startPostOffice(
  host: string,
  certificate: { key: string; cert: string },
  onMail: (address: string) => void,
  onTwice: () => void,
): Promise<PostOffice> {
  const waiting = new Map<string, (mail: Mail) => void>();
  const seen = new Map<string, Set<string>>();
  const server = new SMTPServer({
    ...certificate,
    authOptional: true,
    disableReverseLookup: true,
    async onData(stream, session, done) {
      const chunks: Uint8Array[] = [];
      try {
        for await (const chunk of stream) chunks.push(chunk);
      } catch {
        // The sender was killed.
        return;
      }
      const text = Buffer.concat(chunks).toString("latin1");
      for (const { address } of session.envelope.rcptTo) {
        const mail = readMail(text);
        // A notice about somebody's sessions is theirs, however late.
        if (mail === undefined) continue;
        onMail(address);
        const tokens = seen.get(address) ?? new Set();
        // One that was accepted and could not be marked as sent is sent again.
        if (tokens.has(mail.token)) {
          onTwice();
          continue;
        }
        seen.set(address, tokens.add(mail.token));
        waiting.get(address)?.(mail);
      }
      done(null, "2.0.0 taken");
    },
  });
  server.on("error", () => {});
  await new Promise<void>((resolve) => server.listen(MAIL_PORT, host, resolve));
  return {
    async next(address, withinMs) {
      const { promise, resolve } = Promise.withResolvers<Mail | undefined>();
      const timer = setTimeout(() => resolve(undefined), withinMs);
      waiting.set(address, resolve);
      const mail = await promise;
      clearTimeout(timer);
      // One that nobody awaited any more ends late, when another waits.
      if (waiting.get(address) === resolve) waiting.delete(address);
      return mail;
    },
    stop: () => server.close(() => {}),
  };
}

/** Of a login mail, which is quoted-printable (RFC 2045 §6.7). */
function readMail(message: string): Mail | undefined {
  const text = message
    .replace(/=\r?\n/g, "")
    .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  const token = /[?&]token=([\w.-]+)/.exec(text)?.[1];
  const code = /^ +([0-9]{4} [0-9]{4})\r?$/m.exec(text)?.[1];
  return token === undefined || code === undefined ? undefined : { token, code };
}
