/** Keyed and plain hashes that tie a link, a code and the browser that asked to each other. */

/** What the link carries of the login cookie's secret. */
export function bindingOf(secret: string): string {
  return new Bun.CryptoHasher("sha256").update(secret).digest("base64url");
}

/** What the login cookie carries of the code. Keyed, so that whoever holds the cookie cannot search for the code. */
export function codeHashOf(key: Uint8Array, jti: string, code: string): string {
  return new Bun.CryptoHasher("sha256", key).update(`${jti}.${code}`).digest("base64url");
}
