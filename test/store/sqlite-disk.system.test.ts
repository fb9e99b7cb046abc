import { describe, expect, test } from "bun:test";
import { systemClock } from "../../src/clock.ts";
import { type OutboxEntry, type SessionRecord, StoreUnavailable } from "../../src/store/contracts.ts";
import { needsSmallDisk } from "./small-disk.ts";
import { temporaryPlace } from "./sqlite-place.ts";

/** Disks that are full or read-only: real ones. */

const mountSmallDisk = needsSmallDisk();
const HOUR = 3_600_000;

const record = (id: string): SessionRecord => ({
  id,
  email: "ann@example.org",
  createdAt: Date.now(),
  expiresAt: Date.now() + HOUR,
  seenAt: Date.now(),
  ip: "192.0.2.7",
  userAgent: "test",
  seal: "s",
});
const mail = (id: string): OutboxEntry => ({
  id,
  to: "ann@example.org",
  content: "text".repeat(2000),
  messageId: `<${id}@example.org>`,
  queuedAt: 0,
  expiresAt: HOUR,
  attempts: 0,
  nextAttemptAt: 0,
  cooldownKey: undefined,
  first: false,
});

describe.skipIf(mountSmallDisk === undefined)("a disk", () => {
  const mounted = () => {
    if (mountSmallDisk === undefined) throw new Error("skipped above");
    return mountSmallDisk();
  };

  test("that is full lets nobody new in, keeps who is in, and works again without a restart", async () => {
    using disk = mounted();
    using place = temporaryPlace(disk.directory);
    const { tickets, sessions, limits, outbox, ready } = place.open(systemClock);
    const end = Date.now() + HOUR;
    void sessions.create(record("s1"));
    expect(tickets.spend("before", end)).toBe("fresh");
    void ready();

    disk.fill();
    // The log has some room of its own that was given to it before.
    let last = 0;
    while (tickets.spend(`t${last}`, end) === "fresh") last++;
    expect(last).toBeLessThan(5000);
    for (let i = 0; i < 3; i++) expect(tickets.spend(`t${last}`, end)).toBe("unavailable");
    expect(tickets.spend("before", end)).toBe("spent");
    expect(() => ready()).toThrow(StoreUnavailable);
    expect(() => ready()).toThrow("The disk that the database is on is full.");
    expect(() => sessions.create(record("s2"))).toThrow(StoreUnavailable);
    expect(() => outbox.add(mail("m"), 10)).toThrow(StoreUnavailable);
    expect(() => limits.hit("k", { limit: 1, windowMs: HOUR })).toThrow(StoreUnavailable);
    expect(sessions.find("s1")).toMatchObject({ id: "s1" });
    expect(sessions.touch({ ...record("s1"), seenAt: Date.now() + 1000 })).toBeUndefined();
    expect(sessions.find("s1")).toMatchObject({ id: "s1" });
    expect(sessions.find("s2")).toBeUndefined();
    expect(place.lines.filter((line) => line.includes("the database fails"))).toHaveLength(1);
    expect(place.lines.filter((line) => line.includes("works again"))).toHaveLength(0);

    disk.free();
    void ready();
    expect(tickets.spend(`t${last}`, end)).toBe("fresh");
    expect(tickets.spend(`t${last}`, end)).toBe("spent");
    void sessions.create(record("s2"));
    expect(sessions.find("s2")).toMatchObject({ id: "s2" });
    expect(await outbox.add(mail("m"), 10)).toBe(true);
    expect(limits.hit("k", { limit: 1, windowMs: HOUR })).toEqual({ allowed: true });
    expect(place.lines.filter((line) => line.includes("the database fails"))).toHaveLength(1);
    expect(place.lines.filter((line) => line.includes("works again"))).toHaveLength(1);
  });

  test("that is full when the file would be created is named as the reason", () => {
    using disk = mounted();
    using place = temporaryPlace(disk.directory);
    disk.fill();
    expect(() => place.open(systemClock)).toThrow(StoreUnavailable);
    disk.free();
    void place.open(systemClock).ready();
  });

  test("that is read-only is named as the reason, with a database on it or without", () => {
    using disk = mounted();
    using place = temporaryPlace(disk.directory);
    void place.open(systemClock).close();
    using empty = mounted();
    using nothing = temporaryPlace(empty.directory);
    for (const { readOnly } of [disk, empty]) readOnly();
    expect(() => place.open(systemClock)).toThrow(StoreUnavailable);
    expect(() => nothing.open(systemClock)).toThrow("its disk is read-only");
  });
});
