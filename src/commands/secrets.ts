import { systemRandom } from "../clock.ts";
import { parseEnvFile } from "../config/env-file.ts";
import { OPTIONS } from "../config/options.ts";
import { EXIT } from "../exit.ts";
import { readableByOthers } from "../option/files.ts";
import { ConfigError, describe } from "../option/finding.ts";
import type { Io } from "../process/io.ts";
import { asOwnerOf } from "../rights.ts";
import { freshJwtSecret, freshSessionKey } from "../secret/values.ts";
import { type Command, failed, type Outcome, UsageError } from "./command.ts";
import { isSystemError, readExisting, replaceFile } from "./replace-file.ts";
import { finishRotation, rotateSecrets } from "./rotate-secrets.ts";

/** The secrets an installation needs, in the order they are written. */
const SECRETS = [
  { name: OPTIONS.jwtSecret.name, make: freshJwtSecret },
  { name: OPTIONS.sessionKey.name, make: freshSessionKey },
] as const;

const FLAGS = {
  "env-file": { type: "string" },
  now: { type: "boolean" },
  finish: { type: "boolean" },
  force: { type: "boolean" },
} as const;

export const secrets: Command<typeof FLAGS> = {
  name: "secrets",
  summary: "print fresh secrets, add missing ones to an env file, or rotate them",
  help: `Usage: runegate secrets [--env-file FILE]
       runegate secrets rotate [--now] [--env-file FILE]
       runegate secrets rotate --finish [--force] [--env-file FILE]

Prints fresh secrets as lines for an env file. With --env-file it adds to FILE
the ones that are missing there, prints none of them, and leaves everything
else in the file as it is. A new file can be read by its owner only.

rotate makes new secrets in the env file, or in the files that it names, keeps
the ones before as ..._PREVIOUS, and has the running instance reload. Nobody is
signed out: the ones before are accepted until --finish takes them out, which
it refuses before nothing needs them any more, unless --force says otherwise.

With a store that other machines may share (Valkey, PostgreSQL), the first
rotate only announces the new ones as ..._NEXT: copy these to the other
machines, reload there, and then run rotate again on each.

  --env-file FILE    the file to change; for rotate the one that the options
                     are read from, unless this says otherwise
  --now              do not announce: no other machine shares the store
  --finish           take the secrets before out
  --force            whatever still needs them

Exit codes: ${EXIT.done} done, ${EXIT.failed} refused or not possible, and the reason is said.

Example: runegate secrets --env-file /etc/runegate/runegate.env`,

  flags: FLAGS,
  words: ["rotate"],
  takes: { least: 0, most: 1, what: "rotate, or nothing" },

  async run({ values, words: [verb] }, io) {
    const path = values["env-file"];
    if (path === "") throw new UsageError("--env-file needs the name of a file.");
    if (verb === "rotate") {
      if (values.force && !values.finish) throw new UsageError("--force goes with --finish.");
      if (values.now && values.finish) throw new UsageError("--now does not go with --finish.");
      return values.finish
        ? finishRotation(path, values.force === true, io)
        : rotateSecrets(path, values.now === true, io);
    }
    if (verb !== undefined) throw new UsageError(`there is no ${JSON.stringify(verb)}, only rotate.`);
    if (values.now || values.finish || values.force)
      throw new UsageError("--now, --finish and --force go with rotate.");
    if (path !== undefined) return asOwnerOf(path, () => addMissing(path, io));
    const made = SECRETS.map(({ name, make }) => [name, make(systemRandom)]);
    for (const pair of made) io.out(pair.join("="));
    return { data: Object.fromEntries(made) };
  },
};

/**
 * What the text of an env file lacks.
 * @returns the names of the secrets, and what is to be added at its end.
 * @throws {ConfigError} if it cannot be read as one.
 */
export function missingSecrets(
  text: string,
  path: string,
): { readonly names: readonly string[]; readonly added: string } {
  const { entries, problems } = parseEnvFile(text, path);
  if (problems.length > 0) throw new ConfigError(problems);
  const isSet = (name: string) => (entries.get(name)?.value ?? "").trim() !== "";
  const missing = SECRETS.filter(({ name }) => !isSet(name) && !isSet(`${name}_FILE`));
  const lines = missing.map(({ name, make }) => `${name}=${make(systemRandom)}\n`).join("");
  const gap = text === "" || text.endsWith("\n") ? "" : "\n";
  return { names: missing.map(({ name }) => name), added: gap + lines };
}

function addMissing(named: string, io: Io): Outcome {
  try {
    const { path, before, mode, owner } = readExisting(named);
    const { added, names } = missingSecrets(before.toString("utf8"), path);
    if (names.length > 0) replaceFile({ path, mode, owner }, Buffer.concat([before, Buffer.from(added)]));
    const done = SECRETS.map(({ name }) => [name, names.includes(name) ? "added" : "already set"]);
    for (const pair of done) io.out(pair.join(": "));
    const exposed = readableByOthers(path, mode, owner?.uid ?? 0);
    if (exposed !== undefined) io.err(`warning: ${describe(exposed)}`);
    return { data: Object.fromEntries(done) };
  } catch (error) {
    if (!isSystemError(error)) throw error;
    const advice = "Check that you may write to its directory.";
    return failed(io, `runegate secrets: ${named} cannot be written: ${error.code}. ${advice}`);
  }
}
