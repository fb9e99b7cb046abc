import { patternBytes } from "./pattern.ts";
import { parameter, parseSize } from "./quantity.ts";
import { type ByteRange, parseRange } from "./range.ts";

/** Up to here a body is sent whole, and so with its Content-Length; Bun sends a streamed one chunked, without. */
const WHOLE = 2 ** 20;
const CHUNK = 2 ** 16;
/** With a rate: this many pieces a second. */
const PIECES = 10;

/**
 * `GET /download?size=10MB&rate=1MB`: {@link patternBytes} from 0 to `size`, at most `rate` bytes a second.
 * Answers `Range` with 206 or 416 (RFC 9110 §14), `If-Range`, `If-None-Match` with 304, and HEAD.
 * @throws {ParameterError}
 */
export function download(request: Request): Response {
  const query = new URL(request.url).searchParams;
  const size = parseSize("size", parameter(query, "size") ?? "10MB");
  const rateText = parameter(query, "rate") ?? "";
  const rate = rateText === "" ? undefined : parseSize("rate", rateText, 1);

  const etag = `"pattern-${size}"`;
  const headers = new Headers({
    "Content-Type": "application/octet-stream",
    "Content-Disposition": `attachment; filename="sample-${size}.bin"`,
    "Accept-Ranges": "bytes",
    "Cache-Control": "private, no-cache",
    ETag: etag,
  });
  if (matches(request.headers.get("if-none-match"), etag))
    return new Response(null, { status: 304, headers });

  // RFC 9110 §14.2: only GET has ranges; §13.1.5: a range of another version is answered with the whole.
  const ranged = request.method === "GET" && (request.headers.get("if-range") ?? etag) === etag;
  const range = ranged ? parseRange(request.headers.get("range") ?? "", size) : undefined;
  if (range === "unsatisfiable") {
    return new Response(null, { status: 416, headers: { "Content-Range": `bytes */${size}` } });
  }
  if (range !== undefined) headers.set("Content-Range", `bytes ${range.first}-${range.last}/${size}`);

  const { first, last } = range ?? { first: 0, last: size - 1 };
  const length = last - first + 1;
  if (request.method === "HEAD") {
    headers.set("Content-Length", String(length));
    return new Response(null, { headers });
  }
  const body =
    length <= WHOLE && rate === undefined ? patternBytes(first, length) : paced({ first, last }, rate);
  return new Response(body, { status: range === undefined ? 200 : 206, headers });
}

/** Makes each piece when the connection has room for it, and not before its time. */
function paced({ first, last }: ByteRange, rate = Number.POSITIVE_INFINITY): ReadableStream<Uint8Array> {
  const piece = Math.max(1, Math.min(CHUNK, Math.floor(rate / PIECES)));
  const began = performance.now();
  let position = first;
  let left = false;
  return new ReadableStream({
    async pull(controller) {
      const due = began + ((position - first) / rate) * 1000;
      // At full speed too the event loop gets its turn between pieces: one download must not hold up the others.
      await Bun.sleep(Math.max(0, due - performance.now()));
      if (left) return;
      const length = Math.min(piece, last + 1 - position);
      controller.enqueue(patternBytes(position, length));
      position += length;
      if (position > last) controller.close();
    },
    cancel() {
      left = true;
    },
  });
}

/** `If-None-Match` with its weak comparison (RFC 9110 §13.1.2). */
function matches(header: string | null, etag: string): boolean {
  return (header ?? "")
    .split(",")
    .some((tag) => tag.trim() === "*" || tag.trim().replace(/^W\//, "") === etag);
}
