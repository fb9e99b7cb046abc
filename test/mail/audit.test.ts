import { afterAll, expect, test } from "bun:test";
import { systemClock } from "../../src/clock.ts";
import { createBackends } from "../../src/mail/backends.ts";
import { createFallback } from "../../src/mail/fallback.ts";
import { postLogin, wholeAuditOf } from "../login/support.ts";
import { startGateway } from "../support/gateway.ts";
import { emailConfig, startSmtp } from "../support/smtp.ts";
import { recordingLog, until } from "./support.ts";

/** What is told of a mail, from the outbox to a real server. */

const server = await startSmtp({
  ...{ tls: "none", auth: false },
  refuseRecipient: (address) =>
    address.startsWith("gone@") ? { code: 550, text: "5.1.1 no such user" } : undefined,
});
const config = emailConfig(server.port, { tls: "none", user: undefined, pass: undefined });
const gateway = await startGateway({
  email: config,
  mailer: createFallback(createBackends(config, systemClock), systemClock, recordingLog()),
  mailbox: false,
  env: {
    RUNEGATE_LOG_FORMAT: "json",
    RUNEGATE_ALLOW_ANY_EMAIL: "false",
    RUNEGATE_ALLOWED_EMAILS: "ada@example.org,gone@example.org",
  },
});
afterAll(async () => {
  await gateway.stop();
  await server.stop();
});

const told = (email: string) =>
  wholeAuditOf(gateway)
    .filter((line) => line.email === email && String(line.event).startsWith("mail_"))
    .toSorted((a, b) => String(a.event).localeCompare(String(b.event)));
const mail = expect.stringMatching(/^[0-9a-f]{12}$/);

test("a mail that is sent: queued, and sent with the server's words, under one name", async () => {
  await postLogin(gateway, { email: "ada@example.org" });
  await until(() => told("ada@example.org").length === 2);
  const [queued, sent] = told("ada@example.org");
  expect(queued).toEqual({ event: "mail_queued", email: "ada@example.org", mail });
  const answer = "250 2.0.0 queued as 4711";
  expect(sent).toEqual({ event: "mail_sent", email: "ada@example.org", mail, by: "smtp", answer });
  expect(sent?.mail).toBe(queued?.mail);
});

test("a mail that is refused for good: queued, and refused in the server's words", async () => {
  await postLogin(gateway, { email: "gone@example.org" });
  await until(() => told("gone@example.org").length === 2);
  expect(told("gone@example.org")[1]).toEqual({
    ...{ event: "mail_refused", email: "gone@example.org", mail },
    reason: expect.stringContaining("550 5.1.1 no such user"),
  });
});

test("whoever may not sign in is sent nothing, and so nothing is told of it", async () => {
  await postLogin(gateway, { email: "eve@example.org" });
  await postLogin(gateway, { email: "ada@example.org" });
  await until(() => told("ada@example.org").length === 4);
  expect(told("eve@example.org")).toEqual([]);
});
