import type { Random } from "../clock.ts";

/** The short code in a login mail, typed where the link cannot be clicked. */

/** Without 0/O, 1/I/L, which people mistake for each other: 31 letters, so 8 of them carry 39.6 bits. */
const ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ";
const LENGTH = 8;

/** Draws 8 characters, each equally likely. */
export function drawCode(random: Random): string {
  let code = "";
  while (code.length < LENGTH) {
    for (const byte of random.bytes(LENGTH)) {
      // The bytes above the largest multiple of 31 would favor the first letters.
      if (byte < 248 && code.length < LENGTH) code += ALPHABET[byte % ALPHABET.length] ?? "";
    }
  }
  return code;
}

/** A code as typed: case, blanks and hyphens do not count. Undefined if it cannot be one. */
export function parseCode(typed: string): string | undefined {
  if (typed.length > 64) return undefined;
  const code = typed.toUpperCase().replace(/[\s\p{Pd}]/gu, "");
  return code.length === LENGTH && [...code].every((char) => ALPHABET.includes(char)) ? code : undefined;
}

/** What the login cookie carries of the code. Keyed, so that whoever holds the cookie cannot search for the code. */
export function codeHashOf(key: Uint8Array, jti: string, code: string): string {
  return new Bun.CryptoHasher("sha256", key).update(`${jti}.${code}`).digest("base64url");
}
