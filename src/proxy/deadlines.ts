import type { Clock } from "../clock.ts";

/**
 * Many deadlines of one length with one timer: since all wait equally long, the oldest is always the next to expire, and
 * adding or removing one is a single operation on a set. A timer of its own for each request costs more than the session check.
 */
export type Deadlines = {
  /** Calls `expired` in `waitMs`, unless removed before. */
  add(entry: Deadline): void;
  remove(entry: Deadline): void;
  /** For tests, which move the clock: expires what is due now. */
  check(): void;
  stop(): void;
};

export type Deadline = { expired(): void; addedAt: number };

export function createDeadlines(waitMs: number, clock: Pick<Clock, "monotonic">): Deadlines {
  const waiting = new Set<Deadline>();
  let timer: ReturnType<typeof setTimeout> | undefined;

  function arm(): void {
    if (timer !== undefined) return;
    const [oldest] = waiting;
    if (oldest === undefined) return;
    const due = oldest.addedAt + waitMs - clock.monotonic();
    timer = setTimeout(
      () => {
        timer = undefined;
        check();
      },
      Math.max(1, Math.ceil(due)),
    );
    timer.unref();
  }

  function check(): void {
    const now = clock.monotonic();
    for (const entry of waiting) {
      if (now < entry.addedAt + waitMs) break;
      waiting.delete(entry);
      entry.expired();
    }
    arm();
  }

  return {
    add(entry) {
      entry.addedAt = clock.monotonic();
      waiting.add(entry);
      // Left armed when the set runs empty: at most one needless wake-up per `waitMs`, none per request.
      if (timer === undefined) arm();
    },
    remove(entry) {
      waiting.delete(entry);
    },
    check,
    stop() {
      clearTimeout(timer);
      timer = undefined;
      waiting.clear();
    },
  };
}
