import { afterAll, describe, expect, test } from "bun:test";
import { parseAddress } from "../../src/identity/address.ts";
import { verifyBackends } from "../../src/mail/backends.ts";
import { composeMail } from "../../src/mail/compose.ts";
import type { SmtpSettings } from "../../src/mail/conversation.ts";
import { type Mail, MailError } from "../../src/mail/mailer.ts";
import type { SmtpConfig } from "../../src/mail/settings.ts";
import { createSmtpMailer } from "../../src/mail/smtp.ts";
import { makeCertificate } from "../support/certificate.ts";
import { CREDENTIALS, emailConfig, type SmtpSetup, startScript, startSmtp } from "../support/smtp.ts";
import { mailOf } from "./support.ts";

/** Long enough for a handshake on a busy machine, short enough to wait for a server that hangs. */
const HANGING = { setupTimeout: 600, idleTimeout: 900 } as const;

const started: { stop(): unknown }[] = [];
afterAll(async () => {
  for (const server of started.splice(0)) await server.stop();
});

async function peer(setup: SmtpSetup = {}) {
  const server = await startSmtp(setup);
  started.push(server);
  return server;
}

async function script(answer: (line: string) => string | undefined) {
  const server = await startScript(answer);
  started.push(server);
  return server;
}

const send = (config: SmtpConfig, settings: SmtpSettings, changes: Partial<Mail> = {}) =>
  createSmtpMailer(config, settings).send(mailOf(changes));

async function failure(sending: Promise<unknown>): Promise<MailError> {
  const error = await sending.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof MailError)) throw new Error(`expected a MailError, got ${error}`);
  return error;
}

describe.concurrent("a mail that is sent", () => {
  test("goes over STARTTLS with AUTH, from and to the exact addresses", async () => {
    const server = await peer();
    await send(emailConfig(server.port), { ca: server.ca });
    expect(server.messages).toHaveLength(1);
    expect(server.messages[0]).toMatchObject({
      from: "login@runegate.test",
      to: ["ann@example.org"],
      secure: true,
      user: CREDENTIALS.user,
    });
    expect(server.logins).toEqual([CREDENTIALS.user]);
  });

  test("goes over implicit TLS", async () => {
    const server = await peer({ tls: "implicit" });
    await send(emailConfig(server.port, { tls: "implicit" }), { ca: server.ca });
    expect(server.messages[0]).toMatchObject({ secure: true, user: CREDENTIALS.user });
  });

  test("goes in the clear, without a login, where the configuration says so", async () => {
    const server = await peer({ tls: "none", auth: false });
    await send(emailConfig(server.port, { tls: "none", user: undefined, pass: undefined }), {});
    expect(server.messages[0]).toMatchObject({ secure: false, user: undefined, to: ["ann@example.org"] });
  });

  test("has the headers that it should have", async () => {
    const server = await peer();
    const config = emailConfig(server.port, { replyTo: parseAddress("help@runegate.test") });
    await send(config, { ca: server.ca }, { messageId: "<77@runegate.test>" });
    const headers = headersOf(server.messages[0]?.raw);
    expect(headers).toMatchObject({
      from: "Runegate <login@runegate.test>",
      to: "ann@example.org",
      "reply-to": "help@runegate.test",
      subject: "Your sign-in link",
      "message-id": "<77@runegate.test>",
      date: "Tue, 15 Jan 2030 12:30:00 +0000",
      "auto-submitted": "auto-generated",
      "x-auto-response-suppress": "All",
      "mime-version": "1.0",
    });
    expect(headers["content-type"]).toStartWith("multipart/alternative;");
  });

  const link = `https://gate.example/auth?token=${"x".repeat(300)}`;
  test.each([
    [
      "plain ASCII with a long link",
      `Hello,\n\n${link}\n.\n.leading dot\nfrom here \nBcc: x\n`,
      `<p>${link}</p>\n`,
    ],
    ["more than ASCII", `Grüße ✓\n\n${link}\n= 100 %\n`, `<p>Grüße = ✓ ${link}</p>\n`],
  ])("has a text and an HTML part that decode to what was written: %s", async (_, text, html) => {
    const server = await peer();
    await send(emailConfig(server.port), { ca: server.ca }, { text, html });
    expect(partsOf(server.messages[0]?.raw)).toEqual([
      { type: "text/plain; charset=utf-8", content: text },
      { type: "text/html; charset=utf-8", content: html },
    ]);
  });

  test("leaves an internationalized domain in its ASCII form on the wire", async () => {
    // Asked before sending: the test server shows domains in their Unicode form, whatever it is told.
    const { envelope, message } = await composeMail(
      emailConfig(25),
      mailOf({ to: parseAddress("ann@bücher.example") }),
    );
    expect(envelope.to as string).toBe("ann@xn--bcher-kva.example");
    expect(headersOf(message.toString()).to).toBe("ann@xn--bcher-kva.example");
  });
});

describe.concurrent("nothing in a mail can add a header", () => {
  const EXPECTED = [
    "auto-submitted",
    "content-type",
    "date",
    "from",
    "message-id",
    "mime-version",
    "subject",
    "to",
    "x-auto-response-suppress",
  ];
  test.each<[string, Partial<Mail>, Partial<SmtpConfig>]>([
    ["subject, CRLF", { subject: "Hi\r\nBcc: eve@example.net" }, {}],
    ["subject, LF", { subject: "Hi\nBcc: eve@example.net" }, {}],
    ["subject, empty line", { subject: "Hi\r\n\r\n<script>" }, {}],
    ["subject that looks like a header", { subject: "Bcc: eve@example.net" }, {}],
    ["subject, line separator", { subject: "Hi\u2028Bcc: eve@example.net" }, {}],
    ["subject, very long", { subject: `${"word ".repeat(300)}\r\nBcc: eve@example.net` }, {}],
    ["subject, not ASCII", { subject: "Grüße ✓\r\nBcc: eve@example.net" }, {}],
    ["text", { text: "Bcc: eve@example.net\r\n\r\nhello" }, {}],
    ["message id", { messageId: "<1@x>\r\nBcc: eve@example.net" }, {}],
    ["sender's name, CRLF", {}, { from: sender("Gate\r\nBcc: eve@example.net") }],
    ["sender's name, quotes and angles", {}, { from: sender('Gate" <eve@example.net>, "x') }],
    ["sender's name, not ASCII", {}, { from: sender("Türsteher\nBcc: eve@example.net") }],
  ])("%s", async (_, mail, config) => {
    const server = await peer();
    await send(emailConfig(server.port, config), { ca: server.ca }, mail);
    const message = server.messages[0];
    expect(message?.to).toEqual(["ann@example.org"]);
    expect(message?.from).toBe("login@runegate.test");
    expect(Object.keys(headersOf(message?.raw)).sort()).toEqual(EXPECTED);
    expect(headersOf(message?.raw).from).toEndWith("<login@runegate.test>");
  });

  test("a subject that is not ASCII is encoded, and still says the same", async () => {
    const server = await peer();
    await send(emailConfig(server.port), { ca: server.ca }, { subject: "Ihr Schlüssel für Bücher ✓" });
    const { subject = "" } = headersOf(server.messages[0]?.raw);
    expect(subject).toMatch(/^=\?UTF-8\?Q\?[\x21-\x7e ]+$/);
    expect(decodeWords(subject)).toBe("Ihr Schlüssel für Bücher ✓");
  });

  test.each([
    "ann@example.org\r\nRCPT TO:<eve@example.net>",
    "ann@example.org, eve@example.net",
    "ann@example.org>\r\n<eve@example.net",
    "Ann <ann@example.org>",
    "",
  ])("the recipient %j never reaches a server", async (to) => {
    const server = await peer();
    const error = await failure(send(emailConfig(server.port), { ca: server.ca }, { to }));
    expect(error.permanent).toBe(true);
    expect(server.connections()).toBe(0);
  });
});

describe.concurrent("TLS", () => {
  test("a server without STARTTLS gets no credentials and no mail", async () => {
    const server = await peer({ tls: "none" });
    const error = await failure(send(emailConfig(server.port), { ca: server.ca }));
    expect(error).toMatchObject({ permanent: false, misconfigured: true });
    expect(error.reason).toContain("offers no STARTTLS");
    expect(server.logins).toEqual([]);
    expect(server.messages).toEqual([]);
  });

  test("nor does one whose STARTTLS was cut out of its answers on the way", async () => {
    const server = await script((line) => {
      if (line === "") return "220 mx.example ESMTP";
      if (line.startsWith("EHLO")) return "250-mx.example\r\n250 AUTH PLAIN LOGIN";
      return "235 2.7.0 ok";
    });
    await failure(send(emailConfig(server.port), HANGING));
    expect(server.lines.filter((line) => /AUTH|MAIL|RCPT|DATA/.test(line))).toEqual([]);
  });

  const minutes = (count: number) => new Date(Date.now() + count * 60_000);
  test.each<[string, SmtpSetup, boolean, string]>([
    ["untrusted", {}, false, "is not trusted"],
    ["expired", { certificate: makeCertificate({ notAfter: minutes(-1) }) }, true, "has expired"],
    ["not valid yet", { certificate: makeCertificate({ notBefore: minutes(60) }) }, true, "is not valid yet"],
    [
      "for another name",
      { certificate: makeCertificate({ addresses: ["127.0.0.9"] }) },
      true,
      "another name",
    ],
  ])("a certificate that is %s is refused before any credential is sent", async (_, setup, trust, reason) => {
    for (const tls of ["starttls", "implicit"] as const) {
      const server = await peer({ ...setup, tls });
      const error = await failure(send(emailConfig(server.port, { tls }), trust ? { ca: server.ca } : {}));
      expect(error.reason).toContain(reason);
      expect(error).toMatchObject({ permanent: false, misconfigured: true });
      expect(server.logins).toEqual([]);
      expect(server.messages).toEqual([]);
    }
  });
});

describe.concurrent("a mail that is not sent says why, and whether trying again may help", () => {
  const temporary = { permanent: false, misconfigured: false };
  const misconfigured = { permanent: false, misconfigured: true };
  const permanent = { permanent: true, misconfigured: false };
  const reply = (code: number, text: string) => ({ code, text });

  test.each<[string, SmtpSetup, object, string]>([
    [
      "recipient refused",
      { refuseRecipient: () => reply(550, "5.1.1 no such user") },
      permanent,
      "550 5.1.1 no such user",
    ],
    [
      "recipient deferred",
      { refuseRecipient: () => reply(451, "4.7.1 later") },
      temporary,
      "451 4.7.1 later",
    ],
    ["message refused", { refuseMessage: reply(554, "5.7.1 spam") }, permanent, "554 5.7.1 spam"],
    ["message deferred", { refuseMessage: reply(452, "4.3.1 full") }, temporary, "452 4.3.1 full"],
    ["wrong state", { refuseMessage: reply(503, "5.5.1 sequence") }, temporary, "503 5.5.1 sequence"],
    [
      "sender refused",
      { refuseSender: reply(553, "5.7.1 not yours") },
      misconfigured,
      "sender login@runegate.test: 553",
    ],
    ["sender deferred", { refuseSender: reply(450, "4.7.1 slow down") }, temporary, "450 4.7.1"],
    ["login wanted", { refuseSender: reply(530, "5.7.0 login first") }, misconfigured, "wants a login first"],
    ["cut off after the message", { dropAfterData: true }, temporary, "closed the connection"],
    ["hangs after the message", { hangAfterData: () => true }, temporary, "stopped answering"],
    ["hangs at the greeting", { hangAtGreeting: true }, temporary, "sent no greeting"],
  ])("%s", async (_, setup, kind, reason) => {
    const server = await peer(setup);
    const { setupTimeout, idleTimeout } = HANGING;
    // Only the one that ends it: on a busy machine what comes before takes its time.
    const settings = {
      ca: server.ca,
      ...(setup.hangAtGreeting ? { setupTimeout } : {}),
      ...(setup.hangAfterData ? { idleTimeout } : {}),
    };
    const error = await failure(send(emailConfig(server.port), settings));
    expect(error).toMatchObject({ code: "mail_failed", ...kind });
    expect(error.reason).toContain(reason);
    expect(server.messages).toEqual([]);
  });

  test("wrong password", async () => {
    const server = await peer();
    const error = await failure(
      send(emailConfig(server.port, { pass: "wrong-password" }), { ca: server.ca }),
    );
    expect(error).toMatchObject(misconfigured);
    expect(error.reason).toContain("did not accept the login of mailer@runegate.test: 535");
    expect(error.reason + error.remedy).not.toContain("wrong-password");
  });

  test("login wanted of a server that offers none", async () => {
    const server = await peer({ auth: false });
    const error = await failure(send(emailConfig(server.port), { ca: server.ca }));
    expect(error).toMatchObject(misconfigured);
    expect(error.reason).toContain("offers no login");
  });

  test("a host that does not exist", async () => {
    const error = await failure(send(emailConfig(587, { host: "mail.runegate.invalid" }), {}));
    expect(error).toMatchObject(temporary);
    expect(error.reason).toContain("mail.runegate.invalid was not found");
  });

  test("a server that is away, and is back", async () => {
    const server = await peer();
    await server.away();
    const error = await failure(send(emailConfig(server.port), { ca: server.ca }));
    expect(error).toMatchObject(temporary);
    expect(error.reason).toContain("refused the connection");
    await server.back();
    await send(emailConfig(server.port), { ca: server.ca });
    expect(server.messages).toHaveLength(1);
  });

  test("a server that trickles gets no longer than the whole conversation may take", async () => {
    let ticks: ReturnType<typeof setInterval> | undefined;
    const server = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        open(socket) {
          socket.write("220 mx.example ESMTP\r\n");
          ticks = setInterval(() => socket.write("250-still here\r\n"), 20);
        },
        data() {},
        close() {
          clearInterval(ticks);
        },
      },
    });
    started.push({ stop: () => server.stop(true) });
    const error = await failure(
      send(emailConfig(server.port, { tls: "none" }), { ...HANGING, totalTimeout: 400 }),
    );
    expect(error).toMatchObject(temporary);
    expect(error.reason).toBe("The conversation was not over within 0.4 s.");
  });

  test("a server that repeats what it heard puts no secret into the reason", async () => {
    const plain = Buffer.from(`\0${CREDENTIALS.user}\0${CREDENTIALS.pass}`).toString("base64");
    const echoes = `${CREDENTIALS.pass} ${plain} https://gate.example/auth?token=s3cret eyJhbGciOiJ.eyJzdWIi.sig ABCD-2345`;
    const server = await peer({ refuseMessage: { code: 554, text: `5.7.1 no: ${echoes}` } });
    const error = await failure(send(emailConfig(server.port), { ca: server.ca }));
    expect(error.reason).toEndWith("554 5.7.1 no: *** *** https://gate.example/auth?*** *** ***");
  });
});

describe.concurrent("trying a server", () => {
  test("connects, encrypts, logs in, and sends nothing", async () => {
    const server = await peer();
    const verdict = await verifyBackends([createSmtpMailer(emailConfig(server.port), { ca: server.ca })]);
    expect(verdict).toEqual({
      ok: true,
      lines: [
        `Connected to 127.0.0.1:${server.port}.`,
        expect.stringMatching(/^Encrypted with TLSv1\.[23] \(TLS_\w+\); the certificate is trusted\.$/),
        "Logged in as mailer@runegate.test.",
      ],
    });
    expect(server.messages).toEqual([]);
    expect(server.recipients).toEqual([]);
  });

  test("says how far it got, why it stopped and what to do", async () => {
    const server = await peer();
    const config = emailConfig(server.port, { pass: "wrong-password" });
    const verdict = await verifyBackends([createSmtpMailer(config, { ca: server.ca })]);
    expect(verdict).toEqual({
      ok: false,
      lines: [
        `Connected to 127.0.0.1:${server.port}.`,
        expect.stringMatching(/^Encrypted with /),
        expect.stringContaining("did not accept the login of mailer@runegate.test: 535"),
        expect.stringContaining("Check smtp_user and smtp_pass."),
      ],
    });
  });
});

function sender(name: string): SmtpConfig["from"] {
  return { name, address: parseAddress("login@runegate.test") };
}

/** The header of a message: names in lower case, folded lines joined. */
function headersOf(raw = ""): Record<string, string> {
  const header = raw.slice(0, raw.indexOf("\r\n\r\n")).replace(/\r\n[ \t]+/g, " ");
  return Object.fromEntries(
    header.split("\r\n").map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
}

/** The parts of a multipart/alternative message, decoded. */
function partsOf(raw = ""): { type: string | undefined; content: string }[] {
  const boundary = /boundary="([^"]+)"/.exec(headersOf(raw)["content-type"] ?? "")?.[1];
  return raw
    .split(`--${boundary}`)
    .slice(1, -1)
    .map((part) => part.replace(/^\r\n/, "").replace(/\r\n$/, ""))
    .map((part) => ({
      type: headersOf(part)["content-type"],
      content: decodeQuotedPrintable(part.slice(part.indexOf("\r\n\r\n") + 4)).replaceAll("\r\n", "\n"),
    }));
}

/** RFC 2045 §6.7. */
function decodeQuotedPrintable(text: string): string {
  const bytes = text
    .replace(/=\r\n/g, "")
    .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, "latin1").toString("utf8");
}

/** RFC 2047 §4.2, the Q encoding. */
function decodeWords(text: string): string {
  return text
    .replace(/\?= =\?UTF-8\?Q\?/g, "")
    .replace(/=\?UTF-8\?Q\?(.*?)\?=/g, (_, word: string) => decodeQuotedPrintable(word.replaceAll("_", " ")));
}
