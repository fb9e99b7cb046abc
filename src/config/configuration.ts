import type { EmailConfig } from "../mail/settings.ts";
import { isLoopbackHost } from "../net/loopback.ts";
import { type FilesRead, notingFiles } from "../option/files.ts";
import { ConfigError, type Finding } from "../option/finding.ts";
import type { Client } from "../provider/client.ts";
import { findClients, type LoadedClients, NO_CLIENTS } from "./clients.ts";
import { findEmailConfig } from "./email.ts";
import { readOptions, type Sources } from "./load.ts";
import { OPTIONS, type Options } from "./options.ts";
import { findRoutes, parseRoutes, ROUTE_OPTIONS, type RouteOptions, type RoutesFile } from "./routes.ts";
import { NOBODY_MAY } from "./rules.ts";
import { type Environment, type Given, type Surroundings, SYSTEM } from "./surroundings.ts";

/** Options, `email.toml` and `routes.toml` together: what a gateway needs to start. */

export type Configuration = Access & {
  /** Undefined in development without an `email.toml`: mail then goes to the mailbox. */
  readonly email: EmailConfig | undefined;
};

/** The same without mail: who may use which application, for the command line. */
export type Access = {
  readonly options: Options;
  /** Undefined where there is none, and so one application, the options'. */
  readonly routesFile: RoutesFile | undefined;
  /** Applications that sign people in with us. */
  readonly clients: readonly Client[];
  readonly warnings: readonly Finding[];
  readonly sources: Sources;
};

/**
 * Loads everything.
 * @param files gets every file that was looked at, also where it throws.
 * @throws {ConfigError} with all problems of options and both files in one report.
 */
export function loadConfiguration(
  given: Given,
  surroundings: Surroundings = SYSTEM,
  files: FilesRead = new Map(),
): Configuration {
  const [access, email] = notingFiles(files, () => {
    const access = readAccess(given, surroundings);
    return [access, readEmail(access.options, surroundings, given.env)] as const;
  });
  const problems = [...access.problems, ...email.problems, ...mailProblems(access.options, email)];
  return { ...whole({ ...access, problems }, email.warnings), email: email.config };
}

/**
 * Loads the options and `routes.toml`. Mail that is set up wrong is no reason not to revoke a session.
 * @throws {ConfigError} with all problems of both.
 */
export function loadAccess(given: Given, surroundings: Surroundings = SYSTEM): Access {
  return whole(readAccess(given, surroundings));
}

/** As {@link Access}, before anything is decided about the problems. `options` has the good values only. */
export type ReadAccess = Omit<Access, "options"> & {
  readonly options: Partial<Options>;
  readonly problems: readonly Finding[];
};

/** Reads what can be read and reports the rest; for showing a configuration that may be broken. */
export function readAccess(given: Given, surroundings: Surroundings = SYSTEM): ReadAccess {
  const { options, problems, warnings, sources } = readOptions(given, surroundings);
  const routes = readRoutes(options, sources, surroundings);
  const clients = readClients(options, routes.file, surroundings);
  // Where a file says who may use what, the options need not.
  const needless = ({ problem }: Finding) => routes.isThere && problem === NOBODY_MAY;
  return {
    options,
    routesFile: routes.file,
    clients: clients.clients,
    problems: [...problems.filter((one) => !needless(one)), ...routes.problems, ...clients.problems],
    warnings: [...warnings.filter((one) => !needless(one)), ...routes.warnings, ...clients.warnings],
    sources,
  };
}

/** @throws {ConfigError} */
function whole({ problems, ...access }: ReadAccess, more: readonly Finding[] = []): Access {
  const warnings = [...access.warnings, ...more];
  if (problems.length > 0) throw new ConfigError(problems, warnings);
  // No problem means that every option was read; see `loadOptions`.
  return { ...access, options: access.options as Options, warnings };
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

function readEmail(options: Partial<Options>, surroundings: Surroundings, env: Environment): ReadEmail {
  // A path that is no path has been reported; looking in the default places instead would only confuse.
  if (!("emailConfig" in options)) return NO_EMAIL;
  try {
    const { production = false, emailConfig } = options;
    return { ...NO_EMAIL, ...findEmailConfig({ production, emailConfig }, surroundings, env) };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { config: undefined, problems: error.problems, warnings: error.warnings };
  }
}

function readClients(
  options: Partial<Options>,
  routes: RoutesFile | undefined,
  surroundings: Surroundings,
): LoadedClients & { readonly problems: readonly Finding[] } {
  if (!("clients" in options)) return { ...NO_CLIENTS, problems: [] };
  try {
    const found = findClients({ clients: options.clients }, routes, surroundings);
    return { ...found, problems: relayProblems(options, found.clients) };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { clients: [], problems: error.problems, warnings: error.warnings };
  }
}

function relayProblems({ tokenRelay }: Partial<Options>, clients: readonly Client[]): Finding[] {
  return [...new Set(tokenRelay?.values())]
    .filter((name) => !clients.some(({ id }) => id === name))
    .map((name) => ({
      option: OPTIONS.tokenRelay.name,
      problem: `names a client that is not there: ${name}`,
      remedy: "Declare it in clients.toml.",
    }));
}

type ReadRoutes = {
  /** Whether there are applications in a file, good or not. */
  readonly isThere: boolean;
  readonly file: RoutesFile | undefined;
  readonly problems: readonly Finding[];
  readonly warnings: readonly Finding[];
};

function readRoutes(options: Partial<Options>, sources: Sources, surroundings: Surroundings): ReadRoutes {
  const none: ReadRoutes = { isThere: false, file: undefined, problems: [], warnings: [] };
  if (!("routes" in options)) return none;
  try {
    const found = findRoutes({ routes: options.routes }, surroundings);
    if (found === undefined) return none;
    // What options the routes go by has been said to be wrong; the file is looked at once they are right.
    if (ROUTE_OPTIONS.some((key) => !(key in options))) return { ...none, isThere: true };
    const read = parseRoutes(found.text, found.path, options as RouteOptions);
    // One that has providers or hooks alone leaves the application to the options.
    if (read.file.routes.length === 0) return { ...none, ...read };
    return { ...read, isThere: true, problems: sources.target.given ? [targetBesideRoutes(found.path)] : [] };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { isThere: true, file: undefined, problems: error.problems, warnings: error.warnings };
  }
}

function targetBesideRoutes(path: string): Finding {
  return {
    option: OPTIONS.target.name,
    problem: `is set, and so is ${path}, whose routes have targets of their own`,
    remedy: `Move it there, as the target of a route, and remove ${OPTIONS.target.name}.`,
  };
}
