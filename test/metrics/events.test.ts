import { expect, test } from "bun:test";
import { countEvents } from "../../src/metrics/events.ts";
import { createRegistry } from "../../src/metrics/registry.ts";
import type { AuditEvent } from "../../src/observe/audit.ts";

/** What the audit tells, in numbers. Events that a test in `families.test.ts` brings about are not repeated here. */

type Told = Omit<AuditEvent, "outcome">;

/** What of a family has been counted, those with nothing left out. */
function countedOf(family: string, ...events: readonly Told[]): Record<string, number> {
  const registry = createRegistry();
  const count = countEvents(registry);
  for (const event of events) count({ outcome: "ok", ...event });
  const counted = registry
    .counted(family)
    .flatMap(([labels, [n = 0]]) => (n > 0 ? [[labels.join(" "), n]] : []));
  return Object.fromEntries(counted);
}

test.each<[string, string, Told, string]>([
  ["by a code", "runegate_logins_total", { event: "redeemed", by: "code" }, "ok code"],
  [
    "by a provider, whichever",
    "runegate_logins_total",
    { event: "redeemed", by: "oidc:keycloak" },
    "ok oidc",
  ],
  ["by a passkey that is none", "runegate_logins_total", { event: "passkey_refused" }, "refused passkey"],
  [
    "by a provider in vain",
    "runegate_logins_total",
    { event: "oidc_refused", by: "keycloak" },
    "refused oidc",
  ],
  ["of a screen", "runegate_logins_total", { event: "approval_refused" }, "refused approval"],
  [
    "nobody may",
    "runegate_login_requests_total",
    { event: "login_requested", reason: "not_allowed" },
    "not_allowed",
  ],
  ["busy", "runegate_login_requests_total", { event: "login_refused", reason: "busy" }, "busy"],
  ["further host", "runegate_handoffs_total", { event: "handed_off" }, "ok"],
  [
    "further host, refused",
    "runegate_handoffs_total",
    { event: "hand_off_refused", reason: "spent" },
    "refused",
  ],
  ["given up", "runegate_mail_total", { event: "mail_given_up", reason: "550 no" }, "given_up"],
  ["refused", "runegate_mail_total", { event: "mail_refused", reason: "550 no" }, "refused"],
  ["bounced", "runegate_mail_total", { event: "mail_bounced", reason: "550 no" }, "bounced"],
  ["reloaded", "runegate_config_reloads_total", { event: "config_reloaded" }, "ok"],
  ["not reloaded", "runegate_config_reloads_total", { event: "config_refused", reason: "it" }, "refused"],
  ["begun", "runegate_impersonations_total", { event: "impersonation_started" }, "started"],
  ["not begun", "runegate_impersonations_total", { event: "impersonation_refused" }, "refused"],
  ["over", "runegate_impersonations_total", { event: "impersonation_ended" }, "ended"],
  [
    "whatever it is",
    "runegate_audit_events_total",
    { event: "key_created", subject: "ada@example.org" },
    "key_created",
  ],
])("H4 %s: %s", (_, family, event, expected) => {
  expect(countedOf(family, event)).toEqual({ [expected]: 1 });
});

test.each(["ada@example.org", "203.0.113.7", "/path", "Spaces and Words", "x".repeat(33), "", undefined])(
  "H14 a reason that is no word of the code is `other`: %p",
  (reason) => {
    expect(countedOf("runegate_refusals_total", { event: "access_refused", reason })).toEqual({ other: 1 });
  },
);
