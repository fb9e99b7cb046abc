/** Event streams (HTML Standard §9.2) need their head at once: `EventSource` is open when it has come. */

/** An empty comment, which every reader of an event stream passes over (HTML Standard §9.2.6). */
const COMMENT = ":\n\n";
/** Most streams start with an event, and then nothing needs to be said for them. */
const QUIET_MS = 500;

export function isEventStream(headers: Headers): boolean {
  return headers.get("content-type")?.toLowerCase().startsWith("text/event-stream") === true;
}

/**
 * The stream itself, begun with a comment if there is no event in the first half second. `Bun.serve` holds back the end of
 * a response head until the first piece of its body (Bun pull request 33660), so a stream that waits for its first event
 * would never open.
 */
export function openEarly(body: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  const first = reader.read();
  // Whoever pulls gets the error; until then it is not unhandled.
  first.catch(() => {});
  let timer: ReturnType<typeof setTimeout> | undefined;
  const quiet = new Promise<"quiet">((resolve) => {
    timer = setTimeout(resolve, QUIET_MS, "quiet");
    timer.unref();
  });
  let pieces: "awaited" | "announced" | "coming" = "awaited";

  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (pieces === "awaited") {
          const soon = await Promise.race([first, quiet]);
          pieces = soon === "quiet" ? "announced" : "coming";
          clearTimeout(timer);
          if (soon === "quiet") controller.enqueue(new TextEncoder().encode(COMMENT));
          else give(controller, soon);
          return;
        }
        const next = pieces === "announced" ? first : reader.read();
        pieces = "coming";
        give(controller, await next);
      },
      cancel(reason) {
        clearTimeout(timer);
        return reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}

type Piece = { done: boolean; value?: Uint8Array | undefined };

function give(controller: ReadableStreamDefaultController<Uint8Array>, { done, value }: Piece): void {
  if (done || value === undefined) controller.close();
  else controller.enqueue(value);
}
