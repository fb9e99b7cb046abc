import { nodeCrypto } from "./node-crypto.ts";

/** NIST SP 800-38D. At 2^32 random nonces under one key (§8.3), 100 days of 500 uses a second, it is time for another. */
const ALGORITHM = "aes-256-gcm";
export const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/**
 * Encrypts, and binds what it encrypts to `bound`, which may not be changed without breaking the seal.
 * @param key of 32 bytes.
 * @param nonce of {@link NONCE_BYTES} random bytes.
 */
export function seal(key: Uint8Array, nonce: Uint8Array, plain: Uint8Array, bound: string): Buffer {
  const cipher = nodeCrypto().createCipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(Buffer.from(bound));
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** Undefined for what was not sealed under this key, or for something else. */
export function unseal(key: Uint8Array, sealed: Uint8Array, bound: string): Buffer | undefined {
  try {
    const nonce = sealed.subarray(0, NONCE_BYTES);
    const decipher = nodeCrypto().createDecipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(Buffer.from(bound));
    decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
    return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
  } catch {
    return undefined;
  }
}
