import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Clock } from "../../src/clock.ts";
import type { LimitRule, OutboxEntry, SessionRecord, Stores } from "../../src/store/contracts.ts";

/** A clock that stands still until it is moved; both its hands move together, and neither starts at a round time. */
export type TestClock = Clock & { advance(ms: number): void };

export function createTestClock(): TestClock {
  let elapsed = 0;
  return {
    now: () => 1_800_000_012_345 + elapsed,
    monotonic: () => 5432 + elapsed,
    advance(ms) {
      elapsed += ms;
    },
  };
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/**
 * What every store must do. Time is the injected clock's alone, and every answer is awaited, so the same cases hold for
 * a store in memory, in a file or on a server.
 * @param open gives empty stores that read `clock`; the suite closes them.
 */
export function storeContract(name: string, open: (clock: Clock) => Promise<Stores>): void {
  describe(`${name} keeps the store contract`, () => {
    let clock: TestClock;
    let stores: Stores;

    beforeEach(async () => {
      clock = createTestClock();
      stores = await open(clock);
    });
    afterEach(() => stores.close());

    test("is ready", async () => {
      await stores.ready();
    });

    describe("tickets", () => {
      const spend = (jti: string, expiresAt: number) => stores.tickets.spend(jti, expiresAt);

      test("are fresh once, and each on its own", async () => {
        const end = clock.now() + MINUTE;
        expect(await spend("a", end)).toBe("fresh");
        expect(await spend("a", end)).toBe("spent");
        expect(await spend("b", end)).toBe("fresh");
        expect(await spend("a", end)).toBe("spent");
        expect(await spend("b", end)).toBe("spent");
        expect(await stores.tickets.isSpent("a")).toBe(true);
        expect(await stores.tickets.isSpent("c")).toBe(false);
        expect(await spend("c", end)).toBe("fresh");
      });

      test("know since when they are marked", async () => {
        const begun = clock.now();
        expect(await stores.tickets.since()).toBe(begun);
        clock.advance(HOUR);
        expect(await stores.tickets.since()).toBe(begun);
      });

      test("are fresh for exactly one of 1,000 callers at once", async () => {
        const end = clock.now() + MINUTE;
        const outcomes = await Promise.all(Array.from({ length: 1000 }, () => spend("shared", end)));
        expect(outcomes.filter((outcome) => outcome === "fresh")).toHaveLength(1);
        expect(outcomes.filter((outcome) => outcome === "spent")).toHaveLength(999);
      });

      test("go by their identifier, whatever expiry a caller names", async () => {
        expect(await spend("a", clock.now() + MINUTE)).toBe("fresh");
        expect(await spend("a", clock.now() + HOUR)).toBe("spent");
      });

      test.each([
        ["a millisecond before their end", 59_999, "fresh"],
        ["at their end", 60_000, "spent"],
        ["long after their end", 100 * HOUR, "spent"],
      ] as const)("first shown %s", async (_, later, outcome) => {
        const end = clock.now() + 60_000;
        clock.advance(later);
        expect(await spend("a", end)).toBe(outcome);
      });

      test.each([1, 59_999, 60_000, 60_001, 10 * MINUTE, 24 * HOUR])("stay spent %d ms later", async (ms) => {
        const end = clock.now() + MINUTE;
        expect(await spend("a", end)).toBe("fresh");
        clock.advance(ms);
        expect(await spend("other", clock.now() + MINUTE)).toBe("fresh");
        expect(await spend("a", end)).toBe("spent");
      });

      test("of every lifetime are each fresh once while time passes", async () => {
        const spent: { jti: string; end: number }[] = [];
        for (let i = 0; i < 200; i++) {
          const ticket = { jti: `t${i}`, end: clock.now() + 1 + ((i * 7919) % (20 * MINUTE)) };
          expect(await spend(ticket.jti, ticket.end)).toBe("fresh");
          spent.push(ticket);
          clock.advance(9001);
          for (const { jti, end } of spent) expect(await spend(jti, end)).toBe("spent");
        }
      });
    });

    describe("sessions", () => {
      function record(id: string, changes: Partial<SessionRecord> = {}): SessionRecord {
        const now = clock.now();
        return {
          id,
          email: "ann@example.org",
          createdAt: now,
          expiresAt: now + HOUR,
          seenAt: now,
          ip: "192.0.2.7",
          userAgent: 'Browser/1.0 (with "quotes", ünïcode)',
          seal: "1800000012345.seal-of_43",
          ...changes,
        };
      }

      test("are found as they were created", async () => {
        const session = record("a");
        await stores.sessions.create(session);
        expect(await stores.sessions.find("a")).toEqual(session);
        expect(await stores.sessions.find("b")).toBeUndefined();
      });

      test.each([
        [HOUR - 1, true],
        [HOUR, false],
        [HOUR + 1, false],
        [100 * HOUR, false],
      ])("that last an hour, %d ms later: found %p", async (later, found) => {
        await stores.sessions.create(record("a"));
        clock.advance(later);
        expect((await stores.sessions.find("a")) !== undefined).toBe(found);
        expect(await stores.sessions.list()).toHaveLength(found ? 1 : 0);
        await stores.sessions.touch(record("a", { seenAt: clock.now() }));
        expect((await stores.sessions.find("a")) !== undefined).toBe(found);
        expect(await stores.sessions.endAll("ann@example.org")).toEqual(found ? ["a"] : []);
      });

      test("that have expired cannot be ended any more", async () => {
        await stores.sessions.create(record("a"));
        clock.advance(HOUR);
        expect(await stores.sessions.end("a")).toBe(false);
      });

      test("move seenAt forward with its seal, never back, and nothing else", async () => {
        const session = record("a");
        const later = { seenAt: session.seenAt + 500, seal: "later" };
        await stores.sessions.create(session);
        await stores.sessions.touch(record("a", { ...later, seal: "first" }));
        // Of an equal time, as for a seal that was missing.
        await stores.sessions.touch(record("a", later));
        expect(await stores.sessions.find("a")).toEqual({ ...session, ...later });
        await stores.sessions.touch(record("a", { seenAt: session.seenAt + 499, seal: "earlier" }));
        expect(await stores.sessions.find("a")).toEqual({ ...session, ...later });
        expect(await stores.sessions.list()).toEqual([{ ...session, ...later }]);
      });

      test("have a note beside them, which is the first that was left", async () => {
        expect(await stores.sessions.note()).toBeUndefined();
        expect(await stores.sessions.note("one")).toBe("one");
        expect(await stores.sessions.note("two")).toBe("one");
        expect(await stores.sessions.note()).toBe("one");
      });

      test("end once and for all", async () => {
        await stores.sessions.create(record("a"));
        expect(await stores.sessions.end("a")).toBe(true);
        expect(await stores.sessions.find("a")).toBeUndefined();
        expect(await stores.sessions.end("a")).toBe(false);
        await stores.sessions.touch(record("a", { seenAt: clock.now() + 1000 }));
        expect(await stores.sessions.find("a")).toBeUndefined();
        expect(await stores.sessions.list()).toEqual([]);
        expect(await stores.sessions.endAll("ann@example.org")).toEqual([]);
      });

      test("touched while they are ended stay ended", async () => {
        await stores.sessions.create(record("a"));
        await Promise.all([
          stores.sessions.touch(record("a", { seenAt: clock.now() + 1 })),
          stores.sessions.end("a"),
          stores.sessions.touch(record("a", { seenAt: clock.now() + 2 })),
        ]);
        expect(await stores.sessions.find("a")).toBeUndefined();
      });

      test("tell of their end, once, whoever of this process ends them", async () => {
        const told: string[] = [];
        stores.sessions.onEnded((id) => void told.push(id));
        await stores.sessions.create(record("a"));
        await stores.sessions.create(record("b", { email: "bob@example.org" }));
        await stores.sessions.create(record("c", { email: "bob@example.org" }));
        await stores.sessions.create(record("d"));
        await stores.sessions.end("a");
        expect(told).toEqual(["a"]);
        await stores.sessions.end("a");
        await stores.sessions.end("never there");
        expect(told).toEqual(["a"]);
        await stores.sessions.endAll("bob@example.org");
        expect(told.toSorted()).toEqual(["a", "b", "c"]);
      });

      test("of one address end together, and only those", async () => {
        await stores.sessions.create(record("a1"));
        await stores.sessions.create(record("b1", { email: "bob@example.org" }));
        await stores.sessions.create(record("a2"));
        await stores.sessions.create(record("gone"));
        await stores.sessions.end("gone");
        expect([...(await stores.sessions.endAll("ann@example.org"))].sort()).toEqual(["a1", "a2"]);
        expect(await stores.sessions.find("a1")).toBeUndefined();
        expect(await stores.sessions.find("a2")).toBeUndefined();
        expect((await stores.sessions.list()).map(({ id }) => id)).toEqual(["b1"]);
        expect(await stores.sessions.endAll("ann@example.org")).toEqual([]);
        expect(await stores.sessions.endAll("nobody@example.org")).toEqual([]);
      });

      test("are listed oldest first, in whatever order they came", async () => {
        const now = clock.now();
        await stores.sessions.create(record("middle", { createdAt: now - 2000 }));
        await stores.sessions.create(record("youngest", { createdAt: now - 1000, email: "bob@example.org" }));
        await stores.sessions.create(record("oldest", { createdAt: now - 3000 }));
        await stores.sessions.touch(record("oldest", { createdAt: now - 3000, seenAt: now + 5000 }));
        expect((await stores.sessions.list()).map(({ id }) => id)).toEqual(["oldest", "middle", "youngest"]);
      });
    });

    describe("limits", () => {
      const hit = (key: string, rule: LimitRule) => stores.limits.hit(key, rule);

      test.each([
        { limit: 1, windowMs: 300_000 },
        { limit: 1, windowMs: 1 },
        { limit: 5, windowMs: MINUTE },
        { limit: 10, windowMs: MINUTE },
        { limit: 100, windowMs: 1000 },
      ])("of $limit in $windowMs ms: as many as allowed, then the exact wait", async (rule) => {
        for (let i = 0; i < rule.limit; i++) expect(await hit("k", rule)).toEqual({ allowed: true });
        expect(await hit("k", rule)).toEqual({ allowed: false, retryAfterMs: rule.windowMs });
        clock.advance(rule.windowMs - 1);
        expect(await hit("k", rule)).toEqual({ allowed: false, retryAfterMs: 1 });
        clock.advance(1);
        for (let i = 0; i < rule.limit; i++) expect(await hit("k", rule)).toEqual({ allowed: true });
        expect(await hit("k", rule)).toEqual({ allowed: false, retryAfterMs: rule.windowMs });
      });

      test("slide: each hit makes room a window after itself", async () => {
        const rule = { limit: 3, windowMs: 1000 };
        const steps: [number, number | "allowed"][] = [
          [0, "allowed"],
          [400, "allowed"],
          [500, "allowed"],
          [500, 500],
          [999, 1],
          [1000, "allowed"],
          [1000, 400],
          [1400, "allowed"],
          [1499, 1],
          [1500, "allowed"],
          [1500, 500],
          [5000, "allowed"],
          [5000, "allowed"],
          [5000, "allowed"],
          [5000, 1000],
        ];
        let at = 0;
        for (const [time, expected] of steps) {
          clock.advance(time - at);
          at = time;
          const outcome = await hit("k", rule);
          expect([time, outcome.allowed ? "allowed" : outcome.retryAfterMs]).toEqual([time, expected]);
        }
      });

      test("give no double burst at a window's edge", async () => {
        const rule = { limit: 5, windowMs: MINUTE };
        expect((await hit("k", rule)).allowed).toBe(true);
        clock.advance(MINUTE - 1);
        for (let i = 0; i < 4; i++) expect((await hit("k", rule)).allowed).toBe(true);
        clock.advance(1);
        expect(await hit("k", rule)).toEqual({ allowed: true });
        expect(await hit("k", rule)).toEqual({ allowed: false, retryAfterMs: MINUTE - 1 });
      });

      test("never count what they refuse", async () => {
        const rule = { limit: 2, windowMs: 1000 };
        await hit("k", rule);
        await hit("k", rule);
        for (let i = 0; i < 9; i++) {
          clock.advance(100);
          expect(await hit("k", rule)).toEqual({ allowed: false, retryAfterMs: 900 - i * 100 });
        }
        clock.advance(100);
        expect(await hit("k", rule)).toEqual({ allowed: true });
      });

      test("of 0 are none", async () => {
        for (let i = 0; i < 50; i++) {
          expect(await hit("k", { limit: 0, windowMs: MINUTE })).toEqual({ allowed: true });
        }
      });

      test("count each key on its own", async () => {
        const rule = { limit: 1, windowMs: MINUTE };
        expect((await hit("a", rule)).allowed).toBe(true);
        expect((await hit("b", rule)).allowed).toBe(true);
        expect((await hit("a", rule)).allowed).toBe(false);
        expect((await hit("b", rule)).allowed).toBe(false);
      });

      test("count on wider keys too, all or none, and tell the longest wait", async () => {
        const rule = (limit: number) => ({ limit, windowMs: MINUTE });
        const from = (narrow: string, ...wide: string[]) =>
          stores.limits.hit(
            narrow,
            rule(2),
            wide.map((key) => ({ key, rule: rule(3) })),
          );
        expect(await from("a", "x", "y")).toEqual({ allowed: true });
        clock.advance(1000);
        for (const narrow of ["a", "b"]) expect(await from(narrow, "x", "z")).toEqual({ allowed: true });
        clock.advance(1000);
        expect(await from("c", "x", "z")).toEqual({ allowed: false, retryAfterMs: MINUTE - 2000 });
        // Neither the narrow key nor the other wide one was counted: both have as much room as before.
        expect(await from("c", "z")).toEqual({ allowed: true });
        expect(await from("c", "z")).toEqual({ allowed: false, retryAfterMs: MINUTE - 1000 });
        expect(await hit("c", rule(2))).toEqual({ allowed: true });
        expect(await from("c", "x", "y")).toEqual({ allowed: false, retryAfterMs: MINUTE });
        expect(await stores.limits.hit("d", rule(0), [{ key: "x", rule: rule(0) }])).toEqual({
          allowed: true,
        });
      });

      test("on wider keys let exactly as many of 100 at once through as allowed", async () => {
        const wider = [{ key: "wide", rule: { limit: 7, windowMs: MINUTE } }];
        const rule = { limit: 1, windowMs: MINUTE };
        const outcomes = await Promise.all(
          Array.from({ length: 100 }, async (_, i) => stores.limits.hit(`narrow ${i}`, rule, wider)),
        );
        expect(outcomes.filter(({ allowed }) => allowed)).toHaveLength(7);
      });

      test("let exactly as many of 100 at once through as allowed", async () => {
        const rule = { limit: 7, windowMs: MINUTE };
        const outcomes = await Promise.all(Array.from({ length: 100 }, () => hit("k", rule)));
        expect(outcomes.filter(({ allowed }) => allowed)).toHaveLength(7);
      });

      test("start anew when released", async () => {
        const rule = { limit: 1, windowMs: 300_000 };
        expect((await hit("k", rule)).allowed).toBe(true);
        expect((await hit("k", rule)).allowed).toBe(false);
        await stores.limits.release("k");
        expect(await hit("k", rule)).toEqual({ allowed: true });
        expect(await hit("k", rule)).toEqual({ allowed: false, retryAfterMs: 300_000 });
        await stores.limits.release("never hit");
      });

      test("hold for any hits at any times", async () => {
        let runs = 0;
        await fc.assert(
          fc.asyncProperty(
            fc.record({ limit: fc.integer({ min: 1, max: 6 }), windowMs: fc.integer({ min: 1, max: 1000 }) }),
            fc.array(fc.oneof(fc.constant(0), fc.nat(50), fc.nat(1200)), { minLength: 1, maxLength: 60 }),
            async (rule, gaps) => {
              const key = `property ${runs++}`;
              const allowed: number[] = [];
              for (const gap of gaps) {
                clock.advance(gap);
                const outcome = await hit(key, rule);
                const now = clock.monotonic();
                const inWindow = allowed.filter((time) => time > now - rule.windowMs);
                if (outcome.allowed) {
                  expect(inWindow.length).toBeLessThan(rule.limit);
                  allowed.push(now);
                } else {
                  // Room comes when the oldest of the last `limit` hits leaves the window: then and not before.
                  expect(inWindow).toHaveLength(rule.limit);
                  expect(outcome.retryAfterMs).toBe((inWindow[0] ?? 0) + rule.windowMs - now);
                }
              }
              const last = await hit(key, rule);
              if (!last.allowed) {
                clock.advance(last.retryAfterMs - 1);
                if (last.retryAfterMs > 1) {
                  expect(await hit(key, rule)).toEqual({ allowed: false, retryAfterMs: 1 });
                }
                clock.advance(1);
                expect(await hit(key, rule)).toEqual({ allowed: true });
              }
            },
          ),
          { numRuns: 200 },
        );
      });
    });

    describe("outbox", () => {
      function mail(id: string, changes: Partial<OutboxEntry> = {}): OutboxEntry {
        return {
          id,
          to: "ann@example.org",
          content: "line one\nline two\n",
          messageId: `<${id}@example.org>`,
          queuedAt: clock.now(),
          expiresAt: clock.now() + HOUR,
          attempts: 0,
          nextAttemptAt: clock.now(),
          cooldownKey: undefined,
          first: false,
          ...changes,
        };
      }
      /** Long enough that what is claimed does not come back in a case that is about something else. */
      const CLAIM = 100 * HOUR;
      const add = (entry: OutboxEntry, capacity = 10_000) => stores.outbox.add(entry, capacity);
      const claim = (most = 100) => stores.outbox.claim(false, clock.now(), clock.now() + CLAIM, most);
      const claimedIds = async (most?: number) => (await claim(most)).map((entry) => entry.id);

      test("starts empty", async () => {
        expect(await claimedIds()).toEqual([]);
        expect(await stores.outbox.nextDue()).toBeUndefined();
      });

      test("hands out mails as they were queued, counting the attempt, until they are removed", async () => {
        const plain = mail("a");
        const full = mail("b", { content: "<p>ünïcode</p>", cooldownKey: "mail:ann@example.org" });
        expect(await add(plain)).toBe(true);
        expect(await add(full)).toBe(true);
        const until = clock.now() + 90_000;
        const handedOut = (attempts: number, nextAttemptAt: number) =>
          [plain, full].map((entry) => ({ ...entry, attempts, nextAttemptAt }));
        expect(await stores.outbox.claim(false, clock.now(), until, 100)).toEqual(handedOut(1, until));
        expect(await stores.outbox.nextDue()).toBe(until);
        clock.advance(90_000);
        expect(await stores.outbox.claim(false, clock.now(), until + 90_000, 100)).toEqual(
          handedOut(2, until + 90_000),
        );
        await stores.outbox.remove("a");
        clock.advance(90_000);
        expect(await claimedIds()).toEqual(["b"]);
        await stores.outbox.remove("a");
        await stores.outbox.remove("b");
        clock.advance(CLAIM);
        expect(await claimedIds()).toEqual([]);
        expect(await stores.outbox.nextDue()).toBeUndefined();
      });

      test("gives a mail to one of many who claim at once, and to nobody else while the claim lasts", async () => {
        for (let i = 0; i < 20; i++) await add(mail(`m${i}`));
        const all = await Promise.all(Array.from({ length: 50 }, () => claimedIds(3)));
        const handedOut = all.flat();
        expect(handedOut).toHaveLength(20);
        expect(new Set(handedOut).size).toBe(20);
        for (const ids of all) expect(ids.length).toBeLessThanOrEqual(3);
        clock.advance(CLAIM - 1);
        expect(await claimedIds()).toEqual([]);
        clock.advance(1);
        expect(await claimedIds()).toHaveLength(20);
      });

      test("orders by when mails fall due, then by when they were queued", async () => {
        const now = clock.now();
        await add(mail("late", { nextAttemptAt: now + 2000 }));
        await add(mail("second", { queuedAt: now - 1, nextAttemptAt: now + 1000 }));
        await add(mail("first", { queuedAt: now - 2, nextAttemptAt: now + 1000 }));
        await add(mail("now"));
        expect(await stores.outbox.nextDue()).toBe(now);
        clock.advance(999);
        expect(await stores.outbox.claim(false, clock.now(), now + 999, 100)).toMatchObject([{ id: "now" }]);
        clock.advance(1);
        expect(await stores.outbox.claim(false, clock.now(), now + 1500, 2)).toMatchObject([
          { id: "now" },
          { id: "first" },
        ]);
        expect(await claimedIds()).toEqual(["second"]);
        clock.advance(1000);
        expect(await claimedIds()).toEqual(["first", "now", "late"]);
      });

      test("postpones", async () => {
        const entry = mail("a");
        const now = clock.now();
        await add(entry);
        await add(mail("b", { nextAttemptAt: now + 5000 }));
        expect(await claimedIds()).toEqual(["a"]);
        await stores.outbox.postpone("a", now + 30_000, 1);
        expect(await claimedIds()).toEqual([]);
        expect(await stores.outbox.nextDue()).toBe(now + 5000);
        await stores.outbox.remove("b");
        expect(await stores.outbox.nextDue()).toBe(now + 30_000);
        clock.advance(30_000);
        await stores.outbox.postpone("gone", now, 1);
        expect(await claim(5)).toEqual([{ ...entry, attempts: 2, nextAttemptAt: clock.now() + CLAIM }]);
      });

      test("says how often a postponed mail has been tried", async () => {
        await add(mail("a"));
        await claim();
        await stores.outbox.postpone("a", clock.now(), 0);
        expect(await claim()).toMatchObject([{ id: "a", attempts: 1 }]);
      });

      test("hands out those that go first and the others each for themselves, postponed ones too", async () => {
        const claimFirst = async () =>
          (await stores.outbox.claim(true, clock.now(), clock.now() + CLAIM, 100)).map(({ id, first }) => [
            id,
            first,
          ]);
        const now = clock.now();
        for (const id of ["b", "a"]) await add(mail(id, { nextAttemptAt: now - 1000 }));
        expect(await claimFirst()).toEqual([]);
        await add(mail("late", { first: true, nextAttemptAt: now + 1000 }));
        await add(mail("first", { first: true, nextAttemptAt: now - 500 }));
        expect(await stores.outbox.nextDue()).toBe(now - 1000);
        expect(await claimFirst()).toEqual([["first", true]]);
        expect(await claimFirst()).toEqual([]);
        expect(await claimedIds()).toEqual(["b", "a"]);
        expect(await stores.outbox.nextDue()).toBe(now + 1000);
        await stores.outbox.postpone("first", now + 500, 1);
        await stores.outbox.postpone("a", now + 600, 1);
        expect(await stores.outbox.nextDue()).toBe(now + 500);
        clock.advance(1000);
        expect(await claimFirst()).toEqual([
          ["first", true],
          ["late", true],
        ]);
        expect(await claimedIds()).toEqual(["a"]);
        for (const id of ["first", "late", "a", "b"]) await stores.outbox.remove(id);
        expect(await stores.outbox.nextDue()).toBeUndefined();
      });

      test("counts both kinds against the capacity that it is asked for", async () => {
        expect(await add(mail("a"), 2)).toBe(true);
        expect(await add(mail("b", { first: true }), 2)).toBe(true);
        expect(await add(mail("c"), 2)).toBe(false);
        expect(await add(mail("d", { first: true }), 2)).toBe(false);
        expect(await add(mail("d", { first: true }), 3)).toBe(true);
        expect(await add(mail("e"), 3)).toBe(false);
      });

      test("still hands out a mail that has expired: giving it up is the sender's part", async () => {
        await add(mail("a"));
        clock.advance(2 * HOUR);
        expect(await claimedIds()).toEqual(["a"]);
      });

      test("keeps one of a mail that is added twice", async () => {
        expect(await add(mail("a"))).toBe(true);
        expect(await add(mail("a"))).toBe(true);
        expect(await claimedIds()).toEqual(["a"]);
      });

      test("takes 10,000 mails and no more, until there is room", async () => {
        const added = await Promise.all(
          Array.from({ length: 10_000 }, (_, i) =>
            add(mail(`m${i}`, { nextAttemptAt: clock.now() + ((i * 7919) % 10_000) })),
          ),
        );
        expect(added.every(Boolean)).toBe(true);
        expect(await add(mail("one too many"))).toBe(false);
        clock.advance(10_000);
        const ids = await claimedIds(20_000);
        expect(ids).toHaveLength(10_000);
        const offsets = ids.map((id) => (Number(id.slice(1)) * 7919) % 10_000);
        expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
        await stores.outbox.remove("m5000");
        expect(await add(mail("fits now"))).toBe(true);
        expect(await add(mail("again too many"))).toBe(false);
      });
    });
  });
}
