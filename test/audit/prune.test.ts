import { describe, expect, test } from "bun:test";
import type { AuditEntry } from "../../src/audit/entry.ts";
import { findAll } from "../../src/audit/find.ts";
import { createPruning } from "../../src/audit/prune.ts";
import { AUDIT } from "../../src/audit/record.ts";
import { createVerifier } from "../../src/audit/verify.ts";
import { createLoggers } from "../../src/observe/log.ts";
import { openTrail, redeemed, type Stage } from "./support.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

async function all({ trail }: Stage): Promise<AuditEntry[]> {
  const found: AuditEntry[] = [];
  for await (const part of findAll(trail.find, {})) found.push(...part);
  return found;
}

/** A trail that keeps 30 days, with an event an hour for so many days. */
async function stage(days: number, keep = 30 * DAY) {
  const opened = openTrail({ keep });
  for (let hour = 0; hour < days * 24; hour++) {
    opened.trail.keep(redeemed());
    await opened.trail.flush();
    opened.clock.advance(HOUR);
  }
  const log = createLoggers({
    format: "json",
    levels: { default: "info", modules: {} },
    write: (line) => void opened.lines.push(line),
    now: () => 0,
    color: false,
  })("audit");
  const { store, clock, auditFirst } = opened;
  const records = store.records(AUDIT);
  const pruning = createPruning({ records, auditFirst, limits: store.limits, keep, clock, log });
  return { ...opened, pruning, records };
}

describe("pruning", () => {
  test("deletes what is older than is kept, tells so first, and leaves the chains whole", async () => {
    const opened = await stage(31);
    await opened.pruning.due();
    const left = await all(opened);
    const oldest = left[0] as AuditEntry;
    expect(Date.parse(oldest.time)).toBeGreaterThanOrEqual(opened.clock.now() - 30 * DAY);
    const [pruned] = left.filter(({ event }) => event === "audit_pruned");
    expect(pruned?.details).toMatchObject({
      n: "24",
      heads: `vps1-${oldest.chain.writer.slice(5)}:24:${oldest.chain.prev}`,
    });
    const verifier = createVerifier();
    for (const entry of left) verifier.take(entry);
    expect(verifier.end()).toMatchObject({ events: 30 * 24 + 1, chains: 1 });
    expect(verifier.end().wrong).toBeUndefined();
  });

  test("nothing is too old where all is kept for ever", async () => {
    const opened = await stage(40, 0);
    await opened.pruning.due();
    expect(await opened.records.count()).toBe(40 * 24);
  });

  test("of several processes one does it in an hour", async () => {
    const opened = await stage(33);
    await opened.pruning.due();
    const after = await opened.records.count();
    await opened.pruning.due();
    expect(await opened.records.count()).toBe(after);
    opened.clock.advance(HOUR);
    await opened.pruning.due();
    expect(await opened.records.count()).toBeLessThan(after);
  });

  test("H16 pruning at a leap of the clock: nothing for a day, and then no more than a day's events in an hour", async () => {
    const opened = await stage(20);
    const { clock, pruning, records, lines } = opened;
    const before = await records.count();
    clock.setWall(clock.now() + 3650 * DAY);
    for (let hour = 0; hour < 24; hour++) {
      await pruning.due();
      clock.advance(HOUR);
    }
    expect(await records.count()).toBe(before);
    expect(lines.some((line) => line.includes("the wall clock was set"))).toBe(true);
    // Believed by now.
    await pruning.due();
    expect(await records.count()).toBe(before - 24 + 1);
    clock.advance(HOUR);
    await pruning.due();
    expect(await records.count()).toBe(before - 48 + 2);
    // Set right again, nothing is too old any more.
    clock.setWall(clock.now() - 3650 * DAY);
    for (let hour = 0; hour < 30; hour++) {
      clock.advance(HOUR);
      await pruning.due();
    }
    expect(await records.count()).toBe(before - 48 + 2);
  });

  test("H16 a wrong clock at a start costs a day's events in an hour, and no more", async () => {
    const opened = await stage(20);
    const { clock, records, auditFirst, store } = opened;
    clock.setWall(clock.now() + 3650 * DAY);
    const log = createLoggers({
      format: "json",
      levels: { default: "off", modules: {} },
      write() {},
      now: () => 0,
      color: false,
    });
    const fresh = createPruning({
      ...{ records, auditFirst, limits: store.limits, keep: 30 * DAY, clock, log: log("audit") },
    });
    const before = await records.count();
    await fresh.due();
    expect(await records.count()).toBe(before - 24 + 1);
  });

  test("in memory the last 10,000 are kept, or some more", async () => {
    const opened = openTrail({ most: 10_000 });
    for (let i = 0; i < 25_000; i++) {
      opened.trail.keep(redeemed());
      opened.clock.advance(1);
      if (i % 100 === 0) await opened.trail.flush();
    }
    const left = await all(opened);
    expect(left.length).toBeGreaterThanOrEqual(10_000);
    expect(left.length).toBeLessThanOrEqual(11_200);
    const verifier = createVerifier();
    for (const entry of left) verifier.take(entry);
    expect(verifier.end().wrong).toBeUndefined();
  });
});
