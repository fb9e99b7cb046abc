import { dirname, join, resolve } from "node:path";
import type { Files } from "../mail/backend-settings.ts";
import { type EmailConfig, emailConfigOf, emailTable } from "../mail/settings.ts";
import { readableByOthers, readTextFile } from "../option/files.ts";
import { ConfigError, type Finding } from "../option/finding.ts";
import { ValueError } from "../option/value-error.ts";
import { OPTIONS, type Options } from "./options.ts";
import { type Environment, type Surroundings, SYSTEM } from "./surroundings.ts";
import { readTable } from "./table.ts";

/** Finding `email.toml`, whose keys are the mail room's, and what it names. */

export type LoadedEmail = { readonly config: EmailConfig; readonly warnings: readonly Finding[] };

/**
 * Reads the configured file, or else the first of the default places that exists.
 * @returns undefined where there is none and development makes do without.
 * @throws {ConfigError} with everything that is wrong with the file, or with its being missing.
 */
export function findEmailConfig(
  options: Pick<Options, "production" | "emailConfig">,
  surroundings: Surroundings = SYSTEM,
  env: Environment = {},
): LoadedEmail | undefined {
  const credentials = env.CREDENTIALS_DIRECTORY || surroundings.serviceCredentials;
  const { emailConfig: configured, production } = options;
  const places = configured === undefined ? surroundings.emailConfigs : [configured];
  for (const path of places) {
    const read = readTextFile(path);
    if (read.kind === "missing") continue;
    if (read.kind === "failed") throw missing(read.problem, read.remedy);
    const { config, warnings } = parseEmailConfig(read.text, path, credentials);
    const holdsSecret = config.backends.some((one) => one.kind === "smtp" && one.pass !== undefined);
    const exposed = holdsSecret ? readableByOthers(path, read.mode, read.uid) : undefined;
    return { config, warnings: exposed === undefined ? warnings : [...warnings, exposed] };
  }
  if (configured !== undefined) {
    throw missing(
      `names a file that does not exist: ${configured}`,
      production ? `Create it. ${BEGIN_WITH}` : `Create it, or leave the option out. ${BEGIN_WITH}`,
    );
  }
  if (production) {
    throw missing(
      "is not set, and no email.toml was found, without which production sends no mail",
      `Create ${places[0] ?? "email.toml"}. ${BEGIN_WITH}`,
    );
  }
  return undefined;
}

const BEGIN_WITH = "`runegate config --example email` prints one to begin with.";

function missing(problem: string, remedy: string): ConfigError {
  return new ConfigError([{ option: OPTIONS.emailConfig.name, problem, remedy }]);
}

/**
 * Parses the text of an `email.toml`; `path` is for the findings, which never quote a secret, and for what the file names.
 * @param credentials the directory of systemd's.
 * @throws {ConfigError} with every problem there is.
 */
export function parseEmailConfig(text: string, path: string, credentials?: string): LoadedEmail {
  const exposed = new Map<string, Finding>();
  const files = filesBeside(path, credentials, exposed);
  const { values, warnings } = readTable(text, path, emailTable(files));
  const config = emailConfigOf(values, path, files);
  return { config, warnings: [...warnings, ...exposed.values()] };
}

/** @param exposed gets a warning for each file with a secret that others can read. */
function filesBeside(path: string, credentials: string | undefined, exposed: Map<string, Finding>): Files {
  const pathOf = (name: string) => resolve(dirname(path), name);
  function read(name: string) {
    const named = pathOf(name);
    const found = readTextFile(named);
    if (found.kind === "missing")
      throw new ValueError(`names a file that does not exist: ${named}`, "Create it.");
    if (found.kind === "failed") throw new ValueError(found.problem, found.remedy);
    return { ...found, path: named };
  }
  return {
    path: pathOf,
    text: read,
    secret(name) {
      const found = read(name);
      const finding = readableByOthers(found.path, found.mode, found.uid);
      if (finding !== undefined) exposed.set(found.path, finding);
      return notEmpty(found.text, found.path);
    },
    credential(name) {
      if (credentials === undefined) return undefined;
      const named = join(credentials, name);
      const found = readTextFile(named);
      // systemd alone decides who can read a credential, so its mode says nothing.
      return found.kind === "read" ? notEmpty(found.text, named) : undefined;
    },
  };
}

function notEmpty(text: string, path: string): string {
  const secret = text.trim();
  if (secret === "") throw new ValueError(`names an empty file: ${path}`, "Write the secret into it.");
  return secret;
}
