import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Mail, permanent, temporary } from "../../src/mail/mailer.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { StoreUnavailable } from "../../src/store/records.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import { asOperator, asUser } from "../api/support.ts";
import { signInWith } from "../control/support.ts";
import { auditOf, postLogin, wholeAuditOf } from "../login/support.ts";
import { testClock } from "../support/clock.ts";
import type { TestGatewaySettings } from "../support/gateway.ts";
import { SILENT } from "../support/silent.ts";
import { intercepted } from "../support/store.ts";
import { ADA, ADMIN, type AdminStage, ROOT, startAdminStage } from "./stage.ts";

/** The screen of mail, and the same verbs by the API with an administrator's session. */

const SCREEN = `${ADMIN}/mail`;
const AWAY = "127.0.0.1:25 refused the connection.";
const MINUTE = 60_000;

let stage: AdminStage;
/** What the server does with a mail. */
let take: (mail: Mail) => Promise<void>;
const sent: string[] = [];
const mailer = {
  async send(mail: Mail) {
    await take(mail);
    sent.push(mail.to);
    return { by: "test", words: "250 ok" };
  },
};

beforeEach(() => {
  sent.length = 0;
  take = () => Promise.reject(temporary(AWAY, "Start the mail server."));
});
afterEach(() => stage.gateway.stop());

async function open(settings: TestGatewaySettings = {}): Promise<string> {
  stage = await startAdminStage({}, { mailer, mailbox: false, ...settings });
  return signIn(ROOT);
}

async function signIn(email: string): Promise<string> {
  const { body } = await asOperator(stage.gateway)("POST", "/links", {
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ email }),
  });
  return signInWith((body as { link: string }).link);
}

/** A mail to somebody that a first attempt has failed for. @returns its id, as the forms have it. */
async function waitingMail(email: string): Promise<string> {
  const { outbox } = stage.gateway.gateway;
  await postLogin(stage.gateway, { email });
  await outbox.runDue();
  const one = (await outbox.waiting()).find(({ to }) => to === email);
  if (one === undefined) throw new Error(`no mail to ${email} waits`);
  return one.id;
}

const act = (cookie: string, fields: Record<string, string>) => stage.post(cookie, SCREEN, fields);
const told = (event: string) => auditOf(stage.gateway).filter((line) => line.event === event);

test("shows what waits, for what, its tries and why the last one failed, and nothing of what it says", async () => {
  const root = await open();
  await waitingMail(ADA);
  const html = await (await stage.get(root, SCREEN)).text();
  for (const words of [`<bdi>${ADA}</bdi>`, "link to sign in", AWAY, "Send now", "Drop"])
    expect(html).toContain(words);
  expect(html).not.toMatch(/token=|\b\d{4} \d{4}\b/);
});

test("sends one again at once, which is in the audit with who did it", async () => {
  const root = await open();
  const id = await waitingMail(ADA);
  take = async () => {};
  const done = await act(root, { do: "retry", id });
  expect([done.status, done.headers.get("Location")]).toEqual([303, `${SCREEN}?done=retried`]);
  await stage.gateway.gateway.outbox.runDue();
  expect(sent).toEqual([ADA]);
  expect(told("mail_retried")).toEqual([
    { event: "mail_retried", email: ADA, mail: id.slice(0, 12), by: ROOT },
  ]);
  expect(await (await act(root, { do: "retry", id })).text()).toContain("No such mail waits any more");
});

test("H17: one that is being sent is not sent again, whichever process is asked", async () => {
  const directory = mkdtempSync(join(tmpdir(), "runegate-mail-screen-"));
  const clock = testClock(Date.now());
  const store = () => openSqliteStore({ path: join(directory, "store.db"), clock, log: SILENT });
  const env = { RUNEGATE_JWT_SECRET: "j".repeat(64), RUNEGATE_SESSION_KEY: "5e".repeat(64) };
  const begin = () =>
    startAdminStage(
      { ...env, RUNEGATE_LOG_FORMAT: "json" },
      { clock, mailer, mailbox: false, stores: store() },
    );
  const sender = await begin();
  stage = await begin();
  const root = await signIn(ROOT);
  const id = await waitingMail(ADA);
  clock.advance(MINUTE);
  const release = Promise.withResolvers<void>();
  take = () => release.promise;
  const sending = sender.gateway.gateway.outbox.runDue();
  while (sender.gateway.gateway.outbox.underway() === 0) await Bun.sleep(1);
  const busy = await act(root, { do: "retry", id });
  expect([busy.status, await busy.text()]).toEqual([
    400,
    expect.stringContaining("being sent at this moment"),
  ]);
  const api = asUser(stage.gateway, root);
  const headers = { Origin: stage.gateway.url };
  expect((await api("POST", `/admin/mail/${id}/retry`, { headers })).status).toBe(409);
  release.resolve();
  await sending;
  await stage.gateway.gateway.outbox.runDue();
  expect(sent).toEqual([ADA]);
  await sender.gateway.stop();
  rmSync(directory, { recursive: true });
});

test("drops one, which the person who asked for it is not told, and the audit is", async () => {
  const root = await open();
  const id = await waitingMail(ADA);
  expect((await act(root, { do: "drop", id })).headers.get("Location")).toBe(`${SCREEN}?done=dropped`);
  expect(await stage.gateway.gateway.outbox.waiting()).toEqual([]);
  expect(told("mail_given_up")).toMatchObject([{ email: ADA, reason: "deleted", by: ROOT }]);
  expect(sent).toEqual([]);
});

test("a test mail is sent at once, or it is said why not and what to do", async () => {
  const root = await open();
  const failed = await act(root, { do: "test", to: ADA });
  expect([failed.status, await failed.text()]).toEqual([
    400,
    expect.stringContaining(`${AWAY} Start the mail server.`),
  ]);
  take = () => Promise.reject(permanent("550 no such user", "Use another address."));
  expect(await (await act(root, { do: "test", to: ADA })).text()).toContain("550 no such user");
  take = async () => {};
  expect((await act(root, { do: "test", to: ADA })).headers.get("Location")).toBe(`${SCREEN}?done=tested`);
  expect(sent).toEqual([ADA]);
  expect(told("mail_tested").map(({ email, by }) => [email, by])).toEqual(Array(3).fill([ADA, ROOT]));
  expect(wholeAuditOf(stage.gateway).filter(({ event }) => event === "mail_sent")).toMatchObject([
    { email: ADA, by: "test", answer: "250 ok" },
  ]);
  expect(await (await act(root, { do: "test", to: "ada" })).text()).toContain("That is no address.");
});

test("of test mails there are five a minute", async () => {
  const root = await open();
  take = async () => {};
  const api = asUser(stage.gateway, root);
  const init = {
    headers: { Origin: stage.gateway.url, "Content-Type": "application/json" },
    body: JSON.stringify({ email: ADA }),
  };
  for (let i = 0; i < 5; i++) {
    const { status, body } = await api("POST", "/admin/mail/test", init);
    expect([status, body]).toEqual([200, { sent: true, by: "test", answer: "250 ok" }]);
  }
  expect((await api("POST", "/admin/mail/test", init)).status).toBe(429);
  expect((await act(root, { do: "test", to: ADA })).status).toBe(400);
  expect(sent).toHaveLength(5);
  stage.clock.advance(MINUTE);
  expect((await api("POST", "/admin/mail/test", init)).status).toBe(200);
});

test("by the API: administrators with a sign-in of late, and nobody else", async () => {
  const root = await open();
  const id = await waitingMail(ADA);
  const headers = { Origin: stage.gateway.url };
  const ada = asUser(stage.gateway, await signIn(ADA));
  const verbs = [
    ["POST", `/admin/mail/${id}/retry`],
    ["DELETE", `/admin/mail/${id}`],
  ] as const;
  expect((await ada("GET", "/admin/mail")).status).toBe(403);
  for (const [method, path] of verbs) expect((await ada(method, path, { headers })).status).toBe(403);
  const admin = asUser(stage.gateway, root);
  const { status, body } = await admin("GET", "/admin/mail");
  expect([status, (body as { items: unknown[] }).items]).toMatchObject([
    200,
    [{ email: ADA, kind: "login" }],
  ]);
  const elsewhere = { Origin: "https://evil.example" };
  for (const [method, path] of verbs)
    expect((await admin(method, path, { headers: elsewhere })).status).toBe(403);
  stage.clock.advance(16 * MINUTE);
  for (const [method, path] of verbs) expect((await admin(method, path, { headers })).status).toBe(401);
  expect(await stage.gateway.gateway.outbox.waiting()).toHaveLength(1);
});

test("H9: what cannot be recorded is not done", async () => {
  const clock = testClock();
  let isFull = false;
  const stores = intercepted(createMemoryStore({ clock }), ({ of, verb, go }) => {
    if (isFull && of === "audit" && verb === "add") throw new StoreUnavailable("The disk is full.");
    return go();
  });
  const root = await open({ clock, stores });
  const id = await waitingMail(ADA);
  const before = await stage.gateway.gateway.outbox.waiting();
  await stage.get(root);
  isFull = true;
  take = async () => {};
  for (const fields of [
    { do: "retry", id },
    { do: "drop", id },
    { do: "test", to: ADA },
  ] as Record<string, string>[])
    expect([fields, (await act(root, fields)).status]).toEqual([fields, 503]);
  expect(await stage.gateway.gateway.outbox.waiting()).toEqual(before);
  expect(sent).toEqual([]);
});
