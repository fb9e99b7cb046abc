import type { Random } from "../clock.ts";
import { ValueError } from "../option/value-error.ts";

/** Parsers and makers of secrets. No error text here contains any part of a value. */

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
