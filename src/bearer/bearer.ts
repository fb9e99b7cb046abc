/** Beginning of an API key, which is not for us to judge. */
const KEY_PREFIX = "rg_";

/** @returns undefined for no bearer (RFC 6750 §2.1), and for an API key. */
export function bearerIn(authorization: string | undefined): string | undefined {
  const [, token] = /^bearer +(.*)$/is.exec(authorization ?? "") ?? [];
  return token?.startsWith(KEY_PREFIX) === true ? undefined : token;
}
