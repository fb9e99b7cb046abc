import type { SecretOptions } from "./options.ts";

/**
 * `previous` verifies, and is never used to issue: of the secret before the last change, or of the one after the next, which other
 * machines may issue with already.
 */
export type KeyPair = { readonly current: Uint8Array; readonly previous: Uint8Array | undefined };

/**
 * One key per purpose (RFC 5869, HKDF-SHA256): a token or hash made for one purpose means nothing to another, whatever
 * its contents. Whoever keeps or signs something names its purpose, and never changes that name: it would be another key.
 */
export type Keys = {
  /** @param bytes how long; of one purpose always the same. */
  for(purpose: string, from: "jwt" | "session", bytes?: number): KeyPair;
  /** Whether the session key has been changed and the one before is to go: what is kept under that is to be sealed anew. */
  readonly isRotated: boolean;
};

type Secrets = Pick<SecretOptions, "jwtSecret" | "jwtSecretPrevious" | "sessionKey" | "sessionKeyPrevious"> &
  Partial<Pick<SecretOptions, "jwtSecretNext" | "sessionKeyNext">>;

export function createKeys(secrets: Secrets): Keys {
  const roots = {
    jwt: { current: secrets.jwtSecret, previous: secrets.jwtSecretPrevious ?? secrets.jwtSecretNext },
    session: { current: secrets.sessionKey, previous: secrets.sessionKeyPrevious ?? secrets.sessionKeyNext },
  };
  const derived = new Map<string, KeyPair>();
  return {
    isRotated: secrets.sessionKeyPrevious !== undefined,
    for(purpose, from, bytes = 32) {
      const known = derived.get(`${from} ${purpose}`);
      if (known !== undefined) return known;
      const { current, previous } = roots[from];
      const pair = {
        current: subkey(current, purpose, bytes),
        previous: previous && subkey(previous, purpose, bytes),
      };
      derived.set(`${from} ${purpose}`, pair);
      return pair;
    },
  };
}

/** HKDF without a salt: node:crypto has it too, and takes long to load (RFC 5869 §2). */
function subkey(secret: Uint8Array, purpose: string, bytes: number): Uint8Array {
  const extracted = hmac(new Uint8Array(32), secret);
  const info = Buffer.from(`runegate/v1/${purpose}`);
  let block: Uint8Array = new Uint8Array();
  let key: Uint8Array = new Uint8Array();
  for (let count = 1; key.length < bytes; count++) {
    block = hmac(extracted, Buffer.concat([block, info, Uint8Array.of(count)]));
    key = Buffer.concat([key, block]);
  }
  return new Uint8Array(key.subarray(0, bytes));
}

function hmac(key: Uint8Array, message: Uint8Array): Uint8Array {
  return new Uint8Array(new Bun.CryptoHasher("sha256", key).update(message).digest());
}
