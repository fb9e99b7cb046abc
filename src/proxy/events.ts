/** Event streams (HTML Standard §9.2) need their head at once: `EventSource` is open when it has come. */

/** An empty comment, which every reader of an event stream passes over (HTML Standard §9.2.6). */
const COMMENT = new TextEncoder().encode(":\n\n");
/** Most streams start with an event, and then nothing needs to be said for them. */
const QUIET_MS = 500;

const EVENT_STREAM = /^text\/event-stream/i;

export function isEventStream(contentType: string): boolean {
  return EVENT_STREAM.test(contentType);
}

/**
 * Begins a stream with a comment if there is no event in the first half second. `Bun.serve` holds back the end of a
 * response head until the first piece of its body (Bun pull request 33660), so a stream that waits for its first event
 * would never open.
 */
export function openEarly(write: (piece: Uint8Array) => void): void {
  setTimeout(write, QUIET_MS, COMMENT).unref();
}
