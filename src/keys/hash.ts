import type { KeyPair } from "../secret/keys.ts";
import type { KeyParts } from "./format.ts";
import type { KeyRecord } from "./record.ts";

/**
 * What the store has of a secret: a keyed hash, which whoever reads the store cannot make. A slow one would keep nobody from
 * guessing 190 bits, and slow every request.
 */
export type KeyHashes = {
  hash(parts: KeyParts): string;
  /** Of a key that is shown. */
  both(parts: KeyParts): Both;
  /**
   * Whether a secret is the record's, the one before it included for as long as that is good: `old` where it was hashed under the
   * session key before the last change. Takes the same time whatever the answer, and without a record too.
   */
  match(shown: Both, record: Hashed | undefined, now: number): "current" | "old" | "no";
};

/** Under the session key, and under the one before it. */
export type Both = { readonly current: string; readonly old: string | undefined };

type Hashed = Pick<KeyRecord, "hash" | "previousHash" | "previousUntil">;

/** Compared with where there is no record: no hash is like it. */
const NO_HASH = "-".repeat(43);

export function createKeyHashes(key: KeyPair): KeyHashes {
  const current = new Bun.CryptoHasher("sha256", key.current);
  const before = key.previous && new Bun.CryptoHasher("sha256", key.previous);
  const hashUnder = (mac: Bun.CryptoHasher, { id, secret }: KeyParts) =>
    mac.copy().update(`${id} ${secret}`).digest("base64url");

  function fits(hash: string, record: Hashed | undefined, now: number): boolean {
    const isLast = sameHash(hash, record?.hash ?? NO_HASH);
    const isFormer = sameHash(hash, record?.previousHash ?? NO_HASH);
    return isLast || (isFormer && record !== undefined && now < record.previousUntil);
  }

  return {
    hash: (parts) => hashUnder(current, parts),
    both: (parts) => ({ current: hashUnder(current, parts), old: before && hashUnder(before, parts) }),
    match(shown, record, now) {
      const isCurrent = fits(shown.current, record, now);
      const isOld = shown.old !== undefined && fits(shown.old, record, now);
      return isCurrent ? "current" : isOld ? "old" : "no";
    },
  };
}

/** In a time that does not depend on where the two differ, and without a buffer: twice with every request. */
function sameHash(a: string, b: string): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i);
  return difference === 0;
}
