import type { Random } from "../clock.ts";

/** The short code in a login mail, typed where the link cannot be clicked. */

const ALPHABETS = {
  /** Eight of them are 10^8: with five tries a ticket, and a ticket in five minutes, a guess in a million a month. */
  digits: "0123456789",
  /** Without 0/O, 1/I/L, which people mistake for each other: 31 letters, so 8 of them carry 39.6 bits. */
  letters: "23456789ABCDEFGHJKMNPQRSTUVWXYZ",
} as const;

export const CODE_KINDS = ["digits", "letters"] as const;
export type CodeKind = (typeof CODE_KINDS)[number];

const LENGTH = 8;
const DIGITS = /^[0-9]{8}$/;

/** Draws 8 characters, each equally likely. */
export function drawCode(random: Random, kind: CodeKind): string {
  const alphabet = ALPHABETS[kind];
  // The bytes above its largest multiple would favor the first characters.
  const fair = 256 - (256 % alphabet.length);
  let code = "";
  while (code.length < LENGTH) {
    for (const byte of random.bytes(LENGTH)) {
      if (byte < fair && code.length < LENGTH) code += alphabet[byte % alphabet.length] ?? "";
    }
  }
  return code;
}

/** As people read it: `1234 5678`, or `ABCD-2345`. */
export function shownCode(code: string): string {
  return `${code.slice(0, 4)}${DIGITS.test(code) ? " " : "-"}${code.slice(4)}`;
}

/**
 * A code as typed: case, blanks and hyphens do not count. Of either kind, so that one that was sent before the kind was changed
 * stays good. Undefined if it cannot be one.
 */
export function parseCode(typed: string): string | undefined {
  if (typed.length > 64) return undefined;
  const code = typed.toUpperCase().replace(/[\s\p{Pd}]/gu, "");
  const isLetters = code.length === LENGTH && [...code].every((char) => ALPHABETS.letters.includes(char));
  return isLetters || DIGITS.test(code) ? code : undefined;
}

/** What the login cookie carries of the code. Keyed, so that whoever holds the cookie cannot search for the code. */
export function codeHashOf(key: Uint8Array, jti: string, code: string): string {
  return new Bun.CryptoHasher("sha256", key).update(`${jti}.${code}`).digest("base64url");
}
