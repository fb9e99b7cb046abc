import type { Piece, Pieces } from "./body.ts";

/** Event streams (HTML Standard §9.2) need their head at once: `EventSource` is open when it has come. */

/** An empty comment, which every reader of an event stream passes over (HTML Standard §9.2.6). */
const COMMENT = ":\n\n";
/** Most streams start with an event, and then nothing needs to be said for them. */
const QUIET_MS = 500;

const EVENT_STREAM = /^text\/event-stream/i;

export function isEventStream(contentType: string): boolean {
  return EVENT_STREAM.test(contentType);
}

/**
 * The stream itself, begun with a comment if there is no event in the first half second. `Bun.serve` holds back the end of
 * a response head until the first piece of its body (Bun pull request 33660), so a stream that waits for its first event
 * would never open.
 */
export function openEarly(pieces: Pieces): Pieces {
  let first: Promise<Piece> | undefined = pieces.read();
  // Whoever reads gets the error; until then it is not unhandled.
  first.catch(() => {});
  let timer: ReturnType<typeof setTimeout> | undefined;
  let quiet: Promise<"quiet"> | undefined = new Promise((resolve) => {
    timer = setTimeout(resolve, QUIET_MS, "quiet");
    timer.unref();
  });

  async function begin(awaited: Promise<Piece>, silence: Promise<"quiet">): Promise<Piece> {
    const soon = await Promise.race([awaited, silence]);
    clearTimeout(timer);
    // Not kept for the hours that a stream may be open.
    timer = quiet = undefined;
    if (soon === "quiet") return { done: false, value: new TextEncoder().encode(COMMENT) };
    first = undefined;
    return soon;
  }

  return {
    read() {
      if (first === undefined) return pieces.read();
      if (quiet !== undefined) return begin(first, quiet);
      const awaited = first;
      first = undefined;
      return awaited;
    },
    cancel(reason) {
      clearTimeout(timer);
      return pieces.cancel(reason);
    },
  };
}
