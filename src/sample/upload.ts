import { createFormReader, formBoundary } from "./multipart.ts";
import { parameter } from "./quantity.ts";

export type Upload = {
  readonly name: string | null;
  readonly bytes: number;
  /** In lower-case hexadecimal. */
  readonly sha256: string;
  readonly seconds: number;
};

/**
 * `POST /upload`: counts and hashes the body as it arrives and keeps none of it. A form's body is taken apart and its
 * first file counted; any other body is the file itself, named by `?name=`.
 * @throws {MultipartError} for a malformed form, or one without a file.
 * @throws {ParameterError}
 */
export async function receiveUpload(request: Request): Promise<Upload> {
  const began = performance.now();
  const hasher = new Bun.CryptoHasher("sha256");
  let bytes = 0;
  const count = (chunk: Uint8Array) => {
    bytes += chunk.length;
    hasher.update(chunk);
  };

  const boundary = formBoundary(request.headers.get("content-type") ?? "");
  const form = boundary === undefined ? undefined : createFormReader(boundary, count);
  for await (const chunk of request.body ?? []) (form?.push ?? count)(chunk);
  const name = form?.end() ?? parameter(new URL(request.url).searchParams, "name") ?? null;
  const seconds = Math.round(performance.now() - began) / 1000;
  return { name, bytes, sha256: hasher.digest("hex"), seconds };
}
