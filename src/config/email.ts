import { EMAIL_TABLE, type EmailConfig } from "../mail/settings.ts";
import { readableByOthers, readTextFile } from "../option/files.ts";
import { ConfigError, type Finding } from "../option/finding.ts";
import { OPTIONS, type Options } from "./options.ts";
import { type Surroundings, SYSTEM } from "./surroundings.ts";
import { readTable } from "./table.ts";

/** Finding `email.toml`, whose keys are the mail room's. */

export type LoadedEmail = { readonly config: EmailConfig; readonly warnings: readonly Finding[] };

/**
 * Reads the configured file, or else the first of the default places that exists.
 * @returns undefined where there is none and development makes do without.
 * @throws {ConfigError} with everything that is wrong with the file, or with its being missing.
 */
export function findEmailConfig(
  options: Pick<Options, "production" | "emailConfig">,
  surroundings: Surroundings = SYSTEM,
): LoadedEmail | undefined {
  const { emailConfig: configured, production } = options;
  const places = configured === undefined ? surroundings.emailConfigs : [configured];
  for (const path of places) {
    const read = readTextFile(path);
    if (read.kind === "missing") continue;
    if (read.kind === "failed") throw missing(read.problem, read.remedy);
    const { config, warnings } = parseEmailConfig(read.text, path);
    const exposed = config.pass === undefined ? undefined : readableByOthers(path, read.mode, read.uid);
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
 * Parses the text of an `email.toml`; `path` is for the findings, which never quote the password.
 * @throws {ConfigError} with every problem there is.
 */
export function parseEmailConfig(text: string, path: string): LoadedEmail {
  const { values, warnings } = readTable(text, path, EMAIL_TABLE);
  const tls = values.tls ?? (values.port === 465 ? "implicit" : "starttls");
  return { config: { ...values, path, tls }, warnings };
}
