/** Bodies on their way through: handed on piece by piece, never held. */

export type BodyEnd = {
  readonly bytes: number;
  /** Why it did not come to its end: the upstream broke off, or the reader left. */
  readonly broken?: unknown;
  readonly left?: true;
};

/**
 * Passes a body on as its reader asks for more, and tells how it ended. A body that breaks off breaks off for the reader
 * too: it must never look whole. (Returned as it is, Bun would print the error of the broken stream, with the URL, to
 * stderr; and it would add a `Content-Type` to a response that has none.)
 */
export function passOn(
  body: ReadableStream<Uint8Array>,
  ended: (end: BodyEnd) => void,
): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  let bytes = 0;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (done) {
            ended({ bytes });
            controller.close();
          } else {
            bytes += value.byteLength;
            controller.enqueue(value);
          }
        } catch (error) {
          ended({ bytes, broken: error });
          // Without a reason: Bun prints the reason of a stream that errs.
          controller.error(undefined);
        }
      },
      cancel(reason) {
        ended({ bytes, left: true });
        return reader.cancel(reason);
      },
    },
    // One piece at a time, and none before it is asked for: this is the back-pressure.
    { highWaterMark: 0 },
  );
}

export class BodyTooLarge extends Error {
  readonly code = "body_too_large";
}

/** Passes a body on up to `limit` bytes. Calls `exceeded` and errs with {@link BodyTooLarge} beyond. */
export function limited(
  body: ReadableStream<Uint8Array>,
  limit: number,
  exceeded: () => void,
): ReadableStream<Uint8Array> {
  let bytes = 0;
  return body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        bytes += chunk.byteLength;
        if (bytes > limit) {
          exceeded();
          controller.error(new BodyTooLarge());
        } else {
          controller.enqueue(chunk);
        }
      },
    }),
  );
}

/**
 * Collects a body of at most `limit` bytes.
 * @returns the whole body, or a stream that starts with what was collected if there is more.
 */
export async function collect(
  body: ReadableStream<Uint8Array>,
  limit: number,
): Promise<Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>> {
  const reader = body.getReader();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return Buffer.concat(chunks);
    chunks.push(value);
    bytes += value.byteLength;
    if (bytes > limit) break;
  }
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const collected = chunks.shift();
        if (collected !== undefined) {
          controller.enqueue(collected);
          return;
        }
        const { done, value } = await reader.read();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}
