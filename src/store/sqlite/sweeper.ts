import { StoreUnavailable } from "../records.ts";

/** Deletes at most so many expired rows; true if it did delete as many, and there may be more. */
export type Sweep = (most: number) => boolean;

/**
 * In a step the process does nothing else, and no other process can write: some milliseconds, because expired rows are all over
 * a large table. Two thousand rows a second are more than can have come.
 */
const STEP_ROWS = 50;
const BETWEEN_STEPS_MS = 25;
const IDLE_MS = 10_000;

/**
 * Deletes what has expired, in small steps with pauses: what has run out is gone to every caller at once, and only its room
 * is still to be had back. Every process does so; they take each other's work off.
 */
export function startSweeper(sweeps: readonly Sweep[], idleMs = IDLE_MS): { stop(): void } {
  let timer: ReturnType<typeof setTimeout> | undefined;

  function sweep(): void {
    let more = false;
    for (const step of sweeps) {
      try {
        more = step(STEP_ROWS) || more;
      } catch (error) {
        // Already in the log. Whatever is left waits until the database works again.
        if (!(error instanceof StoreUnavailable)) throw error;
      }
    }
    next(more ? BETWEEN_STEPS_MS : idleMs);
  }

  function next(wait: number): void {
    timer = setTimeout(sweep, wait);
    timer.unref();
  }

  next(idleMs);
  return { stop: () => clearTimeout(timer) };
}
