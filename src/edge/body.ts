import { KIB } from "../option/values.ts";
import { type Said, said } from "../pages/language.ts";
import { badRequest, type ExtraHeaders, NOT_UNDERSTOOD, Refusal } from "./answer.ts";
import type { Arrival } from "./arrival.ts";

/** Bodies of Runegate's own forms and its API: small, of two kinds, and read with a limit in size and time. */

const MAX_OWN_BODY = 64 * KIB;
const BODY_TIMEOUT_MS = 10_000;

/** Why a body is not taken, with the connection closed where the rest of it may still come. */
function refusal(status: 408 | 413 | 415, message: Said): Refusal {
  const headers: ExtraHeaders = status === 415 ? [] : [["Connection", "close"]];
  return new Refusal({ status, error: CODES[status], title: NOT_UNDERSTOOD, message, headers });
}

const CODES = { 408: "request_timeout", 413: "body_too_large", 415: "unsupported_media_type" } as const;

/** Whether the request announces a body (RFC 9112 §6.3). */
export function hasBody({ headers }: Pick<Arrival, "headers">): boolean {
  const length = headers["content-length"];
  return "transfer-encoding" in headers || (length !== undefined && Number(length) !== 0);
}

/** Field values by name; a field given twice, or that is not a string, is an error. */
export type Fields = Readonly<Record<string, string>>;

/**
 * Reads a flat JSON object or a URL-encoded form.
 * @throws {Refusal} 415 for another content type, 413 over 64 KiB, 408 if it does not arrive within 10 s, 400 if it
 * cannot be understood.
 */
export async function readFields(request: Request): Promise<Fields> {
  const text = await readText(request, [JSON_TYPE, FORM_TYPE], said("request.sendForm"));
  return typeOf(request) === JSON_TYPE ? jsonFields(parseJson(text)) : formFields(text);
}

/** Reads a JSON object that is no deeper than anybody needs. @throws {Refusal} as {@link readFields}. */
export async function readJson(request: Request): Promise<object> {
  const value = objectOf(parseJson(await readText(request, [JSON_TYPE], said("request.sendJson"))));
  if (!isPlain(value, MAX_DEPTH)) throw badRequest(said("request.tooDeep"));
  return value;
}

const MAX_DEPTH = 16;

/**
 * Whether a value can be turned into text by whoever says what is wrong with it, as Elysia does: not so an object with a
 * `toString` of its own, or arrays in arrays without end.
 */
function isPlain(value: unknown, depth: number): boolean {
  if (typeof value !== "object" || value === null) return true;
  if (depth === 0) return false;
  return Object.entries(value).every(
    ([name, inner]) => !(name in Object.prototype) && isPlain(inner, depth - 1),
  );
}

const JSON_TYPE = "application/json";
const FORM_TYPE = "application/x-www-form-urlencoded";

function typeOf({ headers }: Request): string {
  return headers.get("content-type")?.split(";", 1)[0]?.trim().toLowerCase() ?? "";
}

/**
 * Reads a body whole.
 * @throws {Refusal} 413 over `most` bytes, 408 if it does not arrive in time, 400 if it breaks off.
 */
export async function readWhole(request: Request, most: number, timeoutMs: number): Promise<Uint8Array> {
  if (Number(request.headers.get("content-length") ?? 0) > most) throw tooLarge();
  const body = request.body;
  if (body === null) return new Uint8Array();
  const reader = body.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(refusal(408, said("request.late"))), timeoutMs);
  });
  try {
    for (;;) {
      const { done, value } = await Promise.race([reader.read(), late]);
      if (done) break;
      size += value.byteLength;
      if (size > most) throw tooLarge();
      chunks.push(value);
    }
  } catch (error) {
    reader.cancel().catch(() => {});
    throw error instanceof Refusal ? error : badRequest(said("request.brokenOff"));
  } finally {
    clearTimeout(timer);
  }
  return Buffer.concat(chunks);
}

async function readText(request: Request, types: readonly string[], advice: Said): Promise<string> {
  if (!types.includes(typeOf(request))) throw refusal(415, advice);
  return readBody(request, MAX_OWN_BODY);
}

/** Reads a text whatever it says it is. @throws {Refusal} as {@link readFields}, but 413 over `most` bytes. */
export async function readBody(request: Request, most: number): Promise<string> {
  const encoding = request.headers.get("content-encoding");
  if (encoding !== null && encoding.toLowerCase() !== "identity") {
    throw refusal(415, said("request.compressed"));
  }
  const bytes = await readWhole(request, most, BODY_TIMEOUT_MS);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw badRequest(said("request.notUtf8"));
  }
}

function tooLarge(): Refusal {
  return refusal(413, said("request.tooLarge"));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw badRequest(said("request.notJson"));
  }
}

function objectOf(value: unknown): object {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw badRequest(said("request.notObject"));
}

function jsonFields(value: unknown): Fields {
  const fields: Record<string, string> = Object.create(null);
  for (const [name, field] of Object.entries(objectOf(value))) {
    if (field === null) continue;
    if (typeof field !== "string") throw badRequest(said("request.fieldType", { name: printable(name) }));
    fields[name] = field;
  }
  return fields;
}

function formFields(text: string): Fields {
  const fields: Record<string, string> = Object.create(null);
  for (const [name, value] of new URLSearchParams(text)) {
    if (name in fields) throw badRequest(said("request.fieldTwice", { name: printable(name) }));
    fields[name] = value;
  }
  return fields;
}

/** A field's name as it may be said back to whoever sent it. */
export function printable(name: string): string {
  return name.replace(/[^\w.-]/g, "?").slice(0, 40);
}
