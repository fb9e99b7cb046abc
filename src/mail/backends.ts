import type { Clock } from "../clock.ts";
import type { SmtpSettings } from "./conversation.ts";
import { PATIENCE } from "./fallback.ts";
import { createFileMailer } from "./file.ts";
import { createHttpMailer } from "./http.ts";
import { type BackendMailer, MailError } from "./mailer.ts";
import type { EmailConfig } from "./settings.ts";
import { createSmtpMailer } from "./smtp.ts";

/** The back-ends of `email.toml`, in the order they are tried. Each but the last has ten seconds for a mail. */
export function createBackends(
  config: EmailConfig,
  clock: Clock,
  settings: SmtpSettings = {},
): readonly BackendMailer[] {
  return config.backends.map((backend, index) => {
    const hasNext = index < config.backends.length - 1;
    if (backend.kind === "smtp") {
      const limited = hasNext ? { totalTimeout: PATIENCE, ...settings } : settings;
      return createSmtpMailer({ ...config, ...backend }, limited);
    }
    if (backend.kind === "file") return createFileMailer(backend, config);
    return createHttpMailer({ ...config, ...backend }, clock, hasNext ? PATIENCE : undefined);
  });
}

export type BackendVerdict = {
  readonly ok: boolean;
  /** What happened at each step, and if one failed, why and what to do. */
  readonly lines: readonly string[];
};

/** Tries each without sending anything: an SMTP server up to the login. Never throws. */
export async function verifyBackends(backends: readonly BackendMailer[]): Promise<BackendVerdict> {
  const lines: string[] = [];
  let ok = true;
  for (const backend of backends) {
    try {
      await backend.verify((step) => lines.push(step));
    } catch (error) {
      ok = false;
      lines.push(...describeFailure(error));
    }
  }
  return { ok, lines };
}

/** Why it failed and what to do about it, for an operator. Errors of other kinds are thrown on. */
export function describeFailure(error: unknown): string[] {
  if (!(error instanceof MailError)) throw error;
  return [error.reason, error.remedy];
}
