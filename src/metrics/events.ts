import type { AuditEvent } from "../observe/audit.ts";
import { LOGINS, REFUSALS } from "./day.ts";
import type { Registry } from "./registry.ts";

/** What the audit tells, in numbers. A reason is a word of the code: whatever else it is counts as `other`. */

export function countEvents(registry: Pick<Registry, "counter">): (event: AuditEvent) => void {
  const events = registry.counter("runegate_audit_events_total", "What happened, as in the audit.", [
    "event",
  ]);
  const logins = registry.counter(LOGINS, "Sign-ins, and links, codes and keys that were refused.", [
    "outcome",
    "method",
  ]);
  const asks = registry.counter("runegate_login_requests_total", "Requests for a sign-in mail.", ["outcome"]);
  const refusals = registry.counter(REFUSALS, "Requests for applications that were refused.", ["reason"]);
  const handOffs = registry.counter("runegate_handoffs_total", "Sign-ins carried over to a further host.", [
    "outcome",
  ]);
  const mails = registry.counter("runegate_mail_total", "What became of mails.", ["outcome"]);

  const reloads = registry.counter("runegate_config_reloads_total", "Reloads of the configuration.", [
    "outcome",
  ]);
  const impersonations = registry.counter(
    "runegate_impersonations_total",
    "Administrators using an application as somebody else.",
    ["outcome"],
  );

  const refused = (method: string) => () => logins.add(1, "refused", method);
  const mail = (outcome: string) => () => mails.add(1, outcome);
  const asked = ({ reason }: AuditEvent) => asks.add(1, wordOf(reason));
  const byEvent: Readonly<Record<string, (event: AuditEvent) => void>> = {
    login_requested: asked,
    login_refused: asked,
    // What stands after a colon is the provider's name.
    redeemed: ({ by }) => logins.add(1, "ok", wordOf(by?.replace(/:.*$/s, ""))),
    redemption_refused: refused("link"),
    passkey_refused: refused("passkey"),
    oidc_refused: refused("oidc"),
    approval_refused: refused("approval"),
    access_refused: ({ reason }) => refusals.add(1, wordOf(reason)),
    handed_off: () => handOffs.add(1, "ok"),
    hand_off_refused: () => handOffs.add(1, "refused"),
    config_reloaded: () => reloads.add(1, "ok"),
    config_refused: () => reloads.add(1, "refused"),
    impersonation_started: () => impersonations.add(1, "started"),
    impersonation_refused: () => impersonations.add(1, "refused"),
    impersonation_ended: () => impersonations.add(1, "ended"),
    mail_queued: mail("queued"),
    mail_sent: mail("sent"),
    mail_refused: mail("refused"),
    mail_given_up: mail("given_up"),
    mail_bounced: mail("bounced"),
  };
  // Of what has not happened yet there are 0: what appears with 1 is no increase to Prometheus.
  for (const outcome of ["queued", "sent", "refused", "given_up", "bounced"]) mails.of(outcome);
  for (const outcome of ["queued", "cooldown", "rate_limited"]) asks.of(outcome);
  for (const method of ["link", "code", "passkey", "oidc", "approval"]) logins.of("ok", method);
  for (const method of ["link", "passkey", "oidc", "approval"]) logins.of("refused", method);
  for (const outcome of ["ok", "refused"]) handOffs.of(outcome);
  for (const outcome of ["ok", "refused"]) reloads.of(outcome);
  for (const outcome of ["started", "refused", "ended"]) impersonations.of(outcome);

  return (event) => {
    events.add(1, event.event);
    byEvent[event.event]?.(event);
  };
}

function wordOf(text: string | undefined): string {
  return text !== undefined && /^[a-z][a-z_]{0,31}$/.test(text) ? text : "other";
}
