import type { Random } from "../clock.ts";
import { ValueError } from "../option/value-error.ts";

/** Parsers and makers of secrets and what goes with them. No error text here contains any part of a value. */

const JWT_SECRET_BYTES = 32;
const SESSION_KEY_BYTES = 64;

const MAKE_ONE = "Make one with `runegate secrets`.";

/** The UTF-8 bytes of a text of at least 32 bytes: RFC 7518 §3.2 wants a key as long as the hash output. */
export function jwtSecret(text: string): Uint8Array {
  return longEnough(Buffer.from(text), JWT_SECRET_BYTES, `Write at least ${JWT_SECRET_BYTES} bytes.`);
}

/** 128 hexadecimal digits, decoded, or the UTF-8 bytes of a text of at least 64 bytes. */
export function sessionKey(text: string): Uint8Array {
  const hex = text.length === 2 * SESSION_KEY_BYTES && /^[0-9a-f]*$/i.test(text);
  const remedy = `Write 128 hexadecimal digits, or at least ${SESSION_KEY_BYTES} bytes.`;
  return longEnough(Buffer.from(text, hex ? "hex" : "utf8"), SESSION_KEY_BYTES, remedy);
}

/** A time in UTC (RFC 3339), as milliseconds since the Unix epoch. */
export function instant(text: string): number {
  const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,3})?Z$/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(time)) return time;
  throw new ValueError("is no time in UTC", "Write one such as 2026-03-01T09:00:00Z.");
}

function longEnough(bytes: Uint8Array, least: number, remedy: string): Uint8Array {
  if (bytes.length >= least) return new Uint8Array(bytes);
  throw new ValueError(`is too short: ${bytes.length} of ${least} bytes`, `${remedy} ${MAKE_ONE}`);
}

/** A secret that {@link jwtSecret} accepts, as text for an env file. */
export function freshJwtSecret(random: Random): string {
  return Buffer.from(random.bytes(JWT_SECRET_BYTES)).toString("hex");
}

/** A key that {@link sessionKey} accepts, as text for an env file. */
export function freshSessionKey(random: Random): string {
  return Buffer.from(random.bytes(SESSION_KEY_BYTES)).toString("hex");
}
