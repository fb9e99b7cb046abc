import {
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { systemRandom } from "../clock.ts";
import { parseEnvFile } from "../config/env-file.ts";
import { OPTIONS } from "../config/options.ts";
import { readableByOthers } from "../option/files.ts";
import { ConfigError, describe } from "../option/finding.ts";
import type { Io } from "../process/io.ts";
import { asOwnerOf } from "../rights.ts";
import { freshJwtSecret, freshSessionKey } from "../secret/values.ts";
import { type Command, failed, type Outcome, UsageError } from "./command.ts";

/** The secrets an installation needs, in the order they are written. */
const SECRETS = [
  { name: OPTIONS.jwtSecret.name, make: freshJwtSecret },
  { name: OPTIONS.sessionKey.name, make: freshSessionKey },
] as const;

const FLAGS = { "env-file": { type: "string" } } as const;

export const secrets: Command<typeof FLAGS> = {
  name: "secrets",
  summary: "print fresh secrets, or add missing ones to an env file",
  help: `Usage: runegate secrets [--env-file FILE]

Prints fresh secrets as lines for an env file. With --env-file it adds to FILE
the ones that are missing there, prints none of them, and leaves everything
else in the file as it is. A new file can be read by its owner only.

  --env-file FILE    the file to add to

Example: runegate secrets --env-file /etc/runegate/runegate.env`,

  flags: FLAGS,

  async run({ values }, io) {
    const path = values["env-file"];
    if (path === "") throw new UsageError("--env-file needs the name of a file.");
    if (path !== undefined) return asOwnerOf(path, () => addMissing(path, io));
    const made = SECRETS.map(({ name, make }) => [name, make(systemRandom)]);
    for (const pair of made) io.out(pair.join("="));
    return { data: Object.fromEntries(made) };
  },
};

function addMissing(named: string, io: Io): Outcome {
  try {
    const { path, before, mode, owner } = readExisting(named);
    const { entries, problems } = parseEnvFile(before.toString("utf8"), path);
    if (problems.length > 0) throw new ConfigError(problems);
    const isSet = (name: string) => (entries.get(name)?.value ?? "").trim() !== "";
    const missing = SECRETS.filter(({ name }) => !isSet(name) && !isSet(`${name}_FILE`));
    if (missing.length > 0) {
      const gap = before.length === 0 || before.at(-1) === 0x0a ? "" : "\n";
      const lines = missing.map(({ name, make }) => `${name}=${make(systemRandom)}\n`).join("");
      replaceFile(path, Buffer.concat([before, Buffer.from(gap + lines)]), mode, owner);
    }
    const done = SECRETS.map((secret) => [secret.name, missing.includes(secret) ? "added" : "already set"]);
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

type Existing = {
  /** Where the file really is, so that a symbolic link stays one. */
  readonly path: string;
  readonly before: Buffer;
  readonly mode: number;
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
};

const OWNER_ONLY = 0o600;

function readExisting(named: string): Existing {
  try {
    const path = realpathSync(named);
    const { mode, uid, gid } = statSync(path);
    return { path, before: readFileSync(path), mode: mode & 0o777, owner: { uid, gid } };
  } catch (error) {
    if (!isSystemError(error) || error.code !== "ENOENT") throw error;
    return { path: named, before: Buffer.alloc(0), mode: OWNER_ONLY, owner: undefined };
  }
}

/** Whoever reads the file meanwhile, or after a crash, sees the old content or the new, never a part. */
function replaceFile(path: string, content: Buffer, mode: number, owner: Existing["owner"]): void {
  const temporary = `${path}.${Buffer.from(systemRandom.bytes(6)).toString("hex")}.tmp`;
  const file = openSync(temporary, "wx", OWNER_ONLY);
  try {
    try {
      for (let written = 0; written < content.length; ) written += writeSync(file, content, written);
      // Owner first: changing it may clear mode bits (chown(2)).
      if (owner !== undefined && process.geteuid?.() === 0) fchownSync(file, owner.uid, owner.gid);
      fchmodSync(file, mode);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

function isSystemError(error: unknown): error is Error & { code: string } {
  return error instanceof Error && "errno" in error && "code" in error;
}
