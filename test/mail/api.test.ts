import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UsageError } from "../../src/commands/command.ts";
import { mail } from "../../src/commands/mail.ts";
import { runCommand } from "../../src/commands/run.ts";
import type { ListedMail } from "../../src/mail/api.ts";
import { type Mail, temporary } from "../../src/mail/mailer.ts";
import { main } from "../../src/main.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import { asOperator, asUser } from "../api/support.ts";
import { auditOf, postLogin } from "../login/support.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { recordedIo } from "../support/recorded-io.ts";
import { SILENT } from "../support/silent.ts";

/** Mail that waits, as an operator sees it: over the API, and on the store of an instance that does not run. */

const directory = mkdtempSync(join(tmpdir(), "runegate-mail-api-"));
const database = join(directory, "store.db");
const env = {
  RUNEGATE_LOG_FORMAT: "json",
  RUNEGATE_ALLOW_ANY_EMAIL: "false",
  RUNEGATE_ALLOWED_DOMAINS: "example.org",
};

let clock: TestClock;
let gateway: TestGateway;
/** What the server does with a mail. */
let take: (mail: Mail) => Promise<void>;
const sent: string[] = [];

beforeAll(async () => {
  clock = testClock(Date.now());
  const away = () => Promise.reject(temporary("127.0.0.1:25 refused the connection.", ""));
  take = away;
  gateway = await startGateway({
    ...{ clock, env, mailbox: false, stores: openSqliteStore({ path: database, clock, log: SILENT }) },
    mailer: {
      async send(one) {
        await take(one);
        sent.push(one.to);
        return { by: "test", words: "250 ok" };
      },
    },
  });
});
afterAll(async () => {
  rmSync(directory, { recursive: true });
});

const listed = async () =>
  ((await asOperator(gateway)("GET", "/admin/mail")).body as { items: ListedMail[] }).items;
const statusOf = async (method: string, path: string) => (await asOperator(gateway)(method, path)).status;

async function waitingMail(email: string): Promise<ListedMail> {
  await postLogin(gateway, { email });
  await gateway.gateway.outbox.runDue();
  const one = (await listed()).find((each) => each.email === email);
  if (one === undefined) throw new Error(`no mail to ${email} waits`);
  return one;
}

describe("mail that waits", () => {
  test("is listed with its tries and why the last failed, and says nothing of what is in it", async () => {
    const one = await waitingMail("ada@example.org");
    expect(one).toEqual({
      id: expect.stringMatching(/^[0-9a-f]{12}$/),
      email: "ada@example.org",
      kind: "login",
      queued_at: new Date(clock.now()).toISOString(),
      expires_at: expect.any(String),
      next_attempt_at: expect.any(String),
      attempts: 1,
      last_error: "127.0.0.1:25 refused the connection.",
    });
    expect((await asOperator(gateway)("GET", "/admin/mail")).text).not.toMatch(/token|code/);
  });

  test("does not show what is never sent", async () => {
    await postLogin(gateway, { email: "eve@elsewhere.example" });
    expect((await listed()).map(({ email }) => email)).toEqual(["ada@example.org"]);
  });

  test("is shown to strangers not at all", async () => {
    const before = take;
    take = async () => {};
    const bob = await waitingMail("bob@example.org").catch(() => undefined);
    expect(bob).toBeUndefined();
    take = before;
    const stranger = asUser(gateway);
    expect((await stranger("GET", "/admin/mail")).status).toBe(401);
  });

  test("H17: is tried at once when asked for, and not while it is being sent: it is sent once", async () => {
    const [one] = await listed();
    const release = Promise.withResolvers<void>();
    take = () => release.promise;
    sent.length = 0;
    expect(await statusOf("POST", `/admin/mail/${one?.id}/retry`)).toBe(204);
    const sending = gateway.gateway.outbox.runDue();
    while (gateway.gateway.outbox.underway() === 0) await Bun.sleep(1);
    expect(await statusOf("POST", `/admin/mail/${one?.id}/retry`)).toBe(409);
    release.resolve();
    await sending;
    await gateway.gateway.outbox.runDue();
    expect(sent).toEqual(["ada@example.org"]);
    expect(await statusOf("POST", `/admin/mail/${one?.id}/retry`)).toBe(404);
  });

  test("is dropped, which the audit tells", async () => {
    take = () => Promise.reject(temporary("away", ""));
    const { id } = await waitingMail("carol@example.org");
    expect(await statusOf("DELETE", `/admin/mail/${id.slice(0, 6)}`)).toBe(204);
    expect(await statusOf("DELETE", `/admin/mail/${id}`)).toBe(404);
    expect(await listed()).toEqual([]);
    const email = "carol@example.org";
    expect(auditOf(gateway).filter((line) => line.email === email && line.event === "mail_given_up")).toEqual(
      [{ event: "mail_given_up", email, mail: id, reason: "deleted", by: "operator" }],
    );
  });

  test.each(["/admin/mail/xyz", "/admin/mail/0123456789ABCDEF", "/admin/mail/012"])(
    "%s names none",
    async (path) => {
      expect(await statusOf("DELETE", path)).toBe(400);
    },
  );
});

describe("the command, while no instance runs", () => {
  const io = () =>
    recordedIo({
      RUNEGATE_ENV_FILE: "/dev/null",
      RUNEGATE_BASE_URL: "http://localhost:7870",
      RUNEGATE_ALLOWED_DOMAINS: "example.org",
      RUNEGATE_STORE: `sqlite:${database}`,
      RUNEGATE_CONTROL_SOCKET: "off",
    });

  test("lists, retries and drops what the store has", async () => {
    const { id } = await waitingMail("dan@example.org");
    await gateway.stop();
    const list = io();
    expect(await runCommand(mail, [], list)).toBe(0);
    const [heading = "", row = ""] = list.stdout.join("\n").split("\n");
    expect(heading).toMatch(/^ID +TO +WHAT +QUEUED +OF USE UNTIL +TRIES +NEXT TRY +WHY IT FAILED$/);
    expect(row).toMatch(new RegExp(`^${id}  dan@example\\.org .* 1 .* away$`));
    const json = io();
    expect(await main(["mail", "list", "--json"], json)).toBe(0);
    expect(JSON.parse(json.stdout.join("\n"))).toMatchObject([{ id, attempts: 1, last_error: "away" }]);
    const retry = io();
    expect([await runCommand(mail, ["retry", id], retry), retry.stdout]).toEqual([
      0,
      ["It is tried again, within ten seconds."],
    ]);
    const gone = io();
    expect([await runCommand(mail, ["drop", id], gone), gone.stdout]).toEqual([0, ["It is given up."]]);
    const again = io();
    expect([await runCommand(mail, ["drop", id], again), again.stderr]).toEqual([1, ["No such mail waits."]]);
    const tested = io();
    expect(await runCommand(mail, ["test", "dan@example.org"], tested)).toBe(1);
    expect(tested.stderr).toContain("It was not sent: No instance runs here that would send it.");
    const none = io();
    expect([await runCommand(mail, ["list"], none), none.stdout]).toEqual([0, ["No mail waits."]]);
  });

  test.each([
    [["retry"]],
    [["drop", ""]],
    [["list", "x"]],
    [["preview", "x"]],
    [["list", "--open"]],
    [["send"]],
    [["test"]],
    [["test", "nobody"]],
    [["toString"]],
  ])("%j is a mistake", (words) => expect(runCommand(mail, words, io())).rejects.toThrow(UsageError));
});
