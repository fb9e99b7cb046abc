import { KIB } from "../option/values.ts";

/** Bodies on their way through: handed on piece by piece, never held. */

export type BodyEnd = {
  readonly bytes: number;
  /** Why it did not come to its end: the upstream broke off, or the reader left. */
  readonly broken?: unknown;
  readonly left?: true;
};

/**
 * A body piece by piece, as its reader gives it. One more stream around a stream would cost 1 KB for as long as it is open,
 * which counts where thousands of event streams are.
 */
export type Pieces = { read(): Promise<Piece> };

type Piece =
  | { readonly done: false; readonly value: Uint8Array }
  | { readonly done: true; readonly value?: Uint8Array | undefined };

/** What a stream is closed with that is to look broken off: it goes nowhere, the connection is cut. */
const BROKEN_OFF = new Error("broken off");

/**
 * Passes a body on as its reader asks for more. A body that breaks off breaks off for the reader too: it must never look
 * whole. (Returned as it is, Bun would print the error of the broken stream, with the URL, to stderr; and it would add a
 * `Content-Type` to a response that has none.)
 * @param ended called once; of a reader that has left it is for the caller to end the body.
 * @param signal breaks it off at once, whether or not anybody reads.
 * @param opened called when there is somebody to write to; `write` sends what is not the body's own before its first piece.
 */
export function passOn(
  body: Pieces,
  ended: (end: BodyEnd) => void,
  signal: AbortSignal,
  opened?: (write: (piece: Uint8Array) => void) => void,
): ReadableStream<Uint8Array> {
  let bytes = 0;
  let over = false;
  const end = (how: BodyEnd) => {
    if (over) return;
    over = true;
    ended(how);
  };
  return new ReadableStream<Uint8Array>({
    // Without a queue: 2 KB less for as long as it is open.
    type: "direct",
    async pull(reader) {
      const breakOff = (error: unknown) => {
        if (over) return;
        end({ bytes, broken: error });
        reader.close(BROKEN_OFF);
      };
      signal.addEventListener("abort", () => breakOff(signal.reason), { once: true });
      opened?.((piece) => {
        if (over || bytes > 0) return;
        bytes += piece.byteLength;
        reader.write(piece);
      });
      try {
        for (;;) {
          const { done, value } = await body.read();
          // Left, or broken off, while it was waited for.
          if (over) return;
          if (done) break;
          bytes += value.byteLength;
          // A promise only where the reader is behind: this is the back-pressure.
          await reader.write(value);
          free(value);
        }
        end({ bytes });
        reader.close();
      } catch (error) {
        breakOff(error);
      }
    },
    cancel: () => end({ bytes, left: true }),
  });
}

/**
 * Passes a request body on as the application takes it. To `fetch`, a generator costs half of what a stream does.
 * @param moved called with the length of each piece before it goes.
 */
export async function* passUp(
  body: ReadableStream<Uint8Array>,
  moved: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const piece of body) {
    moved(piece.byteLength);
    yield piece;
    free(piece);
  }
}

/** Shorter pieces are left to the collector: there is little to give back, and asking for it makes objects. */
const WORTH_FREEING = 4 * KIB;

/**
 * Gives the memory of a piece back once the next one is asked for: `Bun.serve` and `fetch` have copied by then what they
 * could not send. Left to the collector, 40 MB of sent pieces pile up before it runs.
 */
function free(piece: Uint8Array): void {
  // Only a piece that has its buffer to itself.
  if (piece.byteLength < WORTH_FREEING || piece.byteLength !== piece.buffer.byteLength) return;
  (piece.buffer as ArrayBuffer).transfer(0);
}

/**
 * Collects a body of at most `limit` bytes.
 * @returns the whole body, or all its pieces, from the first one on, if there is more.
 */
export async function collect(body: Pieces, limit: number): Promise<Uint8Array<ArrayBuffer> | Pieces> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for (;;) {
    const { done, value } = await body.read();
    if (done) return Buffer.concat(chunks);
    chunks.push(value);
    bytes += value.byteLength;
    if (bytes > limit) break;
  }
  return {
    read() {
      const value = chunks.shift();
      return value === undefined ? body.read() : Promise.resolve({ done: false, value });
    },
  };
}
