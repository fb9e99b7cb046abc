import { dirname } from "node:path";
import { EXAMPLES } from "../../config/examples.ts";
import type { Io } from "../../process/io.ts";
import { asOwnerOf } from "../../rights.ts";
import { UsageError } from "../command.ts";
import { type Existing, readExisting } from "../replace-file.ts";
import type { Dialog } from "./dialog.ts";
import { askEnv } from "./env.ts";
import { askEmail, type MailFlags, mailSetting } from "./mail.ts";
import type { Place } from "./place.ts";
import { differences } from "./texts.ts";

/** What is to be written, agreed upon. */
export type Plan = {
  readonly env: Planned;
  readonly email: Planned;
  readonly domain: string;
  /** The base URL. */
  readonly origin: string;
  /** As RUNEGATE_TLS. */
  readonly tls: string;
  /** An address that may sign in. */
  readonly someone: string | undefined;
};

/** A file as it is and as it will be. */
export type Planned = {
  readonly path: string;
  readonly existing: Existing;
  readonly text: string;
  /** What one to begin with says. */
  readonly example: string;
};

export type Answers = MailFlags & { readonly domain?: string; readonly allow?: string };

/**
 * Asks what has to be known, and shows what comes of it.
 * @returns undefined where it is not agreed to, or mail does not work.
 * @throws {ConfigError} if the answers do not go together.
 */
export async function makePlan(
  dialog: Dialog,
  given: Answers,
  place: Place,
  io: Io,
): Promise<Plan | undefined> {
  const read = (path: string) => asOwnerOf(dirname(path), () => readExisting(path));
  const [envBefore, emailBefore] = [read(place.env), read(place.email)];
  const { text, domain, origin, tls, someone, emailConfig } = await askEnv(
    dialog,
    given,
    envBefore,
    place,
    io,
  );
  const isElsewhere = emailConfig !== undefined && emailConfig !== place.email;
  const setting = mailSetting(given);
  if (isElsewhere && setting !== undefined)
    throw new UsageError(
      `--${setting} would say what is said by ${emailConfig}, and that file is left alone.`,
    );
  const email = isElsewhere
    ? emailBefore.before.toString("utf8")
    : await askEmail(dialog, given, { domain, origin, someone, path: place.email }, emailBefore, io);
  if (email === undefined) return undefined;
  const planned = (name: "env" | "email", existing: Existing, wanted: string): Planned => ({
    ...{ path: place[name], existing, text: wanted, example: EXAMPLES.get(name) ?? "" },
  });
  const plan: Plan = {
    env: planned("env", envBefore, text),
    email: planned("email", emailBefore, email),
    ...{ domain, origin, tls, someone },
  };
  show(plan, place, io);
  return (await dialog.confirm("Go on?", true)) ? plan : undefined;
}

function show({ env, email, origin, tls }: Plan, { isInstalled }: Place, io: Io): void {
  io.out("");
  for (const { path, existing, text, example } of [env, email]) {
    const isNew = existing.owner === undefined;
    const { added, removed } = differences(isNew ? example : existing.before.toString("utf8"), text);
    if (text === "" || (!isNew && added.length + removed.length === 0)) continue;
    io.out(isNew ? `${path}:` : `${path}, of which the one before is kept as ${path}.previous:`);
    if (!isNew) for (const line of removed) io.out(`  - ${line}`);
    for (const line of added) io.out(isNew ? `    ${line}` : `  + ${line}`);
  }
  if (!isInstalled) return;
  io.out(
    tls === "off"
      ? "Runegate becomes a service that starts with this machine, for a proxy on it that speaks TLS."
      : `Runegate becomes a service that starts with this machine, on ports 80 and 443, as ${origin}.`,
  );
  if (tls === "acme")
    io.out("It orders certificates, by the terms of the authority: https://letsencrypt.org/repository/");
}
