import { CLOSURES } from "../applications/closures.ts";
import { APPROVALS } from "../approval/record.ts";
import { AUDIT } from "../audit/record.ts";
import { SOLVED } from "../captcha/work.ts";
import { ANSWERS, LEASES } from "../certificates/acme-records.ts";
import { KEPT as CERTIFICATES } from "../certificates/shelf.ts";
import { DEVICES } from "../devices/record.ts";
import { PROBES } from "../doctor/probes.ts";
import { GRANTS } from "../grants/record.ts";
import { REQUESTS } from "../grants/request.ts";
import { OFF as HOOKS_OFF } from "../hooks/turned.ts";
import { CALLS, CALLS_BY_ANYBODY } from "../hooks/waiting.ts";
import { IMPERSONATIONS, VIEWS } from "../impersonation/record.ts";
import { SMALL as KEPT_POSTS, largeKind } from "../kept-post/kept.ts";
import { KEYS } from "../keys/record.ts";
import { MARKS as KNOWN } from "../login/known.ts";
import { PROGRESS } from "../login/progress.ts";
import { LINKS } from "../login/shared-links.ts";
import { MARKS as SPENT } from "../login/spent.ts";
import { NOTICES, MARKS as UNDELIVERABLE } from "../mail/undeliverable.ts";
import { MAILS, RESERVED_MAILS } from "../mail/waiting.ts";
import { OIDC_SESSIONS } from "../oidc-login/logins.ts";
import { PASSKEYS } from "../passkeys/record.ts";
import { PROVIDER_KINDS } from "../provider/records.ts";
import { KEYS as PROVIDER_KEYS } from "../provider/signing-keys.ts";
import { NOTES } from "../session/adoption.ts";
import { HOLDS } from "../session/hold.ts";
import { SESSIONS } from "../session/record.ts";
import type { Shape } from "../store/contents.ts";
import { LINKS as TUNNEL_LINKS, TUNNELS } from "../tunnel/record.ts";

/** All kinds of records that rooms keep: what is moved from one store to another. A kind that is missing here is not moved, but refused. */
export const KINDS: readonly Shape[] = [
  ...[SESSIONS, NOTES, HOLDS, SPENT, KNOWN, PROGRESS, LINKS, KEYS, GRANTS, REQUESTS, PASSKEYS, OIDC_SESSIONS],
  ...[DEVICES, APPROVALS, IMPERSONATIONS, VIEWS, AUDIT, MAILS, RESERVED_MAILS, UNDELIVERABLE, NOTICES],
  ...[CALLS, CALLS_BY_ANYBODY, HOOKS_OFF, CERTIFICATES, ANSWERS, LEASES, CLOSURES, SOLVED, PROBES],
  ...[KEPT_POSTS, largeKind(1), ...PROVIDER_KINDS, PROVIDER_KEYS, TUNNELS, TUNNEL_LINKS],
];
