import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createFileMailer } from "../../src/mail/file.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { emailConfig } from "../support/smtp.ts";

/** The operator's logo, in the mails that sign people in. */

const PICTURE = new URL("../../static/icon.png", import.meta.url).pathname;

let place: string;
let gateway: TestGateway | undefined;
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), "runegate-logo-"));
  mkdirSync(join(place, "brand"));
});
afterEach(async () => {
  await gateway?.stop();
  rmSync(place, { recursive: true });
});

/** The login mail as it is handed on. */
async function mail(): Promise<string> {
  const directory = join(place, "mails");
  gateway = await startGateway({
    env: { RUNEGATE_BRAND: join(place, "brand") },
    mailer: createFileMailer({ directory, dkim: undefined }, emailConfig(0)),
  });
  const sent = Promise.withResolvers<void>();
  gateway.gateway.auditEvents.listen(({ event }) => event === "mail_sent" && sent.resolve());
  await fetch(`${gateway.url}/_runegate/login`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ email: "ada@example.org" }),
  });
  await sent.promise;
  const [name = ""] = readdirSync(directory);
  return readFileSync(join(directory, name), "latin1");
}

test("a logo.png travels with the mail and is shown by it", async () => {
  copyFileSync(PICTURE, join(place, "brand", "logo.png"));
  const message = await mail();
  expect(message).toMatch(/^Content-Type: multipart\/alternative;/m);
  expect(message).toMatch(/^Content-Type: multipart\/related;/m);
  expect(message).toContain('src=3D"cid:logo"');
  expect(message).toMatch(/^Content-ID: <logo>/im);
  expect(message).toMatch(/^Content-Disposition: inline;/im);
  const [, content = ""] = /Content-ID: <logo>[\s\S]*?\r\n\r\n([\w+/=\s]+)/i.exec(message) ?? [];
  expect(Buffer.from(content, "base64").equals(readFileSync(PICTURE))).toBe(true);
});

test.each<[string, string, (file: string) => void]>([
  ["a logo.svg, which programs for mail do not show", "logo.svg", (file) => writeFileSync(file, "<svg/>")],
  ["what is called logo.png and is no PNG", "logo.png", (file) => writeFileSync(file, "GIF89a")],
  [
    "one of more than 64 KiB",
    "logo.png",
    (file) => writeFileSync(file, Buffer.concat([readFileSync(PICTURE), Buffer.alloc(64 * 1024)])),
  ],
])("%s does not", async (_, name, write) => {
  write(join(place, "brand", name));
  const message = await mail();
  expect(message).not.toContain("cid:");
  expect(message).not.toContain("image/png");
});
