import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfiguration } from "../../src/config/configuration.ts";
import { runegate, startProcess } from "../support/process.ts";
import { CREDENTIALS, type SmtpPeer, startSmtp } from "../support/smtp.ts";
import { type AtTerminal, atTerminal } from "../support/terminal.ts";

/** `runegate setup`, with somebody at the terminal. */

const folder = mkdtempSync(join(tmpdir(), "runegate-setup-"));
let smtp: SmtpPeer;
const application = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("hello") });
beforeAll(async () => {
  smtp = await startSmtp({ tls: "none" });
});
afterAll(async () => {
  await smtp.stop();
  await application.stop(true);
  rmSync(folder, { recursive: true });
});

let folders = 0;
const freshFolder = () => join(folder, `site-${folders++}`);

const sit = (dir: string, ...args: string[]) => atTerminal(runegate("setup", "--dir", dir, ...args));

/** What is asked when nothing is wrong, in order; the name leads nowhere. */
const dialog = (): readonly (readonly [question: RegExp, answer: string])[] => [
  [/Domain: $/, "app.example.test"],
  [/leads nowhere yet[\s\S]*Use it all the same\? \[Y\/n\] $/, ""],
  [/Allow: $/, "ada@example.org, @lab.example"],
  [/Application \[http:\/\/127\.0\.0\.1:7860\]: $/, application.url.origin],
  [/Mail server: $/, `127.0.0.1:${smtp.port}`],
  [/User: $/, CREDENTIALS.user],
  [/Password: $/, CREDENTIALS.pass],
  [/From \[mailer@runegate\.test\]: $/, ""],
  [/Logged in as[\s\S]*Test mail to \[ada@example\.org\]: $/, ""],
  [/Go on\? \[Y\/n\] $/, ""],
];

async function answerUntil(terminal: AtTerminal, steps: number): Promise<void> {
  for (const [question, answer] of dialog().slice(0, steps)) await terminal.answer(question, answer);
}

test("asks, tries, shows and writes", async () => {
  const dir = freshFolder();
  const sent = smtp.messages.length;
  const terminal = sit(dir);
  await answerUntil(terminal, dialog().length - 1);
  await terminal.says(/Go on/);
  expect(existsSync(dir)).toBe(false);
  terminal.type("\r");
  expect(await terminal.exited).toBe(0);
  expect(terminal.screen()).not.toContain(CREDENTIALS.pass);
  expect(smtp.messages.slice(sent).map(({ to }) => to)).toEqual([["ada@example.org"]]);
  expect(statSync(join(dir, "email.toml")).mode & 0o777).toBe(0o600);
  const { options, email } = loadConfiguration({ env: { RUNEGATE_ENV_FILE: join(dir, "runegate.env") } });
  expect([options.baseUrl, [...options.allowedDomains].join()]).toEqual([
    "https://app.example.test",
    "lab.example",
  ]);
  expect(email?.backends).toMatchObject([CREDENTIALS]);
});

test("asks again with the reason, and proposes what was said before", async () => {
  const dir = freshFolder();
  const terminal = sit(dir);
  const said: readonly (readonly [RegExp, string])[] = [
    [/Domain: $/, "192.0.2.7"],
    [/is no domain name: "192\.0\.2\.7"[\s\S]*Domain: $/, ""],
    [/is no domain name: ""[\s\S]*Domain: $/, "other.example.test"],
    [/Use it all the same/, "perhaps"],
    [/answer yes or no[\s\S]*Use it all the same/, "no"],
    [/Domain: $/, "app.example.test"],
    [/Use it all the same/, "y"],
    [/Allow: $/, "ada"],
    [/no address: "ada"[\s\S]*Allow: $/, "ada@example.org"],
    [/Application .*: $/, "1"],
    [/nothing listens there[\s\S]*all the same/, "n"],
    [/Application .*: $/, application.url.origin],
    [/Mail server: $/, "smtp example"],
    [/not a host name[\s\S]*Mail server: $/, `127.0.0.1:${smtp.port}`],
    [/User: $/, CREDENTIALS.user],
    [/Password: $/, ""],
    [/is empty[\s\S]*Password: $/, "wrong"],
    [/From .*: $/, "nobody"],
    [/not an address[\s\S]*From .*: $/, "Lab <lab@example.org>"],
    [/535[\s\S]*Other settings for mail\? /, ""],
    [/Mail server \[127\.0\.0\.1:\d+\]: $/, ""],
    [/User \[mailer@runegate\.test\]: $/, ""],
    [/Password: $/, CREDENTIALS.pass],
    [/From \[Lab <lab@example\.org>\]: $/, ""],
    [/Test mail to \[ada@example\.org\]: $/, "-"],
    [/Go on/, "yes"],
  ];
  for (const [question, answer] of said) await terminal.answer(question, answer);
  expect(await terminal.exited).toBe(0);
  expect(readFileSync(join(dir, "email.toml"), "utf8")).toContain('from_address = "Lab <lab@example.org>"');
});

describe("whoever leaves has changed nothing", () => {
  test.each([
    ["Ctrl-C at the first question", 0, "\x03"],
    ["Ctrl-D", 2, "\x04"],
    ["Ctrl-C while a password is typed", 6, "secret\x03"],
    ["Ctrl-C at the last question", 9, "\x03"],
    ["no to the last question", 9, "n\r"],
  ])("%s", async (_, steps, keys) => {
    const dir = freshFolder();
    const terminal = sit(dir);
    await answerUntil(terminal, steps);
    await terminal.says(dialog()[steps]?.[0] ?? /^$/);
    terminal.type(keys);
    expect(await terminal.exited).toBe(1);
    expect(terminal.screen()).toContain("Nothing was written.");
    expect(terminal.screen()).not.toContain("secret");
    expect(existsSync(dir)).toBe(false);
  });

  test("Ctrl-C while the mail server hangs", async () => {
    const dir = freshFolder();
    const hanging = await startSmtp({ tls: "none", hangAtGreeting: true });
    try {
      const terminal = sit(dir, "--smtp", `127.0.0.1:${hanging.port}`, "--from", "login@example.test");
      await answerUntil(terminal, 4);
      await terminal.answer(/User: $/, "");
      while (hanging.connections() === 0) await Bun.sleep(5);
      const began = performance.now();
      terminal.type("\x03");
      expect(await terminal.exited).toBe(1);
      expect(performance.now() - began).toBeLessThan(5_000);
      expect(terminal.screen()).toContain("Nothing was written.");
      expect(existsSync(dir)).toBe(false);
    } finally {
      await hanging.stop();
    }
  });
});

test("a file that is there is not changed before that is agreed to", async () => {
  const dir = freshFolder();
  const first = sit(dir);
  await answerUntil(first, dialog().length);
  expect(await first.exited).toBe(0);
  const env = join(dir, "runegate.env");
  const before = readFileSync(env, "utf8");
  writeFileSync(env, `${before}# mine\n`);
  const proposed = [
    [/Domain \[app\.example\.test\]: $/, "other.example.test"],
    [/all the same/, ""],
    [/Allow \[ada@example\.org,@lab\.example\]: $/, ""],
    [/Application \[http:\/\/127\.0\.0\.1:\d+\]: $/, ""],
    [/Keep the settings for mail in .*\? \[Y\/n\] $/, ""],
  ] as const;
  for (const [answer, change] of [
    ["n", before],
    ["", before.replace("app.example.test", "other.example.test")],
  ] as const) {
    const terminal = sit(dir);
    for (const [question, said] of proposed) await terminal.answer(question, said);
    await terminal.says(/\+ RUNEGATE_BASE_URL=https:\/\/other\.example\.test[\s\S]*Go on/);
    terminal.type(`${answer}\r`);
    expect(await terminal.exited).toBe(answer === "n" ? 1 : 0);
    expect(readFileSync(env, "utf8")).toBe(`${change}# mine\n`);
    expect(existsSync(`${env}.previous`)).toBe(answer !== "n");
  }
});

test("a file that somebody else changes meanwhile stays as they have it", async () => {
  const dir = freshFolder();
  const first = sit(dir);
  await answerUntil(first, dialog().length);
  expect(await first.exited).toBe(0);
  const second = sit(dir, "--domain", "other.example.test", "--allow", "bob@example.org", "--target", "1");
  await second.answer(/Keep the settings for mail/, "");
  await second.says(/Go on/);
  const env = join(dir, "runegate.env");
  const theirs = `${readFileSync(env, "utf8")}# theirs\n`;
  writeFileSync(env, theirs);
  second.type("\r");
  expect(await second.exited).toBe(78);
  expect(second.screen()).toContain("changed by somebody else meanwhile");
  expect(readFileSync(env, "utf8")).toBe(theirs);
});

test("what is typed before it is asked for is neither shown nor an answer", async () => {
  const dir = freshFolder();
  const terminal = sit(dir);
  await answerUntil(terminal, 5);
  await terminal.says(/User: $/);
  // As pasted: the lines come at once, and the last is not complete when the password is asked for.
  terminal.paste(`${CREDENTIALS.user}\r${CREDENTIALS.pass}\r${CREDENTIALS.pass}`);
  await terminal.says(/Password: $/);
  expect(terminal.screen()).not.toContain(CREDENTIALS.pass);
  terminal.type(`${CREDENTIALS.pass}\r`);
  await terminal.answer(/From .*: $/, "");
  await terminal.says(/Logged in as/);
  expect(terminal.screen()).not.toContain(CREDENTIALS.pass);
  terminal.type("\x03");
  expect(await terminal.exited).toBe(1);
});

test("Ctrl-Z does not end it", async () => {
  const terminal = sit(freshFolder());
  await terminal.says(/Domain: $/);
  terminal.type("\x1aapp.example.test\r");
  await terminal.says(/leads nowhere yet[\s\S]*Use it all the same/);
  terminal.type("\x03");
  expect(await terminal.exited).toBe(1);
  expect(terminal.screen()).toContain("Nothing was written.");
});

test("a terminal is no file with a password", async () => {
  const terminal = sit(
    freshFolder(),
    "--smtp",
    `127.0.0.1:${smtp.port}`,
    "--smtp-user",
    "ada",
    "--smtp-password-file",
    "/dev/stdin",
  );
  await answerUntil(terminal, 4);
  expect(await terminal.exited).toBe(64);
  expect(terminal.screen()).toContain("names a terminal");
});

test("how the mail server speaks TLS is still known when the login is tried again", async () => {
  const dir = freshFolder();
  const server = ["--smtp", `127.0.0.1:${smtp.port}`, "--smtp-user", CREDENTIALS.user];
  const terminal = sit(dir, ...server, "--smtp-tls", "implicit");
  await answerUntil(terminal, 4);
  await terminal.answer(/Password: $/, "wrong");
  await terminal.answer(/From .*: $/, "");
  await terminal.answer(/Other settings for mail\? /, "");
  await terminal.answer(/Mail server .*: $/, "");
  await terminal.answer(/User .*: $/, "");
  await terminal.answer(/Password: $/, "wrong");
  await terminal.answer(/From .*: $/, "");
  await terminal.answer(/Other settings for mail\? /, "n");
  await terminal.answer(/Go on/, "");
  expect(await terminal.exited).toBe(0);
  expect(readFileSync(join(dir, "email.toml"), "utf8")).toContain('smtp_tls = "implicit"');
});

test("with nobody there it does not ask, and does not take that for agreement", async () => {
  const dir = freshFolder();
  const nobody = startProcess(runegate("setup", "--dir", dir));
  expect([await nobody.exited, nobody.output()]).toEqual([64, expect.stringContaining("say --domain")]);
  writeFileSync(join(folder, "pass"), CREDENTIALS.pass, { mode: 0o600 });
  const all = [
    ...["--domain", "app.example.test", "--allow", "ada@example.org", "--target", application.url.origin],
    ...["--smtp", `127.0.0.1:${smtp.port}`, "--smtp-user", CREDENTIALS.user],
    ...["--smtp-password-file", join(folder, "pass")],
  ];
  const unsure = startProcess(runegate("setup", "--dir", dir, ...all));
  expect([await unsure.exited, unsure.output()]).toEqual([64, expect.stringContaining("say --yes")]);
  expect(existsSync(dir)).toBe(false);
});

test("takes the password from standard input", async () => {
  const dir = freshFolder();
  const all = [
    ...["--domain", "app.example.test", "--allow", "ada@example.org", "--target", application.url.origin],
    ...[
      "--smtp",
      `127.0.0.1:${smtp.port}`,
      "--smtp-user",
      CREDENTIALS.user,
      "--smtp-password-file",
      "/dev/stdin",
    ],
  ];
  const child = Bun.spawn(runegate("setup", "--yes", "--dir", dir, ...all), {
    stdin: new Blob([`${CREDENTIALS.pass}\n`]),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  expect([await child.exited, out + err]).toEqual([0, expect.stringContaining("Logged in")]);
});
