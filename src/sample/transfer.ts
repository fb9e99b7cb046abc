import { byteSize, MIB } from "../option/values.ts";
import { ParameterError, parameter } from "./parameter.ts";

/** Uploads, counted and kept nowhere, and downloads that are made as they are sent. */

/** 10 TB: far more than anybody waits for, and still exact in a double. */
const MAX_SIZE = 10e12;
const CHUNK = 2 ** 16;
/** Lines of 16 bytes, each its own offset in hexadecimal digits: a byte lost, doubled or out of place shows. */
const pattern = Buffer.from(
  Array.from({ length: MIB / 16 }, (_, i) => `${(i * 16).toString(16).padStart(15, "0")}\n`).join(""),
);

/** `0`, or as options write sizes. */
function size(text: string): number {
  return text === "0" ? 0 : Math.min(byteSize(text) ?? MAX_SIZE, MAX_SIZE);
}

/**
 * `GET /download?size=10MB&rate=1MB`: at most `rate` bytes a second, of at most 10 TB. Answers `Range` with 206 or 416
 * (RFC 9110 §14), `If-Range`, and HEAD.
 * @throws {ParameterError}
 */
export function download(request: Request): Response {
  const total = parameter(request, "size", "10MB", size);
  const rate = parameter(request, "rate", "10TB", byteSize) ?? MAX_SIZE;
  const etag = `"pattern-${total}"`;
  const headers = new Headers({
    "Content-Type": "application/octet-stream",
    "Content-Disposition": `attachment; filename="sample-${total}.bin"`,
    "Accept-Ranges": "bytes",
    ETag: etag,
  });
  // RFC 9110 §14.2: only GET has ranges; §13.1.5: a range of another version is answered with the whole.
  const ranged = request.method === "GET" && (request.headers.get("if-range") ?? etag) === etag;
  const range = /^bytes=(\d{0,15})-(\d{0,15})$/.exec((ranged && request.headers.get("range")) || "-");
  const [, from = "", to = ""] = range ?? [];
  const first = from !== "" ? Number(from) : Math.max(0, to !== "" ? total - Number(to) : 0);
  const last = from !== "" && to !== "" ? Math.min(Number(to), total - 1) : total - 1;
  if (range !== null && first > last) {
    return new Response(null, { status: 416, headers: { "Content-Range": `bytes */${total}` } });
  }
  if (range !== null) headers.set("Content-Range", `bytes ${first}-${last}/${total}`);
  if (request.method === "HEAD") headers.set("Content-Length", String(total));
  const body = request.method === "HEAD" ? null : paced(first, last, rate);
  return new Response(body, { status: range === null ? 200 : 206, headers });
}

/** Makes each piece when the connection has room for it, and not before its time: with a rate, ten a second. */
function paced(first: number, last: number, rate: number): ReadableStream<Uint8Array> {
  const piece = Math.max(1, Math.min(CHUNK, Math.floor(rate / 10)));
  const began = performance.now();
  let position = first;
  let left = false;
  return new ReadableStream({
    async pull(controller) {
      const due = began + ((position - first) / rate) * 1000;
      // At full speed too the event loop gets its turn between pieces: one download must not hold up the others.
      await Bun.sleep(Math.max(0, due - performance.now()));
      if (left) return;
      if (position > last) return controller.close();
      const start = position % MIB;
      const bytes = new Uint8Array(pattern.subarray(start, start + Math.min(piece, last + 1 - position)));
      controller.enqueue(bytes);
      position += bytes.length;
    },
    cancel() {
      left = true;
    },
  });
}

/**
 * `POST /upload`: counts and hashes the body as it arrives. Of a form, which a browser without JavaScript sends, it is the
 * file in it, and the form is held in memory.
 * @throws {ParameterError} for a form without a file
 */
export async function receiveUpload(request: Request) {
  const began = performance.now();
  const hasher = new Bun.CryptoHasher("sha256");
  let bytes = 0;
  let name = new URL(request.url).searchParams.get("name");
  let body: AsyncIterable<Uint8Array> | readonly Uint8Array[] = request.body ?? [];
  if (request.headers.get("content-type")?.startsWith("multipart/form-data")) {
    const form = await request.formData().catch(() => undefined);
    const file = form?.values().find((value) => value instanceof File && value.name !== "");
    if (!(file instanceof File)) throw new ParameterError("The form has no file. Choose one first.");
    name = file.name;
    body = [await file.bytes()];
  }
  for await (const chunk of body) {
    bytes += chunk.length;
    hasher.update(chunk);
  }
  const seconds = Math.round(performance.now() - began) / 1000;
  return { name, bytes, sha256: hasher.digest("hex"), seconds };
}
