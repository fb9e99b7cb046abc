import { type AuditTrail, createAuditTrail } from "../../src/audit/trail.ts";
import type { AuditEvent } from "../../src/observe/audit.ts";
import { createLoggers } from "../../src/observe/log.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import type { RecordStore } from "../../src/store/records.ts";
import { type TestClock, testClock, testRandom } from "../support/clock.ts";

export const ADA = "ada@example.org";
export const BOB = "bob@example.org";
export const ROOT = "root@example.org";

export type Stage = {
  readonly clock: TestClock;
  readonly store: RecordStore;
  readonly trail: AuditTrail;
  readonly lines: string[];
  readonly lost: number[];
};

/** A trail, and its clock. */
export function openTrail({
  clock = testClock(),
  store = createMemoryStore({ clock }),
  seed = 1,
}: {
  readonly clock?: TestClock;
  readonly store?: RecordStore;
  readonly seed?: number;
} = {}): Stage {
  const lines: string[] = [];
  const lost: number[] = [];
  const loggers = createLoggers({
    format: "json",
    levels: { default: "info", modules: {} },
    write: (line) => void lines.push(line),
    now: clock.now,
    color: false,
  });
  const trail = createAuditTrail({
    ...{ store, machine: "vps1", clock, random: testRandom(seed), log: loggers("audit") },
    onLost: (count) => void lost.push(count),
  });
  return { clock, store, trail, lines, lost };
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
