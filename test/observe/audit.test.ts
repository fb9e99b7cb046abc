import { describe, expect, test } from "bun:test";
import { type AuditEvent, createAudit } from "../../src/observe/audit.ts";
import { createLoggers } from "../../src/observe/log.ts";

const ID = "0123456789abcdef0123456789abcdef";
const email = "ann@example.org";
const client = "192.0.2.7";

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
    const written: string[] = [];
    const loggerFor = createLoggers({
      format: "json",
      levels: { default: "info", modules: {} },
      write: (line) => void written.push(line),
      now: () => 0,
      color: false,
    });
    createAudit(loggerFor("audit"))(event);
    expect(written).toHaveLength(1);
    const { time: _, ...line } = JSON.parse(written[0] ?? "");
    const session = "session" in event ? { session: "01234567" } : {};
    expect(line).toEqual({ level, module: "audit", message: "audit", ...event, ...session });
    expect(written[0]).not.toContain(ID);
  });
});
