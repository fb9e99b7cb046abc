import type { webcrypto } from "node:crypto";
import { nodeCrypto } from "./node-crypto.ts";

/**
 * Public keys that somebody else has made. An import by Web Cryptography that fails leaves its error behind, which Bun (1.4.5) then
 * throws at whatever is hashed next, such as the next visitor's session cookie. `node:crypto` leaves none: it is asked before a
 * library is given the key.
 */

/** @throws for what is no public key. */
export function checkPublicKey(key: webcrypto.JsonWebKey): void {
  // It would be read as a private one by the one, and as a public one by the other.
  if ("d" in key) throw new TypeError("not a public key");
  nodeCrypto().createPublicKey({ key, format: "jwk" });
}

/** The set (RFC 7517 §5) without those that are no public keys; what is no set is given back as it is. */
export function onlyPublicKeys(set: unknown): unknown {
  const { keys } = (set ?? {}) as { readonly keys?: unknown };
  return Array.isArray(keys) ? { keys: keys.filter(isPublicKey) } : set;
}

function isPublicKey(key: unknown): boolean {
  try {
    if (typeof key !== "object" || key === null) return false;
    checkPublicKey(key);
    return true;
  } catch {
    return false;
  }
}
