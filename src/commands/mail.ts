import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { systemClock } from "../clock.ts";
import { loadConfiguration } from "../config/configuration.ts";
import { EXIT } from "../exit.ts";
import { previewMails } from "../mail/preview.ts";
import { messageOf } from "../observe/message-of.ts";
import type { Io } from "../process/io.ts";
import { asOwnerOf } from "../rights.ts";
import { type Command, failed, type Outcome, UsageError } from "./command.ts";

const FLAGS = { open: { type: "boolean" }, directory: { type: "string" } } as const;

/** `runegate mail`: what mails look like. */
export const mail: Command<typeof FLAGS> = {
  name: "mail",
  summary: "write the mails to files, to look at them",
  help: `Usage: runegate mail preview [--directory DIR] [--open]

Writes every mail to files, as the settings in email.toml make it: name.html,
name.txt, and name.eml for a mail program. Link and code in them are good for
nothing, and nothing is sent.

  --directory DIR   where to, made if it is not there; a new one below the
                    system's for temporary files unless given
  --open            shows the login mail in a browser

Exit codes: ${EXIT.done} written, ${EXIT.failed} not written, and why, ${EXIT.config} the configuration is wrong.

Example: runegate mail preview --open`,

  readsOptions: true,
  flags: FLAGS,
  words: ["preview"],
  takes: { least: 1, most: 1, what: "preview" },

  async run({ values, words: [verb] }, io) {
    if (verb !== "preview") throw new UsageError(`there is no "mail ${verb}".`);
    if (values.directory === "") throw new UsageError("--directory needs the name of a directory.");
    return preview(values.directory, values.open === true, io);
  },
};

async function preview(named: string | undefined, isShown: boolean, io: Io): Promise<Outcome> {
  const { options, email } = loadConfiguration(io);
  const mails = await previewMails(email, { ...options, now: systemClock.now() });
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
