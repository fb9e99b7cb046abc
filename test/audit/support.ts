import { type AuditTrail, createAuditTrail } from "../../src/audit/trail.ts";
import { type Audit, type AuditEvent, type AuditFirst, createFoldingAudit } from "../../src/observe/audit.ts";
import { createLoggers } from "../../src/observe/log.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import type { Store } from "../../src/store/store.ts";
import { type TestClock, testClock, testRandom } from "../support/clock.ts";

export const ADA = "ada@example.org";
export const BOB = "bob@example.org";
export const ROOT = "root@example.org";

export type Stage = {
  readonly clock: TestClock;
  readonly store: Store;
  readonly trail: AuditTrail;
  readonly audit: Audit;
  readonly auditFirst: AuditFirst;
  readonly lines: string[];
};

/** A trail, what tells it, and its clock. */
export function openTrail({
  clock = testClock(),
  store = createMemoryStore({ clock }),
  seed = 1,
  keep = 0,
  most,
}: {
  readonly clock?: TestClock;
  readonly store?: Store;
  readonly seed?: number;
  readonly keep?: number;
  readonly most?: number;
} = {}): Stage {
  const lines: string[] = [];
  const loggers = createLoggers({
    format: "json",
    levels: { default: "info", modules: {} },
    write: (line) => void lines.push(line),
    now: clock.now,
    color: false,
  });
  const log = loggers("audit");
  const trail: AuditTrail = createAuditTrail({
    ...{ store, keep, most, machine: "vps1", clock, random: testRandom(seed), log },
    audit: (...event) => audit(...event),
    auditFirst: (...event) => auditFirst(...event),
  });
  const { audit, auditFirst } = createFoldingAudit(log, clock, trail);
  return { clock, store, trail, audit, auditFirst, lines };
}

export function redeemed(subject = ADA, more: Partial<AuditEvent> = {}): AuditEvent {
  return {
    ...{ event: "redeemed", outcome: "ok", subject, client: "203.0.113.7", by: "link" },
    ...{ session: "9f2c41aa0011", ...more },
  };
}

export function refused(more: Partial<AuditEvent> = {}): AuditEvent {
  return {
    ...{ event: "access_refused", outcome: "refused", reason: "no_session", client: "192.0.2.1", path: "/a" },
    ...more,
  };
}
