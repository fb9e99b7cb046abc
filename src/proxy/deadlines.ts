import type { Clock } from "../clock.ts";

/**
 * Many deadlines of one length with one timer: since all wait equally long, the oldest is always the next to expire. They
 * form a list, linked through the deadlines themselves, so that adding and removing one makes no garbage. A timer of its own
 * for each request costs more than the session check.
 */
export type Deadlines = {
  /** Calls `expired` in `waitMs`, unless removed before. An entry is in one list at a time, once. */
  add(entry: Deadline): void;
  /** Does nothing to an entry that is not in the list. */
  remove(entry: Deadline): void;
  /** For tests, which move the clock: expires what is due now. */
  check(): void;
  stop(): void;
};

export type Deadline = {
  expired(): void;
  /** Monotonic milliseconds. These three belong to the list. */
  addedAt: number;
  older?: Deadline | undefined;
  newer?: Deadline | undefined;
};

export function deadline(expired: () => void): Deadline {
  return { expired, addedAt: 0, older: undefined, newer: undefined };
}

export function createDeadlines(waitMs: number, clock: Pick<Clock, "monotonic">): Deadlines {
  /** Closes the list into a ring: its `newer` is the oldest entry, its `older` the newest. */
  const ends: Deadline = deadline(() => {});
  ends.older = ends;
  ends.newer = ends;
  let timer: ReturnType<typeof setTimeout> | undefined;

  function arm(): void {
    const oldest = ends.newer;
    if (timer !== undefined || oldest === undefined || oldest === ends) return;
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

  function remove(entry: Deadline): void {
    const { older, newer } = entry;
    if (older === undefined || newer === undefined) return;
    older.newer = newer;
    newer.older = older;
    entry.older = undefined;
    entry.newer = undefined;
  }

  function check(): void {
    const now = clock.monotonic();
    for (;;) {
      const oldest = ends.newer;
      if (oldest === undefined || oldest === ends || now < oldest.addedAt + waitMs) break;
      remove(oldest);
      oldest.expired();
    }
    arm();
  }

  return {
    add(entry) {
      entry.addedAt = clock.monotonic();
      const newest = ends.older ?? ends;
      entry.older = newest;
      entry.newer = ends;
      newest.newer = entry;
      ends.older = entry;
      // Left armed when the list runs empty: at most one needless wake-up per `waitMs`, none per request.
      if (timer === undefined) arm();
    },
    remove,
    check,
    stop() {
      clearTimeout(timer);
      timer = undefined;
      ends.older = ends;
      ends.newer = ends;
    },
  };
}
