import type { Pause } from "../../src/clock.ts";
import { type TestClock, testClock } from "../support/clock.ts";

/** Time that moves when a test says so, for pauses too. */
export type Timeline = {
  readonly clock: TestClock;
  readonly pause: Pause;
  /** Moves on, from one end of a pause to the next, and lets what goes on there come to its next pause. */
  advance(milliseconds: number): Promise<void>;
};

export function timeline(): Timeline {
  const clock = testClock();
  let waiting: { readonly at: number; readonly resolve: () => void }[] = [];
  return {
    clock,
    pause: (milliseconds) =>
      new Promise((resolve) => waiting.push({ at: clock.monotonic() + milliseconds, resolve })),
    async advance(milliseconds) {
      const end = clock.monotonic() + milliseconds;
      await settle();
      for (;;) {
        const next = Math.min(...waiting.map(({ at }) => at));
        if (next > end) break;
        clock.advance(Math.max(0, next - clock.monotonic()));
        const due = waiting.filter(({ at }) => at <= next);
        waiting = waiting.filter(({ at }) => at > next);
        for (const { resolve } of due) resolve();
        await settle();
      }
      clock.advance(end - clock.monotonic());
    },
  };
}

/** Everything that does not wait for anything but promises. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Waits for a condition, not for a time. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 20_000;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error("the condition did not come true");
    await Bun.sleep(5);
  }
}

/** A line as the log hands it on. */
export function line(message: string, fields: Readonly<Record<string, unknown>> = {}): string {
  return JSON.stringify({
    time: "2026-01-02T03:04:05.678Z",
    level: "info",
    module: "http",
    message,
    ...fields,
  });
}
