import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Backend } from "../../src/mail/backend-settings.ts";
import { createBackends, verifyBackends } from "../../src/mail/backends.ts";
import { createFallback } from "../../src/mail/fallback.ts";
import { createFileMailer } from "../../src/mail/file.ts";
import { MailError } from "../../src/mail/mailer.ts";
import { testClock } from "../support/clock.ts";
import { emailConfig, type SmtpPeer, startSmtp } from "../support/smtp.ts";
import { mailOf, NOW, recordingLog } from "./support.ts";

const directory = mkdtempSync(join(tmpdir(), "runegate-mail-"));
let server: SmtpPeer;
beforeAll(async () => {
  server = await startSmtp({ tls: "none", auth: false });
});
afterAll(async () => {
  rmSync(directory, { recursive: true });
  await server.stop();
});

const smtp = (port: number): Backend => ({
  ...{
    kind: "smtp",
    host: "127.0.0.1",
    port,
    tls: "none",
    user: undefined,
    pass: undefined,
    dkim: undefined,
  },
});

describe("a directory", () => {
  test("gets each mail as a file that is whole, named by it, and nobody else's to read", async () => {
    const place = join(directory, "made", "here");
    const mailer = createFileMailer({ directory: place, dkim: undefined }, emailConfig(0));
    const receipt = await mailer.send(mailOf({ messageId: "<../../4711@runegate.test>" }));
    expect(receipt).toEqual({ by: "file", words: "4711@runegate.test.eml" });
    await mailer.send(mailOf({ messageId: "<../../4711@runegate.test>" }));
    expect(readdirSync(place)).toEqual(["4711@runegate.test.eml"]);
    const path = join(place, "4711@runegate.test.eml");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(place).mode & 0o777).toBe(0o700);
    expect(readFileSync(path, "utf8")).toContain("To: ann@example.org\r\n");
  });

  test("that cannot be made is a matter of the configuration", async () => {
    const file = join(directory, "file");
    writeFileSync(file, "");
    const mailer = createFileMailer({ directory: join(file, "below"), dkim: undefined }, emailConfig(0));
    const error = await mailer.send(mailOf()).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(MailError);
    expect(error).toMatchObject({ misconfigured: true, permanent: false });
    expect(await verifyBackends([mailer])).toMatchObject({ ok: false });
  });
});

describe("several back-ends of email.toml", () => {
  test("mail goes by the second server once the first has been away for ten seconds", async () => {
    const clock = testClock(NOW);
    const away = await startSmtp({ tls: "none", auth: false });
    await away.away();
    const config = emailConfig(0, { backends: [smtp(away.port), smtp(server.port)] });
    const mailer = createFallback(createBackends(config, clock), clock, recordingLog());
    expect(mailer.send(mailOf())).rejects.toThrow("refused the connection");
    await mailer.send(mailOf()).catch(() => {});
    expect(server.messages).toEqual([]);
    clock.advance(10_000);
    expect(await mailer.send(mailOf())).toEqual({ by: "smtp", words: "250 2.0.0 queued as 4711" });
    expect(server.messages).toHaveLength(1);
  });

  test("are all tried by the check, and what is wrong is told of each", async () => {
    const file: Backend = { kind: "file", directory: join(directory, "checked"), dkim: undefined };
    const config = emailConfig(0, { backends: [smtp(1), smtp(server.port), file] });
    const { ok, lines } = await verifyBackends(createBackends(config, testClock(NOW)));
    expect(ok).toBe(false);
    expect(lines).toEqual([
      expect.stringContaining("127.0.0.1:1 refused the connection"),
      expect.stringContaining("Check smtp_host"),
      `Connected to 127.0.0.1:${server.port}.`,
      `There is a directory ${join(directory, "checked")}.`,
    ]);
  });
});
