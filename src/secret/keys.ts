import type { SecretOptions } from "./options.ts";

/** The previous secret's key verifies, and is never used to issue. */
export type KeyPair = { readonly current: Uint8Array; readonly previous: Uint8Array | undefined };

/**
 * One key per purpose (RFC 5869, HKDF-SHA256): a token or hash made for one purpose means nothing to another, whatever
 * its contents. Whoever keeps or signs something names its purpose, and never changes that name: it would be another key.
 */
export type Keys = { for(purpose: string, from: "jwt" | "session"): KeyPair };

export function createKeys(secrets: SecretOptions): Keys {
  const roots = {
    jwt: { current: secrets.jwtSecret, previous: secrets.jwtSecretPrevious },
    session: { current: secrets.sessionKey, previous: secrets.sessionKeyPrevious },
  };
  const derived = new Map<string, KeyPair>();
  return {
    for(purpose, from) {
      const known = derived.get(`${from} ${purpose}`);
      if (known !== undefined) return known;
      const { current, previous } = roots[from];
      const pair = { current: subkey(current, purpose), previous: previous && subkey(previous, purpose) };
      derived.set(`${from} ${purpose}`, pair);
      return pair;
    },
  };
}

/** HKDF without a salt, of as many bytes as one hash has: node:crypto has it too, and takes long to load (RFC 5869 §2). */
function subkey(secret: Uint8Array, purpose: string): Uint8Array {
  const extracted = hmac(new Uint8Array(32), secret);
  return hmac(extracted, Buffer.from(`runegate/v1/${purpose}\x01`));
}

function hmac(key: Uint8Array, message: Uint8Array): Uint8Array {
  return new Uint8Array(new Bun.CryptoHasher("sha256", key).update(message).digest());
}
