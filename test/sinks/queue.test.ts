import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { createQueue } from "../../src/sinks/queue.ts";

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => `${from + at}`);

describe("a queue of lines", () => {
  test("holds 10,000, of which the oldest fall", () => {
    const queue = createQueue();
    for (const one of numbers(0, 10_000)) expect(queue.add(one)).toBe(0);
    expect(queue.add("10000")).toBe(1);
    expect(queue.batch().lines).toEqual(numbers(1, 501));
    expect(queue.length).toBe(10_000);
  });

  test("holds 8 MiB, of which as many of the oldest fall as there is need", () => {
    const queue = createQueue();
    for (let n = 0; n < 8; n++) expect(queue.add("x".repeat(2 ** 20))).toBe(0);
    expect(queue.add("y".repeat(2 ** 20 + 1))).toBe(2);
    expect(queue.characters).toBe(7 * 2 ** 20 + 1);
  });

  test("gives batches of 500 lines, and of 1 MiB, but never none", () => {
    const queue = createQueue();
    for (const one of numbers(0, 501)) queue.add(one);
    expect(queue.batch().lines).toHaveLength(500);
    queue.release(queue.batch().end);
    expect(queue.batch().lines).toEqual(["500"]);
    queue.add("x".repeat(2 ** 20));
    expect(queue.batch().lines).toEqual(["500"]);
    queue.release(queue.batch().end);
    expect(queue.batch().lines).toHaveLength(1);
  });

  test("keeps order and number whatever falls while a batch is under way", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.nat(3000), fc.constant("send"), fc.constant("arrive"))), (steps) => {
        const queue = createQueue();
        let [added, fallen, arrived] = [0, 0, 0];
        let batch: ReturnType<typeof queue.batch> | undefined;
        for (const step of steps) {
          if (step === "send") batch = queue.batch();
          else if (step === "arrive") {
            const before = queue.length;
            if (batch !== undefined) queue.release(batch.end);
            arrived += before - queue.length;
          } else for (let n = 0; n < step; n++) fallen += queue.add(`${added++}`);
          expect(queue.length).toBe(added - fallen - arrived);
          expect(queue.batch().lines[0]).toBe(queue.length === 0 ? undefined : `${added - queue.length}`);
        }
        while (queue.length > 0) queue.release(queue.batch().end);
        expect(queue.characters).toBe(0);
      }),
      { numRuns: 50 },
    );
  });
});
