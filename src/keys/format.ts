import type { Random } from "../clock.ts";

/**
 * What an API key looks like: `rg_<id>_<secret><check>`. A double click selects all of it, scanners of source code find it by
 * {@link KEY_PATTERN}, and the check tells a slip of the hand from an attack without a look into the store. It proves nothing.
 */

export const KEY_PREFIX = "rg_";
/** Of the tokens of connectors, which look the same otherwise (`tunnel/`). */
export const CONNECTOR_PREFIX = "rgt_";
type Prefix = typeof KEY_PREFIX | typeof CONNECTOR_PREFIX;

/** For scanners: GitHub's secret scanning, gitleaks and the like. */
export const KEY_PATTERN = "rg_[0-9a-z]{12}_[0-9A-Za-z]{38}";

const KEY_FORM = /^[0-9a-z]{12}_[0-9A-Za-z]{38}$/;
export const ID_LENGTH = 12;
const SECRET_LENGTH = 32;
const CHECK_LENGTH = 6;
const BASE_36 = "0123456789abcdefghijklmnopqrstuvwxyz";
const BASE_62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** The id is public; the secret is not. */
export type KeyParts = { readonly id: string; readonly secret: string };

/** @returns undefined for what is no key, or is one with a slip in it. */
export function parseKey(text: string, prefix: Prefix = KEY_PREFIX): KeyParts | undefined {
  if (!text.startsWith(prefix) || !KEY_FORM.test(text.slice(prefix.length))) return undefined;
  const body = text.slice(0, -CHECK_LENGTH);
  if (checkOf(body) !== text.slice(-CHECK_LENGTH)) return undefined;
  const start = prefix.length;
  return { id: body.slice(start, start + ID_LENGTH), secret: body.slice(start + ID_LENGTH + 1) };
}

export function writeKey({ id, secret }: KeyParts, prefix: Prefix = KEY_PREFIX): string {
  const body = `${prefix}${id}_${secret}`;
  return body + checkOf(body);
}

/** 62 bits. */
export function newId(random: Random): string {
  return draw(random, BASE_36, ID_LENGTH);
}

/** 190 bits. */
export function newSecret(random: Random): string {
  return draw(random, BASE_62, SECRET_LENGTH);
}

/** Every character as likely as any other: bytes beyond the last whole multiple are drawn again. */
function draw(random: Random, alphabet: string, length: number): string {
  const limit = 256 - (256 % alphabet.length);
  let text = "";
  while (text.length < length) {
    for (const byte of random.bytes(length)) {
      if (byte < limit && text.length < length) text += alphabet[byte % alphabet.length];
    }
  }
  return text;
}

/** CRC-32 of the text, in base 62, the most significant digit first. */
function checkOf(text: string): string {
  let rest = Bun.hash.crc32(text);
  let digits = "";
  for (let i = 0; i < CHECK_LENGTH; i++) {
    digits = BASE_62.charAt(rest % 62) + digits;
    rest = Math.floor(rest / 62);
  }
  return digits;
}
