import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { readBrand } from "../brand/files.ts";
import { usualLook } from "../brand/look.ts";
import { systemClock } from "../clock.ts";
import { loadConfiguration } from "../config/configuration.ts";
import { newDeviceNotice } from "../devices/notice.ts";
import { EXIT } from "../exit.ts";
import { askedMail, endsSoonMail, grantedMail, invitedMail, refusedMail } from "../grants/mails.ts";
import { viewNotice } from "../impersonation/notice.ts";
import { keyEndsNotice } from "../keys/upkeep.ts";
import type { ListedMail, TestedMail } from "../mail/api.ts";
import type { MailContent } from "../mail/mailer.ts";
import { EXAMPLE, previewMails } from "../mail/preview.ts";
import { messageOf } from "../observe/message-of.ts";
import { DAY, MINUTE } from "../option/values.ts";
import { ENGLISH } from "../pages/language.ts";
import { loadLanguage } from "../pages/languages.ts";
import type { Look } from "../pages/look.ts";
import { OWN_PREFIX } from "../pages/paths.ts";
import { newPasskeyNotice } from "../passkeys/notice.ts";
import type { Io } from "../process/io.ts";
import { asOwnerOf } from "../rights.ts";
import { endedMail } from "../session/ended-mail.ts";
import { type Command, failed, type Outcome, UsageError } from "./command.ts";
import { addressIn } from "./link.ts";
import { operate, REACH_HELP } from "./operate.ts";
import { minutes, table } from "./table.ts";

const FLAGS = {
  open: { type: "boolean" },
  directory: { type: "string" },
} as const;

/** `runegate mail`: what waits to be sent, and what it looks like. */
export const mail: Command<typeof FLAGS> = {
  name: "mail",
  summary: "list, retry or drop mail that waits; send a test mail; preview mails",
  help: `Usage: runegate mail [list]
       runegate mail retry ID
       runegate mail drop ID
       runegate mail test ADDRESS
       runegate mail preview [--directory DIR] [--language TAG] [--open]

  list           mail that waits to be sent, oldest first, with its tries and
                 why the last one failed (the default)
  retry ID       tries one now; not while it is being sent, so that nobody gets
                 it twice
  drop ID        gives one up; one that is being sent may still arrive
  test ADDRESS   has the running instance send a test mail, and says what the
                 mail server answered (runegate send-email tells each step)
  preview        writes every mail to files, as the settings in email.toml make
                 it: name.html, name.txt, and name.eml for a mail program. Link
                 and code in them are good for nothing, and nothing is sent

  --directory DIR   of preview: where to, made if it is not there; a new one
                    below the system's for temporary files unless given
  --language TAG    of preview: in which language, such as de, and not English
  --open            of preview: shows the login mail in a browser

For all but preview: ${REACH_HELP[0]?.toLowerCase()}${REACH_HELP.slice(1)}

Exit codes: ${EXIT.done} done, ${EXIT.failed} not done, and why, ${EXIT.config} the configuration is wrong.

Example: runegate mail preview --open`,

  readsOptions: true,
  flags: FLAGS,
  words: ["list", "retry", "drop", "test", "preview"],
  takes: { least: 0, most: 2, what: "list, retry, drop, test or preview" },

  async run({ values, words: [verb = "list", named, ...more] }, io) {
    if (!Object.hasOwn(NAMES, verb)) throw new UsageError(`there is no "mail ${verb}".`);
    const names = NAMES[verb];
    if ((named !== undefined) !== (names !== undefined) || more.length > 0 || named === "")
      throw new UsageError(`mail ${verb} takes ${names ?? "no names"}.`);
    const { directory } = values;
    if (verb !== "preview" && (values.open || directory !== undefined))
      throw new UsageError("--open and --directory are of mail preview.");
    if (directory === "") throw new UsageError("--directory needs the name of a directory.");
    if (verb === "preview") return preview(directory, values.open === true, io);
    const address = verb === "test" ? addressIn(named ?? "") : undefined;
    return operate(io, async (operator) => {
      if (address !== undefined) return sayTested(await operator.testMail(address), address, io);
      if (named === undefined) {
        const waiting = await operator.mails();
        io.out(tableOf(waiting));
        return { data: waiting };
      }
      await (verb === "retry" ? operator.retryMail(named) : operator.dropMail(named));
      io.out(verb === "retry" ? "It is tried again, within ten seconds." : "It is given up.");
      return { data: { id: named } };
    });
  },
};

/** What each verb is about. */
const NAMES: Readonly<Record<string, string | undefined>> = {
  ...{ list: undefined, preview: undefined },
  ...{ retry: "one id, as listed", drop: "one id, as listed", test: "one address" },
};

function sayTested(tested: TestedMail, address: string, io: Io): Outcome {
  if (!tested.sent) {
    io.err(`It was not sent: ${tested.reason}`);
    io.err(`What to do: ${tested.remedy}`);
    return { code: EXIT.failed, data: tested };
  }
  io.out(`${tested.by} took the mail to ${address}: ${tested.answer}`);
  io.out("If it does not arrive, look into the spam folder, and check SPF and DKIM of the sender's domain.");
  return { data: tested };
}

function tableOf(waiting: readonly ListedMail[]): string {
  if (waiting.length === 0) return "No mail waits.";
  return table([
    ["ID", "TO", "WHAT", "QUEUED", "OF USE UNTIL", "TRIES", "NEXT TRY", "WHY IT FAILED"],
    ...waiting.map((one) => [
      one.id,
      one.email,
      one.kind ?? "",
      minutes(one.queued_at),
      minutes(one.expires_at),
      `${one.attempts}`,
      minutes(one.next_attempt_at),
      one.last_error ?? "",
    ]),
  ]);
}

async function preview(named: string | undefined, isShown: boolean, io: Io): Promise<Outcome> {
  const { options, email } = loadConfiguration(io);
  const now = systemClock.now();
  const language = options.language === undefined ? ENGLISH : await loadLanguage(options.language);
  const look = { ...usualLook(options), language };
  const logo = readBrand(options.brand).mailLogo;
  const mails = await previewMails(
    email,
    { ...options, now, logo },
    look,
    noticesOf(look, options.baseUrl, now),
  );
  let directory: string;
  try {
    directory =
      named === undefined
        ? write(mkdtempSync(join(tmpdir(), "runegate-mail-")), mails)
        : asOwnerOf(named, () => write(resolve(named), mails));
  } catch (error) {
    return failed(io, `runegate mail: ${messageOf(error)}`);
  }
  const files = [...mails.keys()].map((name) => join(directory, name));
  io.out(files.join("\n"));
  const [first = directory] = files;
  if (isShown && !show(first, io))
    return failed(io, `There is no browser to be opened here: look at ${first}.`);
  return { data: { files } };
}

/** All that is sent besides the login mail, by the rooms that send it. */
function noticesOf(look: Look, baseUrl: string, now: number): Readonly<Record<string, MailContent>> {
  const about = { email: EXAMPLE, at: now, where: "203.0.113.0/24, Firefox on Linux" };
  const from = { client: { ip: "203.0.113.7" }, headers: { "user-agent": "Firefox/140.0 Linux" } };
  const view = {
    email: EXAMPLE,
    admin: "root@example.org",
    reason: "They asked for help",
    startedAt: now,
    endsAt: now + 15 * MINUTE,
  };
  const key = { id: "k1k2k3k4k5k6", description: "backup", expiresAt: now + 7 * DAY };
  return {
    "new-browser": newDeviceNotice(look, { ...about, url: `${baseUrl}${OWN_PREFIX}/not-me?token=preview` }),
    "new-passkey": newPasskeyNotice(look, { ...about, baseUrl }),
    "session-ended": endedMail(look, about, from, systemClock).content,
    "key-ends": keyEndsNotice(look, key, baseUrl),
    invited: invitedMail(look, { ...about, url: `${baseUrl}${OWN_PREFIX}/auth?token=preview` }),
    "access-asked": askedMail(look, { count: 1, at: now, url: `${baseUrl}${OWN_PREFIX}/requests` }),
    "access-granted": grantedMail(look, { what: look.app, at: now, until: key.expiresAt, url: baseUrl }),
    "access-refused": refusedMail(look, { what: look.app, at: now }),
    "access-ends": endsSoonMail(look, { what: look.app, at: key.expiresAt, url: baseUrl }),
    viewed: viewNotice(look, view, look.app).content,
  };
}

function write(directory: string, mails: ReadonlyMap<string, string>): string {
  mkdirSync(directory, { recursive: true });
  for (const [name, content] of mails) writeFileSync(join(directory, name), content);
  return directory;
}

/** What opens a file as a person would. @returns false if there is nothing of the kind. */
function show(path: string, { env }: Io): boolean {
  const name = process.platform === "darwin" ? "open" : "xdg-open";
  const opener = Bun.which(name, env.PATH === undefined ? {} : { PATH: env.PATH });
  if (opener === null) return false;
  Bun.spawn([opener, path], { stdio: ["ignore", "ignore", "ignore"] }).unref();
  return true;
}
