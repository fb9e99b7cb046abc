/** How lines get to one sink. One batch is under way at a time. */
export type Transport = {
  /**
   * Resolves when the sink has the lines, as far as that can be known, to the number of those that it did not want.
   * @param lines JSON objects without a line feed.
   * @param signal aborted when it takes too long.
   * @throws {Refused} where they will never be taken; anything else: they are sent again.
   */
  send(lines: readonly string[], signal: AbortSignal): Promise<number>;
  /** Lets go of a file that somebody has moved. */
  reopen?(): void;
  close(): void | Promise<void>;
};

/** The sink understood and does not want them: sending them again is of no use. */
export class Refused extends Error {
  readonly code = "refused";
}

/** The sink asks to be left alone for so many milliseconds. */
export class TryLater extends Error {
  readonly code = "try_later";
  readonly afterMs: number | undefined;
  constructor(message: string, afterMs: number | undefined) {
    super(message);
    this.afterMs = afterMs;
  }
}
