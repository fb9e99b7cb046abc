import { describe, expect, test } from "bun:test";
import { type SessionRecord, StoreUnavailable } from "../../src/store/contracts.ts";
import { createMemoryLimits } from "../../src/store/memory/limits.ts";
import { createMemorySessions } from "../../src/store/memory/sessions.ts";
import { createMemoryTickets } from "../../src/store/memory/tickets.ts";
import { createMemoryStores } from "../../src/store/memory.ts";
import { costOf } from "../support/cost.ts";
import { createTestClock, storeContract } from "./contract.ts";
import { recordsContract } from "./records-contract.ts";

storeContract("memory", async (clock) => createMemoryStores({ clock }));
recordsContract("memory", async (clock) => createMemoryStores({ clock }));

const HOUR = 3_600_000;

test("the memory store answers at once", () => {
  const { tickets, sessions, limits, outbox, ready, close } = createMemoryStores({
    clock: createTestClock(),
  });
  const answers = [
    ready(),
    tickets.spend("a", Date.now() + HOUR),
    sessions.find("a"),
    sessions.touch({ id: "a", seenAt: 0 } as SessionRecord),
    sessions.end("a"),
    sessions.endAll("a"),
    sessions.list(),
    limits.hit("a", { limit: 1, windowMs: 1 }),
    limits.release("a"),
    outbox.claim(false, 0, 1, 1),
    outbox.postpone("a", 1, 1),
    outbox.nextDue(),
    close(),
  ];
  for (const answer of answers) expect(answer).not.toBeInstanceOf(Promise);
});

describe("memory tickets", () => {
  test("answer unavailable at their capacity, and never forget a live mark for a new one", () => {
    const clock = createTestClock();
    const tickets = createMemoryTickets(clock, 1000);
    const end = clock.now() + HOUR;
    for (let i = 0; i < 1000; i++) expect(tickets.spend(`t${i}`, end)).toBe("fresh");
    for (let i = 0; i < 1000; i++) expect(tickets.spend(`more${i}`, end)).toBe("unavailable");
    for (let i = 0; i < 1000; i++) expect(tickets.spend(`t${i}`, end)).toBe("spent");
    clock.advance(HOUR + 10_000);
    expect(tickets.spend("next", clock.now() + HOUR)).toBe("fresh");
    expect(tickets.size).toBe(1);
  });

  test("stay spent when the wall clock is set back after their marks are gone", () => {
    const clock = createTestClock();
    const tickets = createMemoryTickets(clock);
    const end = clock.now() + 60_000;
    expect(tickets.spend("a", end)).toBe("fresh");
    clock.advance(HOUR);
    expect(tickets.spend("b", clock.now() + 60_000)).toBe("fresh");
    expect(tickets.size).toBe(1);
    clock.advance(-HOUR);
    expect(tickets.spend("a", end)).toBe("spent");
    expect(tickets.spend("c", end + 60_000)).toBe("fresh");
  });

  test("hold no more than their lifetime's worth", () => {
    const clock = createTestClock();
    const tickets = createMemoryTickets(clock);
    for (let i = 0; i < 200_000; i++) {
      tickets.spend(`t${i}`, clock.now() + 15 * 60_000);
      clock.advance(100);
    }
    // Fifteen minutes at ten a second, and a bucket of ten seconds more.
    expect(tickets.size).toBeLessThanOrEqual(9000 + 100);
  });
});

describe("memory sessions", () => {
  const session = (id: string, createdAt: number, email = "ann@example.org") => ({
    id,
    email,
    createdAt,
    expiresAt: createdAt + HOUR,
    seenAt: createdAt,
    ip: "192.0.2.7",
    userAgent: "test",
    seal: "s",
  });

  test("refuse with a reason at their capacity, until some have expired", () => {
    const clock = createTestClock();
    const sessions = createMemorySessions(clock, 100);
    for (let i = 0; i < 100; i++) sessions.create(session(`s${i}`, clock.now()));
    expect(() => sessions.create(session("more", clock.now()))).toThrow(StoreUnavailable);
    expect(() => sessions.create(session("more", clock.now()))).toThrow("holds 100 sessions");
    clock.advance(HOUR + 60_000);
    sessions.create(session("more", clock.now()));
    expect(sessions.size).toBe(1);
  });

  test("created again under the same id leave nothing of the first behind", () => {
    const clock = createTestClock();
    const sessions = createMemorySessions(clock);
    sessions.create(session("a", clock.now(), "ann@example.org"));
    sessions.create(session("a", clock.now(), "bob@example.org"));
    expect(sessions.endAll("ann@example.org")).toEqual([]);
    expect(sessions.endAll("bob@example.org")).toEqual(["a"]);
    expect(sessions.size).toBe(0);
  });

  test("cost the same among 100,000 as among few", () => {
    const clock = createTestClock();
    const sessions = createMemorySessions(clock);
    for (let i = 0; i < 100_000; i++) {
      sessions.create(session(`s${i}`, clock.now(), `u${i % 5000}@example.org`));
      clock.advance(10);
    }
    expect(sessions.size).toBe(100_000);
    const cost = costOf(() => {
      for (let i = 0; i < 100_000; i++) sessions.touch(session(`s${i}`, clock.now()));
      for (let i = 0; i < 100_000; i += 2) sessions.end(`s${i}`);
      for (let i = 0; i < 5000; i++) sessions.endAll(`u${i}@example.org`);
    });
    expect(sessions.size).toBe(0);
    // A fifth of a second; looking through all of them once for each would take minutes.
    expect(cost).toBeLessThan(5000);
  });
});

describe("memory limits", () => {
  const rule = { limit: 5, windowMs: 60_000 };

  test("stay at 262,144 keys under 1.2 million, and keep the recent ones", () => {
    const clock = createTestClock();
    const limits = createMemoryLimits(clock);
    for (let i = 0; i < 1_200_000; i++) limits.hit(`client:${i}`, rule);
    expect(limits.size).toBe(262_144);
    for (let i = 0; i < 4; i++) limits.hit("client:1199999", rule);
    expect(limits.hit("client:1199999", rule)).toEqual({ allowed: false, retryAfterMs: 60_000 });
  });

  test("let the key go that was unused for longest", () => {
    const once = { limit: 1, windowMs: 60_000 };
    const limits = createMemoryLimits(createTestClock(), 3);
    limits.hit("a", once);
    limits.hit("b", once);
    limits.hit("c", once);
    expect(limits.hit("a", once)).toMatchObject({ allowed: false });
    limits.hit("d", once);
    expect(limits.hit("a", once)).toMatchObject({ allowed: false });
    expect(limits.hit("c", once)).toMatchObject({ allowed: false });
    expect(limits.hit("b", once)).toEqual({ allowed: true });
    expect(limits.size).toBe(3);
  });

  test("forget idle keys as others come", () => {
    const clock = createTestClock();
    const limits = createMemoryLimits(clock);
    for (let i = 0; i < 1000; i++) limits.hit(`old${i}`, rule);
    clock.advance(rule.windowMs);
    for (let i = 0; i < 1000; i++) limits.hit(`new${i}`, rule);
    expect(limits.size).toBe(1000);
    limits.release("new5");
    expect(limits.size).toBe(999);
  });

  test("are not moved by the wall clock", () => {
    let wall = 1_800_000_000_000;
    const limits = createMemoryLimits({ now: () => wall, monotonic: () => 1000 });
    expect(limits.hit("a", { limit: 1, windowMs: 60_000 })).toEqual({ allowed: true });
    wall += 10 * HOUR;
    expect(limits.hit("a", { limit: 1, windowMs: 60_000 })).toEqual({ allowed: false, retryAfterMs: 60_000 });
  });

  test("take over what was counted when a key's limit changes", () => {
    const clock = createTestClock();
    const limits = createMemoryLimits(clock);
    const of = (limit: number) => ({ limit, windowMs: 1000 });
    for (const wait of [100, 100, 800]) {
      limits.hit("a", of(3));
      clock.advance(wait);
    }
    // At 1000 the first hit has left: the ring starts in its middle.
    expect(limits.hit("a", of(3))).toEqual({ allowed: true });
    // 100, 200 and 1000 count: one more fits under 4, and then the wait is for the hit at 100.
    expect(limits.hit("a", of(4))).toEqual({ allowed: true });
    expect(limits.hit("a", of(4))).toEqual({ allowed: false, retryAfterMs: 100 });
    // Under 2 only the last two count, both at 1000.
    expect(limits.hit("a", of(2))).toEqual({ allowed: false, retryAfterMs: 1000 });
  });
});
