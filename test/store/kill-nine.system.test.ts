import { Database } from "bun:sqlite";
import { afterEach, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { cookieHeader } from "../support/gateway.ts";
import { freePort, type RunningProcess, runegate, startProcess } from "../support/process.ts";
import { type ReceivedMessage, startSmtp } from "../support/smtp.ts";
import { temporaryPlace } from "./sqlite-place.ts";

/**
 * Runegate on SQLite, as its users run it, killed with SIGKILL again and again while people sign in. Everything is seen from
 * outside: by a browser's requests and at the mail server.
 */

const ROUNDS = 100;
/** How many mails one process sends at a time, and so how many a kill may leave half sent. */
const PARALLEL_MAILS = 4;
const ASKING = 2;
/** More would only wait: a mail takes the mail server's time. */
const ASKS_A_ROUND = 4;

/** Whatever a failure leaves behind. */
const left: { stop(): void | Promise<void> }[] = [];
afterEach(async () => {
  for (const { stop } of left.splice(0)) await stop();
});

test(`killed ${ROUNDS} times under load: no session, spent link or mail is lost`, async () => {
  using place = temporaryPlace();
  const smtp = await startSmtp({ tls: "none", auth: false });
  left.push(smtp);
  const port = freePort();
  const url = `http://127.0.0.1:${port}`;
  const emailConfig = join(place.directory, "email.toml");
  writeFileSync(
    emailConfig,
    `smtp_host = "127.0.0.1"
smtp_port = ${smtp.port}
smtp_tls = "none"
from_address = "gate@example.org"
subject = "Sign in"
body_template = "{login_url}"
`,
    { mode: 0o600 },
  );
  const env = {
    RUNEGATE_STORE: `sqlite:${place.path}`,
    RUNEGATE_LISTEN: `127.0.0.1:${port}`,
    RUNEGATE_BASE_URL: url,
    RUNEGATE_EMAIL_CONFIG: emailConfig,
    RUNEGATE_JWT_SECRET: "j".repeat(64),
    RUNEGATE_SESSION_KEY: "k".repeat(64),
    RUNEGATE_ALLOWED_DOMAINS: "example.org",
    RUNEGATE_RATE_LIMIT_ENABLED: "false",
    RUNEGATE_MAIL_CEILING: "0",
    RUNEGATE_CONTROL_SOCKET: "off",
    RUNEGATE_LOG: "error",
    RUNEGATE_REQUEST_LOGS: "false",
  };

  /** The login cookies of those who were answered with 200, by address: their mail must come. */
  const accepted = new Map<string, string>();
  /** The `Cookie` headers of sessions whose answer came whole: they must go on. */
  const signedIn: string[] = [];
  /** Links that were answered with a session: they must never be again. */
  const spent: { readonly link: string; readonly loginCookie: string }[] = [];
  let alive = false;
  const opened = new Set<string>();
  let asked = 0;
  let enough = 0;
  let read = 0;

  /** Asks for links until the process is killed. */
  async function ask(): Promise<void> {
    while (alive) {
      const email = `user${asked++}@example.org`;
      const response = await fetch(`${url}/_runegate/login`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ email }),
      });
      await response.text();
      expect(response.status).toBe(200);
      accepted.set(email, cookieHeader(response));
      await Bun.sleep(accepted.size < enough ? 1 : 50);
    }
  }

  /** Opens each link when its mail has come, until the process is killed. */
  async function redeem(): Promise<void> {
    while (alive) {
      const mail = smtp.messages[read];
      if (mail === undefined) {
        await Bun.sleep(1);
        continue;
      }
      read++;
      const email = mail.to[0] ?? "";
      const loginCookie = accepted.get(email);
      // Nobody waits for it if the answer was cut off by a kill; and it may have come before.
      if (loginCookie === undefined || opened.has(email)) continue;
      opened.add(email);
      const link = linkIn(mail);
      const response = await openLink(link, loginCookie);
      expect(response.status).toBe(302);
      signedIn.push(cookieHeader(response));
      spent.push({ link, loginCookie });
    }
  }

  async function openLink(link: string, cookie: string): Promise<Response> {
    const response = await fetch(link, { redirect: "manual", headers: { Cookie: cookie } });
    await response.text();
    return response;
  }

  /** @param from the first of those to look at. */
  async function expectKept(fromSession: number, fromLink: number): Promise<void> {
    await Promise.all([
      ...signedIn.slice(fromSession).map(async (cookie) => {
        const response = await fetch(`${url}/_runegate/session`, { headers: { Cookie: cookie } });
        expect(await response.json()).toMatchObject({ authenticated: true });
      }),
      ...spent.slice(fromLink).map(async ({ link, loginCookie }) => {
        expect((await openLink(link, loginCookie)).status).toBe(401);
      }),
    ]);
  }

  async function start(): Promise<RunningProcess> {
    const child = startProcess(runegate("serve"), env);
    left.push({ stop: () => child.signal("SIGKILL") });
    await until(async () => {
      try {
        return (await fetch(`${url}/_runegate/health/ready`)).ok;
      } catch {
        return false;
      }
    });
    return child;
  }

  for (let round = 0; round < ROUNDS; round++) {
    const child = await start();
    // Those of the round before: nobody knows yet whether they outlived its end. All of them are looked at in the end.
    const recent = 40;
    await expectKept(Math.max(0, signedIn.length - recent), Math.max(0, spent.length - recent));
    alive = true;
    enough = accepted.size + ASKS_A_ROUND;
    const load = [...Array.from({ length: ASKING }, ask), redeem()].map((loop) =>
      loop.catch((error) => {
        // The kill is the only thing that may end it.
        if (!(error instanceof Error && "code" in error && KILLED.has(String(error.code)))) throw error;
      }),
    );
    // In the midst of it, at no moment in particular.
    const someoneEntered = signedIn.length + (round === 0 ? 0 : 1);
    await until(() => accepted.size >= enough && signedIn.length >= someoneEntered);
    await Bun.sleep((round * 37) % 31);
    child.signal("SIGKILL");
    alive = false;
    await Promise.all([child.exited, ...load]);
  }

  // What a killed process had claimed is due when the claim runs out. Nobody waits for that here.
  const database = new Database(place.path);
  database.run("UPDATE records_mail SET body = json_set(body, '$.turn', 0)");
  database.close(true);
  const child = await start();
  await expectKept(0, 0);
  const missing = (received = new Set(smtp.messages.flatMap(({ to }) => to))) =>
    [...accepted.keys()].filter((email) => !received.has(email));
  await until(() => missing().length === 0, 60_000);
  child.signal("SIGTERM");
  expect(await child.exited).toBe(0);

  expect(missing()).toEqual([]);
  expect(signedIn.length).toBeGreaterThanOrEqual(ROUNDS - 1);
  expect(new Set(signedIn).size).toBe(signedIn.length);
  // Twice only for a kill between the mail server's word and the note of it, and then recognizably the same mail.
  const byRecipient = Map.groupBy(smtp.messages, ({ to }) => to.join());
  expect(smtp.messages.length - byRecipient.size).toBeLessThanOrEqual(ROUNDS * PARALLEL_MAILS);
  for (const mails of byRecipient.values()) expect(new Set(mails.map(messageIdOf)).size).toBe(1);
}, 240_000);

/** Waits for what must come, so long at most: what follows says what is missing then. */
async function until(holds: () => boolean | Promise<boolean>, withinMs = 10_000): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await holds()) && performance.now() < deadline) await Bun.sleep(5);
}

const KILLED = new Set([
  "ECONNRESET",
  "ECONNREFUSED",
  "ConnectionClosed",
  "ConnectionRefused",
  "FailedToOpenSocket",
]);

function messageIdOf({ raw }: ReceivedMessage): string | undefined {
  return /^Message-ID: (\S+)/im.exec(raw)?.[1];
}

/** The text part is quoted-printable: soft line breaks, and `=` as `=3D`. */
function linkIn({ raw }: ReceivedMessage): string {
  const text = raw.replace(/=\r\n/g, "").replaceAll("=3D", "=");
  const link = /http:\/\/127\.0\.0\.1:\d+\/_runegate\/auth\?token=[\w.-]+/.exec(text)?.[0];
  if (link === undefined) throw new Error(`no link in:\n${raw}`);
  return link;
}
