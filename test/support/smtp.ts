import { createServer, type Server, type Socket } from "node:net";
import { SMTPServer, type SMTPServerOptions } from "smtp-server";
import { parseAddress } from "../../src/identity/address.ts";
import type { SmtpBackend, TlsMode } from "../../src/mail/backend-settings.ts";
import type { EmailConfig, SmtpConfig } from "../../src/mail/settings.ts";
import { makeCertificate } from "./certificate.ts";

/** A real SMTP server on a loopback port that can be told to misbehave, also while it runs. */

export const CREDENTIALS = { user: "mailer@runegate.test", pass: "correct horse battery staple" } as const;

export type SmtpReply = { readonly code: number; readonly text: string };

export type SmtpBehavior = {
  /** Never says the first word. */
  hangAtGreeting?: boolean;
  /** Takes a message for this recipient and never answers. */
  hangAfterData?: (recipient: string) => boolean;
  /** Cuts the connection when it has the message. */
  dropAfterData?: boolean;
  refuseSender?: SmtpReply | undefined;
  refuseRecipient?: ((address: string) => SmtpReply | undefined) | undefined;
  refuseMessage?: SmtpReply | undefined;
};

export type ReceivedMessage = {
  readonly from: string;
  readonly to: readonly string[];
  readonly raw: string;
  readonly secure: boolean;
  /** The user that was logged in. */
  readonly user: string | undefined;
};

export type SmtpPeer = {
  readonly port: number;
  /** What to trust to reach it. */
  readonly ca: string;
  readonly behavior: SmtpBehavior;
  readonly messages: readonly ReceivedMessage[];
  /** Recipients asked for, accepted or not, in order. */
  readonly recipients: readonly string[];
  /** Log-ins tried, right or wrong. */
  readonly logins: readonly string[];
  /** Connections ever made. */
  connections(): number;
  /** Stops listening and cuts all connections; the port stays known. */
  away(): Promise<void>;
  /** Listens on the same port again. */
  back(): Promise<void>;
  stop(): Promise<void>;
};

export type SmtpSetup = SmtpBehavior & {
  tls?: TlsMode;
  /** False: anybody may send. */
  auth?: boolean;
  certificate?: { key: string; cert: string };
  /** Any free one unless given. */
  port?: number;
};

export async function startSmtp(setup: SmtpSetup = {}): Promise<SmtpPeer> {
  const { tls = "starttls", auth = true, certificate = makeCertificate(), ...rest } = setup;
  const { port: wanted = 0, ...behavior } = rest;
  const messages: ReceivedMessage[] = [];
  const recipients: string[] = [];
  const logins: string[] = [];
  const sockets = new Set<Socket>();
  let connections = 0;
  let port = wanted;

  const options: SMTPServerOptions = {
    ...certificate,
    secure: tls === "implicit",
    authOptional: !auth,
    disableReverseLookup: true,
    disabledCommands: [...(tls === "none" ? ["STARTTLS"] : []), ...(auth ? [] : ["AUTH"])],
    allowInsecureAuth: true,
    closeTimeout: 100,
    onConnect: (_session, done) => {
      if (!behavior.hangAtGreeting) done();
    },
    onAuth: (login, _session, done) => {
      logins.push(login.username ?? "");
      if (login.username === CREDENTIALS.user && login.password === CREDENTIALS.pass) {
        return done(null, { user: login.username });
      }
      done(refusal({ code: 535, text: "5.7.8 Username and password not accepted" }));
    },
    onMailFrom: (_address, _session, done) => done(behavior.refuseSender && refusal(behavior.refuseSender)),
    onRcptTo: (address, _session, done) => {
      recipients.push(address.address);
      const refused = behavior.refuseRecipient?.(address.address);
      done(refused && refusal(refused));
    },
    onData: async (stream, session, done) => {
      const chunks: Uint8Array[] = [];
      try {
        for await (const chunk of stream) chunks.push(chunk);
      } catch {
        // The sender was killed in the middle: there is nobody to answer.
        return;
      }
      const to = session.envelope.rcptTo.map((rcpt) => rcpt.address);
      if (to.some((recipient) => behavior.hangAfterData?.(recipient))) return;
      if (behavior.dropAfterData) return cut();
      if (behavior.refuseMessage) return done(refusal(behavior.refuseMessage));
      messages.push({
        from: session.envelope.mailFrom ? session.envelope.mailFrom.address : "",
        to,
        raw: Buffer.concat(chunks).toString("utf8"),
        secure: session.secure,
        user: session.user,
      });
      done(null, "2.0.0 queued as 4711");
    },
  };

  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  let server: SMTPServer;
  const listen = async () => {
    server = new SMTPServer(options);
    // Clients that are refused, time out or are cut off are what these tests are about.
    server.on("error", () => {});
    server.server.on("connection", (socket: Socket) => {
      connections++;
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket));
    });
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    port = portOf(server.server);
  };
  const away = async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    cut();
    await closed;
  };
  await listen();
  return {
    port,
    ca: certificate.cert,
    behavior,
    messages,
    recipients,
    logins,
    connections: () => connections,
    away,
    back: listen,
    stop: away,
  };
}

function refusal(reply: SmtpReply): Error {
  return Object.assign(new Error(reply.text), { responseCode: reply.code });
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("not a TCP server");
  return address.port;
}

/**
 * A server that answers line by line as told, for what no proper SMTP server does.
 * @param answer gets each line a client sends, without its line end, and "" at the start; undefined answers nothing.
 */
export async function startScript(
  answer: (line: string) => string | undefined,
): Promise<{ readonly port: number; readonly lines: readonly string[]; stop(): void }> {
  const lines: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
    const say = (reply: string | undefined) => reply !== undefined && socket.write(`${reply}\r\n`);
    let rest = "";
    socket.on("data", (chunk) => {
      const received = (rest + chunk.toString("latin1")).split("\r\n");
      rest = received.pop() ?? "";
      for (const line of received) {
        lines.push(line);
        say(answer(line));
      }
    });
    say(answer(""));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: portOf(server),
    lines,
    stop() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** An `email.toml` for the server on `port`, and as what speaks to that server takes it. */
export function emailConfig(
  port: number,
  changes: Partial<EmailConfig & SmtpConfig> = {},
): EmailConfig & SmtpConfig {
  const { host = "127.0.0.1", tls = "starttls", dkim, ...others } = changes;
  const { user, pass } = { ...CREDENTIALS, ...changes };
  const backend: SmtpBackend = { kind: "smtp", host, port, tls, user, pass, dkim };
  return {
    path: "email.toml",
    from: { name: "Runegate", address: parseAddress("login@runegate.test") },
    replyTo: undefined,
    subject: "Your sign-in link",
    bodyTemplate: "{login_url} {code}",
    htmlTemplate: undefined,
    backends: [backend],
    ...backend,
    ...others,
  };
}
