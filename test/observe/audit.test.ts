import { describe, expect, test } from "bun:test";
import { type AuditEvent, createAudit, createFoldingAudit } from "../../src/observe/audit.ts";
import { createLoggers } from "../../src/observe/log.ts";
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
  test.each<[AuditEvent, "info" | "warn"]>([
    [{ event: "login_requested", email, client, outcome: "queued" }, "info"],
    [{ event: "login_requested", email, client, outcome: "not_allowed" }, "warn"],
    [{ event: "login_requested", email, client, outcome: "rate_limited" }, "warn"],
    [{ event: "login_requested", email, client, outcome: "cooldown" }, "warn"],
    [{ event: "login_requested", email, client, outcome: "queue_full" }, "warn"],
    [{ event: "mail_given_up", email, reason: "550 no such user" }, "warn"],
    [{ event: "redeemed", email, client, by: "code", session: ID }, "info"],
    [{ event: "redemption_refused", client, reason: "expired 12 s ago", email }, "warn"],
    [{ event: "redemption_refused", client, reason: "malformed" }, "warn"],
    [{ event: "access_refused", client, reason: "no_session", path: "/a b" }, "warn"],
    [{ event: "logged_out", email, session: ID }, "info"],
    [{ event: "session_revoked", email, session: ID, by: "operator" }, "info"],
  ])("%j is one line, %s", (event, level) => {
    const { log, written } = auditLog();
    createAudit(log)(event);
    expect(written).toHaveLength(1);
    const { time: _, ...line } = JSON.parse(written[0] ?? "");
    const session = "session" in event ? { session: "01234567" } : {};
    expect(line).toEqual({ level, module: "audit", message: "audit", ...event, ...session });
    expect(written[0]).not.toContain(ID);
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
  const limited = (more: object = {}) =>
    ({ event: "login_requested", email, client, outcome: "rate_limited", ...more }) as AuditEvent;
  const common = { event: "login_requested", client, outcome: "rate_limited" };

  test("the first is written at once, and the others of its minute as one line", () => {
    const { clock, audit, lines } = folding();
    audit(limited());
    expect(lines()).toEqual([limited()]);
    for (let index = 0; index < 100_000; index++) audit(limited({ email: `e${index}@example.org` }));
    clock.advance(59_999);
    audit(limited());
    expect(lines()).toEqual([]);
    clock.advance(1);
    // Whatever comes next tells of it, and is the first of another minute.
    audit(limited());
    expect(lines()).toEqual([{ ...common, repeated: 100_001 }, limited()]);
    clock.advance(60_000);
    audit(limited());
    expect(lines()).toEqual([limited()]);
  });

  test("what is left is written at the end, once", () => {
    const { audit, flush, lines } = folding();
    for (let index = 0; index < 3; index++) audit(limited());
    lines();
    flush();
    expect(lines()).toEqual([{ ...common, repeated: 2 }]);
    flush();
    expect(lines()).toEqual([]);
  });

  test.each<[AuditEvent, object]>([
    [limited(), common],
    [limited({ outcome: "cooldown" }), { ...common, outcome: "cooldown" }],
    [
      { event: "login_refused", client, reason: "busy" },
      { event: "login_refused", client, reason: "busy" },
    ],
    [
      { event: "redemption_refused", client, reason: "rate_limited" },
      { event: "redemption_refused", client, reason: "rate_limited" },
    ],
    [
      { event: "redemption_refused", client, reason: "spent", email },
      { event: "redemption_refused", client, reason: "spent", email },
    ],
    [
      { event: "access_refused", client, reason: "origin", path: "/a" },
      { event: "access_refused", client, reason: "origin", path: "/a" },
    ],
  ])("%j is one", (event, told) => {
    const { audit, flush, lines } = folding();
    audit(event);
    audit(event);
    expect(lines()).toEqual([event]);
    flush();
    expect(lines()).toEqual([{ ...told, repeated: 1 }]);
  });

  test.each<[AuditEvent]>([
    [limited({ outcome: "not_allowed" })],
    [limited({ outcome: "queue_full" })],
    [{ event: "redemption_refused", client, reason: "wrong_code", email }],
    [{ event: "mail_given_up", email, reason: "550 no such user" }],
  ])("%j is none", (event) => {
    const { audit, flush, lines } = folding();
    audit(event);
    audit(event);
    flush();
    expect(lines()).toEqual([event, event]);
  });

  test("each client and each reason is told of by itself, in bounded numbers: all further clients together", () => {
    const { clock, audit, flush, lines } = folding();
    const busy = (index: number): AuditEvent => ({
      event: "login_refused",
      client: `2001:db8:${index.toString(16)}::1`,
      reason: "busy",
    });
    for (let round = 0; round < 3; round++) for (let index = 0; index < 10_000; index++) audit(busy(index));
    audit({ event: "login_refused", client, reason: "mixed_script" });
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
