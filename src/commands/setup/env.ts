import { existsSync } from "node:fs";
import { loadAccess } from "../../config/configuration.ts";
import { removeLine } from "../../config/env-edit.ts";
import { parseEnvFile } from "../../config/env-file.ts";
import { EXAMPLES } from "../../config/examples.ts";
import { ENV_FILE, OPTIONS } from "../../config/options.ts";
import { SYSTEM } from "../../config/surroundings.ts";
import { ConfigError, describe, type Finding } from "../../option/finding.ts";
import type { Io } from "../../process/io.ts";
import { UsageError } from "../command.ts";
import type { Existing } from "../replace-file.ts";
import { missingSecrets } from "../secrets.ts";
import type { Dialog } from "./dialog.ts";
import type { Place } from "./place.ts";
import { askAllowed, askDomain, askTarget } from "./questions.ts";
import { fillEnv, withoutProxy } from "./texts.ts";

/** What becomes of runegate.env, and what of it the rest goes by. */
export type Env = {
  readonly text: string;
  readonly domain: string;
  /** The base URL, which may have a port. */
  readonly origin: string;
  /** As RUNEGATE_TLS. */
  readonly tls: string;
  /** An address that may sign in. */
  readonly someone: string | undefined;
  /** Where the settings for mail are, if that is said. */
  readonly emailConfig: string | undefined;
};

/**
 * Asks what the file has to say. What it says already is proposed, and what no question is about stays.
 * @throws {ConfigError} if the answers, and the flags that stand for other options, do not go together.
 */
export async function askEnv(
  dialog: Dialog,
  given: { readonly domain?: string; readonly allow?: string },
  existing: Existing,
  place: Place,
  io: Io,
): Promise<Env> {
  const { [ENV_FILE.name]: envFile, ...flags } = io.flags ?? {};
  if (envFile !== undefined) throw new UsageError("--env-file is not for setup; --dir names a folder.");
  const isNew = existing.owner === undefined;
  const before = isNew ? (EXAMPLES.get("env") ?? "") : existing.before.toString("utf8");
  const { entries, problems } = parseEnvFile(before, place.env);
  if (problems.length > 0) throw new ConfigError(problems);
  const said = ({ name }: { readonly name: string }) => entries.get(name)?.value || undefined;
  const known = (option: { readonly name: string }) => flags[option.name] ?? said(option);
  const values: Record<string, string> = { ...(isNew ? place.own : {}), ...flags };
  // Else the settings for mail would be written where nobody looks for them.
  if (!(isNew || place.isInstalled) && known(OPTIONS.emailConfig) === undefined)
    values[OPTIONS.emailConfig.name] = place.email;

  const origin = known(OPTIONS.baseUrl);
  const host = origin === undefined ? undefined : URL.parse(origin)?.hostname;
  const domain = await askDomain(dialog, given.domain ?? flags[OPTIONS.baseUrl.name], host);
  const baseUrl = origin !== undefined && host === domain ? origin : `https://${domain}`;
  values[OPTIONS.baseUrl.name] = baseUrl;

  const hasRoutes = known(OPTIONS.routes) !== undefined || existsSync(place.routes);
  let someone: string | undefined;
  if (given.allow !== undefined || !(hasRoutes || isTrue(known(OPTIONS.allowAnyEmail)))) {
    const [emails = "", domains = ""] = [known(OPTIONS.allowedEmails), known(OPTIONS.allowedDomains)];
    const allowed = await askAllowed(dialog, given.allow, { emails, domains });
    [someone] = allowed.emails.split(",").filter(Boolean);
    values[OPTIONS.allowedEmails.name] = allowed.emails;
    if (allowed.domains !== domains) values[OPTIONS.allowedDomains.name] = allowed.domains;
  }
  if (!hasRoutes)
    values[OPTIONS.target.name] = await askTarget(dialog, flags[OPTIONS.target.name], said(OPTIONS.target));

  // One that was never filled in has nothing in front of it yet.
  const tls = known(OPTIONS.tls) ?? (said(OPTIONS.baseUrl) === undefined ? "acme" : "off");
  const isOpened = tls !== "off" && (said(OPTIONS.tls) ?? "off") === "off";
  const base = isNew && hasRoutes ? removeLine(before, OPTIONS.target.name) : before;
  const filled = fillEnv(isOpened ? withoutProxy(base, tls) : base, values);
  const { added } = missingSecrets(filled, place.env);
  for (const warning of warningsOf(filled + added, place)) io.err(`warning: ${describe(warning)}`);
  return {
    // To one that is installed install.sh adds them, unless the service has them from elsewhere.
    text: isNew || !place.isInstalled ? filled + added : filled,
    ...{ domain, origin: baseUrl, tls, someone },
    emailConfig: isNew ? flags[OPTIONS.emailConfig.name] : known(OPTIONS.emailConfig),
  };
}

const isTrue = (text: string | undefined) => /^(?:true|1|yes|on)$/i.test(text ?? "");

/** As the service will read it. @throws {ConfigError} */
function warningsOf(text: string, { env, routes }: Place): readonly Finding[] {
  const { entries, problems } = parseEnvFile(text, env);
  if (problems.length > 0) throw new ConfigError(problems);
  const values = Object.fromEntries(Array.from(entries, ([name, { value }]) => [name, value]));
  // In place of those that the service may have as credentials, there are the ones that were just made.
  const surroundings = { ...SYSTEM, envFiles: [], routesFiles: [routes], serviceCredentials: "/nonexistent" };
  return loadAccess({ env: values }, surroundings).warnings;
}
