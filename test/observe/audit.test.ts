import { describe, expect, test } from "bun:test";
import { ACCESS_REFUSED, refusedOf } from "../../src/edge/audit.ts";
import {
  LINK_PRINTED,
  LOGIN_REFUSED,
  LOGIN_REQUESTED,
  REDEEMED,
  REDEMPTION_REFUSED,
} from "../../src/login/audit.ts";
import { aboutMail, MAIL_GIVEN_UP, MAIL_QUEUED, MAIL_REFUSED, MAIL_SENT } from "../../src/mail/audit.ts";
import {
  type Audit,
  type AuditEvent,
  createAudit,
  createFoldingAudit,
  defineAudit,
} from "../../src/observe/audit.ts";
import { createLoggers } from "../../src/observe/log.ts";
import { LOGGED_OUT, SESSION_REVOKED } from "../../src/session/audit.ts";
import { testClock } from "../support/clock.ts";

const ID = "0123456789abcdef0123456789abcdef";
const email = "ann@example.org";
const client = "192.0.2.7";

function auditLog() {
  const written: string[] = [];
  const loggerFor = createLoggers({
    format: "json",
    levels: { default: "info", modules: {} },
    write: (line) => void written.push(line),
    now: () => 0,
    color: false,
  });
  return { log: loggerFor("audit"), written };
}

describe("audit", () => {
  test.each<[line: object, level: "info" | "warn", write: (audit: Audit) => void]>([
    [
      { event: "login_requested", email, client, outcome: "queued" },
      "info",
      (audit) => audit(LOGIN_REQUESTED, { subject: email, client, reason: "queued" }),
    ],
    ...["not_allowed", "rate_limited", "cooldown", "queue_full", "store_unavailable"].map(
      (reason): [object, "warn", (audit: Audit) => void] => [
        { event: "login_requested", email, client, outcome: reason },
        "warn",
        (audit) => audit(LOGIN_REQUESTED, { subject: email, client, reason }),
      ],
    ),
    [
      { event: "login_refused", client, reason: "busy" },
      "warn",
      (audit) => audit(LOGIN_REFUSED, { client, reason: "busy" }),
    ],
    [
      { event: "link_printed", email, by: "operator" },
      "info",
      (audit) => audit(LINK_PRINTED, { subject: email, actor: "operator", of: undefined }),
    ],
    [
      { event: "mail_queued", email, mail: "0123456789ab" },
      "info",
      (audit) => audit(MAIL_QUEUED, aboutMail({ id: ID, to: email })),
    ],
    [
      { event: "mail_sent", email, mail: "0123456789ab", by: "smtp", answer: "250 ok" },
      "info",
      (audit) => audit(MAIL_SENT, { ...aboutMail({ id: ID, to: email }), by: "smtp", reason: "250 ok" }),
    ],
    [
      { event: "mail_refused", email, mail: "0123456789ab", reason: "550 no such user" },
      "warn",
      (audit) => audit(MAIL_REFUSED, { ...aboutMail({ id: ID, to: email }), reason: "550 no such user" }),
    ],
    [
      { event: "mail_given_up", email, mail: "0123456789ab", reason: "late" },
      "warn",
      (audit) =>
        audit(MAIL_GIVEN_UP, { ...aboutMail({ id: ID, to: email }), reason: "late", actor: undefined }),
    ],
    [
      { event: "redeemed", email, client, by: "code", session: "01234567" },
      "info",
      (audit) => audit(REDEEMED, { subject: email, client, by: "code", session: ID }),
    ],
    [
      { event: "redemption_refused", client, reason: "expired 12 s ago", email },
      "warn",
      (audit) => audit(REDEMPTION_REFUSED, { client, reason: "expired 12 s ago", subject: email }),
    ],
    [
      { event: "redemption_refused", client, reason: "malformed" },
      "warn",
      (audit) => audit(REDEMPTION_REFUSED, { client, reason: "malformed", subject: undefined }),
    ],
    [
      { event: "access_refused", client, reason: "no_session", path: "/a b" },
      "warn",
      (audit) =>
        audit(ACCESS_REFUSED, { client, reason: "no_session", path: "/a b", ...refusedOf(undefined) }),
    ],
    [
      { event: "logged_out", email, session: "01234567" },
      "info",
      (audit) => audit(LOGGED_OUT, { subject: email, session: ID }),
    ],
    [
      { event: "session_revoked", email, session: "01234567", by: "operator" },
      "info",
      (audit) => audit(SESSION_REVOKED, { subject: email, session: ID, actor: "operator" }),
    ],
  ])("%j is one line, %s", (fields, level, write) => {
    const { log, written } = auditLog();
    write(createAudit(log));
    const [, ...rest] = JSON.stringify(fields);
    // To the byte: people have programs that read it.
    expect(written).toEqual([
      `{"time":"1970-01-01T00:00:00.000Z","level":"${level}","module":"audit","message":"audit",${rest.join("")}`,
    ]);
  });
});

describe("of refusals that anybody can cause without end", () => {
  function folding() {
    const clock = testClock();
    const { log, written } = auditLog();
    const { audit, flush } = createFoldingAudit(log, clock);
    return {
      clock,
      audit,
      flush,
      /** What was written since it was last asked, without what all lines have. */
      lines: () =>
        written.splice(0).map((line) => {
          const { time: _, level, module: __, message: ___, ...fields } = JSON.parse(line);
          expect(level).toBe("warn");
          return fields;
        }),
    };
  }
  type Write = (audit: Audit) => void;
  const ask =
    (reason: string, subject = email): Write =>
    (audit) =>
      audit(LOGIN_REQUESTED, { subject, client, reason });
  const limited = ask("rate_limited");
  const asked = (outcome: string) => ({ event: "login_requested", email, client, outcome });
  const line = asked("rate_limited");
  const common = { event: "login_requested", client, outcome: "rate_limited" };

  test("the first is written at once, and the others of its minute as one line", () => {
    const { clock, audit, lines } = folding();
    limited(audit);
    expect(lines()).toEqual([line]);
    for (let index = 0; index < 100_000; index++) ask("rate_limited", `e${index}@example.org`)(audit);
    clock.advance(59_999);
    limited(audit);
    expect(lines()).toEqual([]);
    clock.advance(1);
    // Whatever comes next tells of it, and is the first of another minute.
    limited(audit);
    expect(lines()).toEqual([{ ...common, repeated: 100_001 }, line]);
    clock.advance(60_000);
    limited(audit);
    expect(lines()).toEqual([line]);
  });

  test("what is left is written at the end, once", () => {
    const { audit, flush, lines } = folding();
    for (let index = 0; index < 3; index++) limited(audit);
    lines();
    flush();
    expect(lines()).toEqual([{ ...common, repeated: 2 }]);
    flush();
    expect(lines()).toEqual([]);
  });

  test.each<[line: object, common: object, write: Write]>([
    [line, common, limited],
    [asked("cooldown"), { ...common, outcome: "cooldown" }, ask("cooldown")],
    [
      { event: "login_refused", client, reason: "busy" },
      { event: "login_refused", client, reason: "busy" },
      (audit) => audit(LOGIN_REFUSED, { client, reason: "busy" }),
    ],
    [
      { event: "redemption_refused", client, reason: "rate_limited" },
      { event: "redemption_refused", client, reason: "rate_limited" },
      (audit) => audit(REDEMPTION_REFUSED, { client, reason: "rate_limited", subject: undefined }),
    ],
    [
      { event: "redemption_refused", client, reason: "spent", email },
      { event: "redemption_refused", client, reason: "spent", email },
      (audit) => audit(REDEMPTION_REFUSED, { client, reason: "spent", subject: email }),
    ],
    [
      { event: "access_refused", client, reason: "origin", path: "/a" },
      { event: "access_refused", client, reason: "origin", path: "/a" },
      (audit) => audit(ACCESS_REFUSED, { client, reason: "origin", path: "/a", ...refusedOf(undefined) }),
    ],
  ])("%j is one", (first, folded, write) => {
    const { audit, flush, lines } = folding();
    write(audit);
    write(audit);
    expect(lines()).toEqual([first]);
    flush();
    expect(JSON.stringify(lines())).toBe(JSON.stringify([{ ...folded, repeated: 1 }]));
  });

  test.each<[line: object, write: Write]>([
    [asked("not_allowed"), ask("not_allowed")],
    [asked("queue_full"), ask("queue_full")],
    [
      { event: "redemption_refused", client, reason: "wrong_code", email },
      (audit) => audit(REDEMPTION_REFUSED, { client, reason: "wrong_code", subject: email }),
    ],
    [
      { event: "mail_given_up", email, mail: "0123456789ab", reason: "late" },
      (audit) =>
        audit(MAIL_GIVEN_UP, { ...aboutMail({ id: ID, to: email }), reason: "late", actor: undefined }),
    ],
  ])("%j is none", (event, write) => {
    const { audit, flush, lines } = folding();
    write(audit);
    write(audit);
    flush();
    expect(lines()).toEqual([event, event]);
  });

  test("each client and each reason is told of by itself, in bounded numbers: all further clients together", () => {
    const { clock, audit, flush, lines } = folding();
    const nth = (index: number) => `2001:db8:${index.toString(16)}::1`;
    const busy = (index: number) => ({ event: "login_refused", client: nth(index), reason: "busy" });
    for (let round = 0; round < 3; round++) {
      for (let index = 0; index < 10_000; index++)
        audit(LOGIN_REFUSED, { client: nth(index), reason: "busy" });
    }
    audit(LOGIN_REFUSED, { client, reason: "mixed_script" });
    const first = lines();
    // The hundred that have a line of their own, the first of all others, and the first of another reason.
    expect(first).toHaveLength(102);
    expect(first.slice(0, 101)).toEqual(Array.from({ length: 101 }, (_, index) => busy(index)));
    clock.advance(60_000);
    flush();
    const later = lines();
    expect(later).toHaveLength(101);
    expect(later[0]).toEqual({ ...busy(0), repeated: 2 });
    expect(later[100]).toEqual({ event: "login_refused", reason: "busy", repeated: 3 * 9_900 - 1 });
  });
});

test("whoever listens is told of every event, also of those that share a line", () => {
  const { log, written } = auditLog();
  const { audit, listen } = createFoldingAudit(log, testClock());
  const heard: AuditEvent[] = [];
  listen((event) => heard.push(event));
  for (let index = 0; index < 3; index++) audit(LOGIN_REFUSED, { client, reason: "busy" });
  const event: AuditEvent = { event: "login_refused", outcome: "refused", client, reason: "busy" };
  expect(heard).toEqual([event, event, event]);
  expect(written).toHaveLength(1);
});

test("a kind that only its room knows is a line like any other", () => {
  const KEY_CREATED = defineAudit({
    event: "key_created",
    outcome: "ok",
    line: { email: "subject", by: "actor" },
  });
  const { log, written } = auditLog();
  createAudit(log)(KEY_CREATED, { subject: email, actor: "operator" });
  expect(JSON.parse(written[0] ?? "")).toMatchObject({ event: "key_created", email, by: "operator" });
  // @ts-expect-error: a fact that the kind has not is a mistake, and so is one left out.
  createAudit(log)(KEY_CREATED, { subject: email, actor: "operator", client });
  // @ts-expect-error
  createAudit(log)(KEY_CREATED, { subject: email });
});
