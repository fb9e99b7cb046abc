import { sameSecret } from "../secret/compare.ts";
import type { KeyPair } from "../secret/keys.ts";

/**
 * What opens a session on a host other than the one where it was signed in to: the session's id, and its keyed hash together with
 * that host's origin. Nothing of it is kept: it ends with the session, is worth nothing on any other host, and nobody can make one
 * from what the store has.
 */
export type HostCookies = {
  make(id: string, origin: string): string;
  /** The id, as it is here; undefined for what was not made for this origin. */
  idIn(cookie: string, origin: string): string | undefined;
};

/** 256 bits in base64url without padding; the hash after it, and a dot, has as many. */
const ID_LENGTH = 43;

export function createHostCookies(keys: KeyPair): HostCookies {
  // Copied for each cookie: setting a key up costs as much as the rest.
  const current = new Bun.CryptoHasher("sha256", keys.current);
  const previous = keys.previous && new Bun.CryptoHasher("sha256", keys.previous);
  const macOf = (keyed: Bun.CryptoHasher, id: string, origin: string) =>
    keyed.copy().update(`${id} ${origin}`).digest("base64url");

  return {
    make: (id, origin) => `${id}.${macOf(current, id, origin)}`,

    idIn(cookie, origin) {
      const id = cookie.slice(0, ID_LENGTH);
      const mac = cookie.slice(ID_LENGTH + 1);
      const isOurs = (keyed: Bun.CryptoHasher) => sameSecret(macOf(keyed, id, origin), mac);
      return isOurs(current) || (previous !== undefined && isOurs(previous)) ? id : undefined;
    },
  };
}
