import type { KeyParts } from "./format.ts";
import type { KeyRecord } from "./record.ts";

type Hashed = Pick<KeyRecord, "hash" | "previousHash" | "previousUntil">;

/** Compared with where there is no record: no hash is like it. */
const NO_HASH = "-".repeat(43);

/**
 * What the store has of a secret. It has 190 random bits, so nobody finds it by its hash; and whoever writes to the store cannot
 * put theirs in its place, because the record is sealed (`seal.ts`). It is under no key, or a key that is not used for as long as
 * two session keys are known would end with the older of them: only who has the secret can hash it anew.
 */
export function hashOf({ id, secret }: KeyParts): string {
  return new Bun.CryptoHasher("sha256").update(`runegate api key ${id} ${secret}`).digest("base64url");
}

/**
 * Whether a secret is the record's, the one before it included for as long as that is good. Takes the same time whatever the
 * answer, and without a record too.
 */
export function fits(hash: string, record: Hashed | undefined, now: number): boolean {
  const isLast = sameHash(hash, record?.hash ?? NO_HASH);
  const isFormer = sameHash(hash, record?.previousHash ?? NO_HASH);
  return isLast || (isFormer && record !== undefined && now < record.previousUntil);
}

/** In a time that does not depend on where the two differ, and without a buffer: twice with every request. */
function sameHash(a: string, b: string): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i);
  return difference === 0;
}
