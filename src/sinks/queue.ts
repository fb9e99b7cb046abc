import { MIB } from "../option/values.ts";

/** Lines that wait for one sink, oldest first, up to a bound. */
export type Queue = ReturnType<typeof createQueue>;

export type Batch = {
  readonly lines: readonly string[];
  /** What {@link Queue.release} is given once they have arrived. */
  readonly end: number;
};

const MAX_LINES = 10_000;
const MAX_CHARACTERS = 8 * MIB;
const BATCH_LINES = 500;
const BATCH_CHARACTERS = MIB;

export function createQueue() {
  let lines: string[] = [];
  /** Lines at the beginning of the array that are gone. */
  let gone = 0;
  /** Number of the first line that is there, counted from the first that ever was. */
  let first = 0;
  let characters = 0;

  function drop(count: number): void {
    for (let at = gone; at < gone + count; at++) characters -= lines[at]?.length ?? 0;
    gone += count;
    first += count;
    // Moved up seldom: each time costs as much as there are lines.
    if (gone < MAX_LINES && gone < lines.length) return;
    lines = lines.slice(gone);
    gone = 0;
  }

  return {
    /** @returns how many of the oldest lines have fallen for it. */
    add(line: string): number {
      lines.push(line);
      characters += line.length;
      const before = first;
      while (lines.length - gone > MAX_LINES || (characters > MAX_CHARACTERS && lines.length - gone > 1))
        drop(1);
      return first - before;
    },
    /** The oldest, which stay. */
    batch(): Batch {
      let end = gone;
      for (let size = 0; end < lines.length && end - gone < BATCH_LINES; end++) {
        size += lines[end]?.length ?? 0;
        if (size > BATCH_CHARACTERS && end > gone) break;
      }
      return { lines: lines.slice(gone, end), end: first + end - gone };
    },
    /** Takes out what is before `end`, of which some may have fallen meanwhile. */
    release(end: number): void {
      if (end > first) drop(end - first);
    },
    get hasBatch() {
      return lines.length - gone >= BATCH_LINES || characters >= BATCH_CHARACTERS;
    },
    get isHalfFull() {
      return lines.length - gone >= MAX_LINES / 2 || characters >= MAX_CHARACTERS / 2;
    },
    get length() {
      return lines.length - gone;
    },
    get characters() {
      return characters;
    },
  };
}
