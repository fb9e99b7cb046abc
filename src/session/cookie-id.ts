import { remembering } from "../remembering.ts";
import type { KeyPair } from "../secret/keys.ts";

/** 256 bits in base64url without padding. */
export const COOKIE_LENGTH = 43;
const COOKIE_FORM = /^[A-Za-z0-9_-]{43}(?:\.[A-Za-z0-9_-]{43})?$/;
/** Cookies whose id is remembered; when there are more, they are worked out again. */
const MOST_IDS = 10_000;

/** Whether a cookie's value could be one of a session, on the host where people sign in or on a further one. */
export const isSessionCookie = (value: string): boolean => COOKIE_FORM.test(value);

/**
 * Under which id the store has the session of a cookie: its HMAC, so that whoever reads the store cannot sign in. What a cookie
 * is worth is asked of the store each time.
 * @returns `idBefore` for cookies of the key before this one, where there is such a key.
 */
export function createCookieIds(key: KeyPair) {
  // Copied for each cookie: setting the key up costs as much as the rest.
  const current = new Bun.CryptoHasher("sha256", key.current);
  const previous = key.previous === undefined ? undefined : new Bun.CryptoHasher("sha256", key.previous);

  function idUnder(keyed: Bun.CryptoHasher, cookie: string): string {
    return keyed.copy().update(cookie).digest("base64url");
  }

  return {
    idOf: remembering((cookie) => idUnder(current, cookie), MOST_IDS),
    idBefore: previous && ((cookie: string) => idUnder(previous, cookie)),
  };
}
