import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Clock } from "../../src/clock.ts";
import type { LimitRule, Limits } from "../../src/store/limits.ts";
import type { Store } from "../../src/store/store.ts";
import { type TestClock, testClock } from "../support/clock.ts";

const MINUTE = 60_000;

/**
 * What every back-end must do with limits. Time is the injected clock's alone.
 * @param open gives an empty store that reads `clock`; the suite closes it.
 */
export function limitsContract(name: string, open: (clock: Clock) => Promise<Store>): void {
  describe(`${name} keeps the limits contract: limits`, () => {
    let clock: TestClock;
    let store: Store;
    let limits: Limits;
    beforeEach(async () => {
      clock = testClock();
      store = await open(clock);
      limits = store.limits;
    });
    afterEach(() => store.close());
    const hit = (key: string, rule: LimitRule) => limits.hit(key, rule);

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
        limits.hit(
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
      expect(await limits.hit("d", rule(0), [{ key: "x", rule: rule(0) }])).toEqual({
        allowed: true,
      });
    });

    test("tell how much of each is used, which counts on none", async () => {
      const rule = { limit: 3, windowMs: 1000 };
      await limits.hit("a", rule, [{ key: "wide", rule: { limit: 9, windowMs: MINUTE } }]);
      clock.advance(600);
      await limits.hit("b", rule, [{ key: "wide", rule: { limit: 9, windowMs: MINUTE } }]);
      await hit("b", rule);
      const counts = [
        { key: "wide", rule: { limit: 9, windowMs: MINUTE } },
        { key: "a", rule },
        { key: "b", rule },
        { key: "b", rule: { limit: 3, windowMs: 100 } },
        { key: "never hit", rule },
      ];
      for (let i = 0; i < 3; i++) expect(await limits.count(counts)).toEqual([2, 1, 2, 2, 0]);
      clock.advance(400);
      expect(await limits.count(counts)).toEqual([2, 0, 2, 0, 0]);
      expect(await limits.count([])).toEqual([]);
    });

    test("on wider keys let exactly as many of 100 at once through as allowed", async () => {
      const wider = [{ key: "wide", rule: { limit: 7, windowMs: MINUTE } }];
      const rule = { limit: 1, windowMs: MINUTE };
      const outcomes = await Promise.all(
        Array.from({ length: 100 }, async (_, i) => limits.hit(`narrow ${i}`, rule, wider)),
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
      await limits.release("k");
      expect(await hit("k", rule)).toEqual({ allowed: true });
      expect(await hit("k", rule)).toEqual({ allowed: false, retryAfterMs: 300_000 });
      await limits.release("never hit");
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
              const counted = allowed.filter((time) => time > now - rule.windowMs).length;
              expect(await limits.count([{ key, rule }])).toEqual([counted]);
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
}
