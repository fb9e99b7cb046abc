import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UsageError } from "../../src/commands/command.ts";
import { runCommand } from "../../src/commands/run.ts";
import { sendEmail, sendTestMail } from "../../src/commands/send-email.ts";
import { parseAddress } from "../../src/identity/address.ts";
import { main } from "../../src/main.ts";
import { makeCertificate } from "../support/certificate.ts";
import { emailConfig, type SmtpPeer, type SmtpSetup, startSmtp } from "../support/smtp.ts";

const started: { stop(): unknown }[] = [];
const directory = mkdtempSync(join(tmpdir(), "runegate-send-email-"));
afterAll(async () => {
  rmSync(directory, { recursive: true });
  for (const server of started) await server.stop();
});

async function peer(setup: SmtpSetup = {}): Promise<SmtpPeer> {
  const server = await startSmtp(setup);
  started.push(server);
  return server;
}

function recordingIo(env: Record<string, string> = {}) {
  const out: string[] = [];
  const err: string[] = [];
  return {
    out,
    err,
    io: { out: (line: string) => void out.push(line), err: (line: string) => void err.push(line), env },
  };
}

const TO = parseAddress("you@example.org");

describe.concurrent("what the server does, in words", () => {
  test("all is well", async () => {
    const server = await peer();
    const { out, err, io } = recordingIo();
    const settings = { ca: server.ca };
    const { code } = await sendTestMail(emailConfig(server.port), "https://gate.example", TO, io, settings);
    expect(code).toBe(0);
    expect(err).toEqual([]);
    expect(out).toEqual([
      "Sending a test mail to you@example.org, with the settings in email.toml:",
      `127.0.0.1:${server.port}, STARTTLS, from login@runegate.test.`,
      `  ok  Connected to 127.0.0.1:${server.port}.`,
      expect.stringMatching(/^ {2}ok {2}Encrypted with TLSv1\.\d \(\w+\); the certificate is trusted\.$/),
      "  ok  Logged in as mailer@runegate.test.",
      "  ok  The server accepted the mail: 250 2.0.0 queued as 4711",
      expect.stringContaining("spam folder"),
    ]);
    expect(server.messages[0]).toMatchObject({ to: ["you@example.org"] });
    expect(server.messages[0]?.raw).toContain("Subject: Runegate test mail\r\n");
    expect(server.messages[0]?.raw).toContain("https://gate.example");
  });

  type Row = {
    server?: SmtpSetup;
    config?: Parameters<typeof emailConfig>[1];
    /** Reached before it failed. */
    steps: number;
    trust?: false;
    away?: true;
    hangs?: true;
    failed: string;
    remedy: string;
  };
  const refuse = (code: number, text: string) => ({ code, text });
  test.each<[string, Row]>([
    [
      "wrong password",
      {
        config: { pass: "wrong-password" },
        steps: 2,
        failed: "did not accept the login of mailer@runegate.test: 535 5.7.8",
        remedy: "app password",
      },
    ],
    [
      "no STARTTLS",
      {
        server: { tls: "none" },
        steps: 1,
        failed: "offers no STARTTLS",
        remedy: 'smtp_tls = "implicit" with port 465',
      },
    ],
    [
      "STARTTLS asked of a port with implicit TLS",
      {
        server: { tls: "implicit" },
        hangs: true,
        steps: 1,
        failed: "sent no greeting",
        remedy: 'set smtp_tls = "implicit"',
      },
    ],
    [
      "implicit TLS asked of a port with STARTTLS",
      {
        config: { tls: "implicit" },
        steps: 0,
        failed: "does not speak TLS from the first byte",
        remedy: 'smtp_tls = "starttls" with port 587',
      },
    ],
    [
      "untrusted certificate",
      { trust: false, steps: 1, failed: "is not trusted", remedy: "NODE_EXTRA_CA_CERTS" },
    ],
    [
      "expired certificate",
      {
        server: { certificate: makeCertificate({ notAfter: new Date(Date.now() - 60_000) }) },
        steps: 1,
        failed: "has expired",
        remedy: "Renew",
      },
    ],
    [
      "certificate without the IP address",
      {
        server: { certificate: makeCertificate({ addresses: [] }) },
        steps: 1,
        failed: "is for another name",
        remedy: "instead of its IP address",
      },
    ],
    ["server away", { away: true, steps: 0, failed: "refused the connection", remedy: "smtp_port" }],
    [
      "unknown host",
      { config: { host: "mail.runegate.invalid" }, steps: 0, failed: "was not found", remedy: "smtp_host" },
    ],
    [
      "hangs at the greeting",
      {
        server: { hangAtGreeting: true },
        hangs: true,
        steps: 1,
        failed: "sent no greeting",
        remedy: "hanging",
      },
    ],
    [
      "sender refused",
      {
        server: { refuseSender: refuse(553, "5.7.1 not owned by user") },
        steps: 3,
        failed: "refused the sender login@runegate.test: 553 5.7.1 not owned by user",
        remedy: "from_address",
      },
    ],
    [
      "recipient refused",
      {
        server: { refuseRecipient: () => refuse(550, "5.1.1 no such user") },
        steps: 3,
        failed: "refused the recipient: 550 5.1.1 no such user",
        remedy: "Check the address",
      },
    ],
    [
      "mail refused",
      {
        server: { refuseMessage: refuse(554, "5.7.1 policy") },
        steps: 3,
        failed: "refused the mail: 554 5.7.1 policy",
        remedy: "SPF",
      },
    ],
    [
      "cut off",
      {
        server: { dropAfterData: true },
        steps: 3,
        failed: "closed the connection unexpectedly",
        remedy: "Try again",
      },
    ],
    [
      "no login without credentials",
      {
        config: { user: undefined, pass: undefined },
        steps: 2,
        failed: "530",
        remedy: "Set smtp_user and smtp_pass",
      },
    ],
  ])("%s", async (_, row) => {
    const server = await peer(row.server);
    if (row.away) await server.away();
    const { out, err, io } = recordingIo();
    const config = emailConfig(server.port, row.config);
    const settings = {
      ...(row.trust === false ? {} : { ca: server.ca }),
      // All of these at once take their time on a busy machine, and each has to get as far as the greeting.
      ...(row.hangs ? { setupTimeout: 1_500 } : {}),
    };
    const { code } = await sendTestMail(config, "https://gate.example", TO, io, settings);
    expect(code).toBe(1);
    expect(out.filter((line) => line.startsWith("  ok  "))).toHaveLength(row.steps);
    expect(err).toEqual([expect.stringContaining(row.failed), expect.stringContaining(row.remedy)]);
    expect(err[0]).toStartWith("  failed  ");
    expect(err[1]).toStartWith("What to do: ");
    expect([...out, ...err].join("\n")).not.toContain(config.pass ?? "no password");
  });
});

describe("the command", () => {
  const emailToml = (port: number) => `
smtp_host = "127.0.0.1"
smtp_port = ${port}
smtp_tls = "none"
from_address = "Gate <login@runegate.test>"
subject = "Your link"
body_template = "{login_url} {code}"
`;

  test("reads email.toml, sends, and exits 0", async () => {
    const server = await peer({ tls: "none", auth: false });
    const path = join(directory, "good.toml");
    writeFileSync(path, emailToml(server.port));
    const { out, err, io } = recordingIo({ RUNEGATE_EMAIL_CONFIG: path });
    expect(await runCommand(sendEmail, ["You@Example.org"], io)).toBe(0);
    expect(err).toEqual([]);
    expect(out[0]).toBe(`Sending a test mail to you@example.org, with the settings in ${path}:`);
    expect(server.messages[0]).toMatchObject({ from: "login@runegate.test", to: ["you@example.org"] });
  });

  test("a service that takes mail by HTTP, and one that does not, each told in words", async () => {
    const services = [
      { status: 202, body: "" },
      { status: 401, body: '{"errors":[{"message":"The provided authorization grant is invalid"}]}' },
    ].map(({ status, body }) =>
      Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response(body, { status }) }),
    );
    started.push(...services);
    writeFileSync(join(directory, "api.key"), "k3y-of-the-account", { mode: 0o600 });
    const path = join(directory, "services.toml");
    const backends = services.map(
      ({ port }) => `
[[backends]]
backend = "sendgrid"
api_key_file = "api.key"
endpoint = "http://127.0.0.1:${port}"
`,
    );
    const words = `
from_address = "login@runegate.test"
subject = "Your link"
body_template = "{login_url} {code}"
`;
    writeFileSync(path, words + backends.join(""));
    const { out, err, io } = recordingIo({ RUNEGATE_EMAIL_CONFIG: path });
    expect(await runCommand(sendEmail, ["you@example.org"], io)).toBe(1);
    const [one, two] = services.map(({ port }) => `127.0.0.1:${port}`);
    expect(out.slice(1)).toEqual([
      `${one}, sendgrid, from login@runegate.test.`,
      `  ok  ${one} answered with 202.`,
      "  ok  SendGrid accepted the mail: 202, id none given",
      `${two}, sendgrid, from login@runegate.test.`,
      `  ok  ${two} answered with 401.`,
    ]);
    expect(err).toEqual([
      "  failed  SendGrid does not accept the API key: 401 The provided authorization grant is invalid",
      expect.stringContaining("Check api_key_file"),
    ]);
  });

  test("with --json, each step and how it ended", async () => {
    const server = await peer({ tls: "none", auth: false });
    const path = join(directory, "json.toml");
    writeFileSync(path, emailToml(server.port));
    const asked = async () => {
      const { out, err, io } = recordingIo({ RUNEGATE_EMAIL_CONFIG: path });
      const code = await main(["send-email", "--json", "you@example.org"], io);
      return { code, data: JSON.parse(out.join("\n")), said: err.map((line) => JSON.parse(line)) };
    };
    expect(await asked()).toEqual({
      code: 0,
      data: {
        sent: true,
        steps: [
          `Connected to 127.0.0.1:${server.port}.`,
          expect.stringMatching(/^The server accepted the mail: 250 /),
        ],
      },
      said: [],
    });
    await server.away();
    expect(await asked()).toEqual({
      code: 1,
      data: {
        sent: false,
        steps: [],
        reason: expect.stringContaining("refused the connection"),
        remedy: expect.any(String),
      },
      said: [{ error: "failed", message: expect.stringContaining("refused the connection") }],
    });
  });

  test.each([
    ["a file that is not there", "missing.toml", undefined, "does not exist"],
    ["a file with mistakes", "bad.toml", 'smtp_host = "127.0.0.1"', "smtp_port is missing"],
  ])("%s: exits 78 and says so", async (_, name, text, problem) => {
    const path = join(directory, name);
    if (text !== undefined) writeFileSync(path, text);
    const { out, err, io } = recordingIo({ RUNEGATE_EMAIL_CONFIG: path });
    expect(await main(["send-email", "you@example.org"], io)).toBe(78);
    expect(out).toEqual([]);
    expect(err.join("\n")).toContain(problem);
  });

  test.each([
    [[]],
    [["a@example.org", "b@example.org"]],
    [["not an address"]],
    [["--colour", "a@example.org"]],
  ])("%j is a mistake in how it was called", async (args) => {
    await expect(runCommand(sendEmail, args, recordingIo().io)).rejects.toBeInstanceOf(UsageError);
  });

  test("explains itself", async () => {
    const { out, io } = recordingIo();
    expect(await runCommand(sendEmail, ["--help"], io)).toBe(0);
    expect(out[0]).toStartWith("Usage: runegate send-email ADDRESS");
  });
});
