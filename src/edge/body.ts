import { KIB } from "../option/values.ts";

/** Bodies of Runegate's own forms: small, of two kinds, and read with a limit in size and time. */

const MAX_OWN_BODY = 64 * KIB;
const BODY_TIMEOUT_MS = 10_000;

export class BodyError extends Error {
  readonly status: 400 | 408 | 413 | 415;
  readonly code: "bad_request" | "request_timeout" | "body_too_large" | "unsupported_media_type";
  constructor(status: 400 | 408 | 413 | 415, message: string) {
    super(message);
    this.status = status;
    this.code = CODES[status];
  }
}

const CODES = {
  400: "bad_request",
  408: "request_timeout",
  413: "body_too_large",
  415: "unsupported_media_type",
} as const;

/** Whether the request announces a body (RFC 9112 §6.3). */
export function hasBody({ headers }: Request): boolean {
  const length = headers.get("content-length");
  return headers.has("transfer-encoding") || (length !== null && Number(length) !== 0);
}

/** Field values by name; a field given twice, or that is not a string, is an error. */
export type Fields = Readonly<Record<string, string>>;

/**
 * Reads a flat JSON object or a URL-encoded form.
 * @throws {BodyError} 415 for another content type, 413 over 64 KiB, 408 if it does not arrive within 10 s, 400 if it
 * cannot be understood.
 */
export async function readFields(request: Request): Promise<Fields> {
  const type = request.headers.get("content-type")?.split(";", 1)[0]?.trim().toLowerCase() ?? "";
  if (type !== "application/json" && type !== "application/x-www-form-urlencoded") {
    throw new BodyError(415, "Send JSON or a URL-encoded form.");
  }
  const encoding = request.headers.get("content-encoding");
  if (encoding !== null && encoding.toLowerCase() !== "identity") {
    throw new BodyError(415, "A compressed body is not accepted here.");
  }
  const text = await readText(request);
  return type === "application/json" ? jsonFields(text) : formFields(text);
}

async function readText(request: Request): Promise<string> {
  if (Number(request.headers.get("content-length") ?? 0) > MAX_OWN_BODY) throw tooLarge();
  const body = request.body;
  if (body === null) return "";
  const reader = body.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new BodyError(408, "The request did not arrive in time.")),
      BODY_TIMEOUT_MS,
    );
  });
  try {
    for (;;) {
      const { done, value } = await Promise.race([reader.read(), late]);
      if (done) break;
      size += value.byteLength;
      if (size > MAX_OWN_BODY) throw tooLarge();
      chunks.push(value);
    }
  } catch (error) {
    reader.cancel().catch(() => {});
    throw error instanceof BodyError ? error : new BodyError(400, "The request body broke off.");
  } finally {
    clearTimeout(timer);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    throw new BodyError(400, "The request body is not UTF-8.");
  }
}

function tooLarge(): BodyError {
  return new BodyError(413, "The request body is too large.");
}

function jsonFields(text: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new BodyError(400, "The request body is not valid JSON.");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new BodyError(400, "The request body must be a JSON object.");
  }
  const fields: Record<string, string> = Object.create(null);
  for (const [name, field] of Object.entries(value)) {
    if (field === null) continue;
    if (typeof field !== "string")
      throw new BodyError(400, `The field "${printable(name)}" must be a string.`);
    fields[name] = field;
  }
  return fields;
}

function formFields(text: string): Fields {
  const fields: Record<string, string> = Object.create(null);
  for (const [name, value] of new URLSearchParams(text)) {
    if (name in fields) throw new BodyError(400, `The field "${printable(name)}" was sent twice.`);
    fields[name] = value;
  }
  return fields;
}

/** A field's name as it may be said back to whoever sent it. */
function printable(name: string): string {
  return name.replace(/[^\w.-]/g, "?").slice(0, 40);
}
