import type { EmailConfig } from "../mail/settings.ts";
import { isLoopbackHost } from "../net/loopback.ts";
import { ConfigError, type Finding } from "../option/finding.ts";
import { findEmailConfig } from "./email.ts";
import { readOptions, type Sources } from "./load.ts";
import { OPTIONS, type Options } from "./options.ts";
import { type Given, type Surroundings, SYSTEM } from "./surroundings.ts";

/** Options and `email.toml` together: what a gateway needs to start. */

export type Configuration = {
  readonly options: Options;
  /** Undefined in development without an `email.toml`: mail then goes to the mailbox. */
  readonly email: EmailConfig | undefined;
  readonly warnings: readonly Finding[];
  readonly sources: Sources;
};

/**
 * Loads everything.
 * @throws {ConfigError} with all problems of options and `email.toml` in one report.
 */
export function loadConfiguration(given: Given, surroundings: Surroundings = SYSTEM): Configuration {
  const { options, problems, warnings, sources } = readOptions(given, surroundings);
  const email = readEmail(options, surroundings);
  const allProblems = [...problems, ...email.problems, ...mailProblems(options, email)];
  const allWarnings = [...warnings, ...email.warnings];
  if (allProblems.length > 0) throw new ConfigError(allProblems, allWarnings);
  // No problem means that every option was read; see `loadOptions`.
  return { options: options as Options, email: email.config, warnings: allWarnings, sources };
}

/** Mail that is kept in the mailbox reaches nobody who is not at this machine, and whoever is there could read it. */
function mailProblems({ production, baseUrl }: Partial<Options>, email: ReadEmail): Finding[] {
  if (production !== false || baseUrl === undefined) return [];
  if (email.config !== undefined || email.problems.length > 0) return [];
  if (isLoopbackHost(new URL(baseUrl).hostname)) return [];
  return [
    {
      option: OPTIONS.emailConfig.name,
      problem: `has no email.toml, so nobody who comes to ${baseUrl} would get a mail`,
      remedy: "Write an email.toml, and set RUNEGATE_ENV=production for a site that others use.",
    },
  ];
}

type ReadEmail = {
  readonly config: EmailConfig | undefined;
  readonly problems: readonly Finding[];
  readonly warnings: readonly Finding[];
};

const NO_EMAIL: ReadEmail = { config: undefined, problems: [], warnings: [] };

function readEmail(options: Partial<Options>, surroundings: Surroundings): ReadEmail {
  // A path that is no path has been reported; looking in the default places instead would only confuse.
  if (!("emailConfig" in options)) return NO_EMAIL;
  try {
    const { production = false, emailConfig } = options;
    return { ...NO_EMAIL, ...findEmailConfig({ production, emailConfig }, surroundings) };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { config: undefined, problems: error.problems, warnings: error.warnings };
  }
}
