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
export type Pieces = {
  read(): Promise<Piece>;
  cancel(reason?: unknown): Promise<void>;
};

export type Piece =
  | { readonly done: false; readonly value: Uint8Array }
  | { readonly done: true; readonly value?: Uint8Array | undefined };

/**
 * Passes a body on as its reader asks for more, and tells how it ended. A body that breaks off breaks off for the reader
 * too: it must never look whole. (Returned as it is, Bun would print the error of the broken stream, with the URL, to
 * stderr; and it would add a `Content-Type` to a response that has none.)
 * @param signal breaks it off at once, whether or not anybody reads.
 */
export function passOn(
  body: Pieces,
  ended: (end: BodyEnd) => void,
  signal: AbortSignal,
): ReadableStream<Uint8Array> {
  let bytes = 0;
  let piece: Uint8Array | undefined;
  let over = false;
  const end = (how: BodyEnd) => {
    if (!over) ended(how);
    over = true;
  };
  const breakOff = (controller: ReadableStreamDefaultController, error: unknown) => {
    if (over) return;
    end({ bytes, broken: error });
    // Without a reason: Bun prints the reason of a stream that errs.
    controller.error(undefined);
  };
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        signal.addEventListener("abort", () => breakOff(controller, signal.reason), { once: true });
      },
      async pull(controller) {
        free(piece);
        piece = undefined;
        try {
          const { done, value } = await body.read();
          // Left while it was waited for.
          if (over) return;
          if (done) {
            end({ bytes });
            controller.close();
          } else {
            bytes += value.byteLength;
            piece = value;
            controller.enqueue(value);
          }
        } catch (error) {
          breakOff(controller, error);
        }
      },
      cancel(reason) {
        end({ bytes, left: true });
        return body.cancel(reason);
      },
    },
    // One piece at a time, and none before it is asked for: this is the back-pressure.
    { highWaterMark: 0 },
  );
}

/**
 * Passes a request body on as the application takes it.
 * @param reader of the body.
 * @param moved called with the length of each piece before it goes. What it throws ends the body.
 */
export function passUp(reader: Pieces, moved: (bytes: number) => void): ReadableStream<Uint8Array> {
  let piece: Uint8Array | undefined;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        free(piece);
        piece = undefined;
        try {
          const { done, value } = await reader.read();
          if (done) return controller.close();
          moved(value.byteLength);
          piece = value;
          controller.enqueue(value);
        } catch (error) {
          controller.error(error);
        }
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

/**
 * Gives the memory of a piece back when the next one is asked for: `Bun.serve` and `fetch` have copied by then what they
 * could not send. Left to the collector, 40 MB of sent pieces pile up before it runs.
 */
function free(piece: Uint8Array | undefined): void {
  // Only a piece that has its buffer to itself.
  if (piece !== undefined && piece.byteLength === piece.buffer.byteLength) {
    (piece.buffer as ArrayBuffer).transfer(0);
  }
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
    cancel: (reason) => body.cancel(reason),
  };
}
