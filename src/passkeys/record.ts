import { sameSecret } from "../secret/compare.ts";
import type { KeyPair } from "../secret/keys.ts";
import type { Kind } from "../store/records.ts";

/** One passkey, under the id that its authenticator gave it (base64url). */
export type Passkey = {
  /** Canonical address (`identity/address.ts`) that it signs in. */
  readonly email: string;
  /** What authenticators know its owner by: random, since they show it to whoever asks (WebAuthn §14.6.1). Base64url. */
  readonly user: string;
  /** COSE key (RFC 9052 §7), base64url. */
  readonly publicKey: string;
  /** Of its last use (WebAuthn §6.1.1); stays 0 for those that are kept on several devices. */
  readonly counter: number;
  /** Whether it is on several devices, or on one alone. */
  readonly synced: boolean;
  readonly name: string;
  readonly createdAt: number;
  /** 0 for one that was never used. */
  readonly usedAt: number;
  /** Shows that the record is ours ({@link createPasskeySeals}). */
  readonly seal: string;
};

export const PASSKEYS: Kind<Passkey> = { name: "passkey", by: ["email"], order: "createdAt" };

/** Of one address. */
export const MOST_PASSKEYS = 10;

/** What the key is for. */
export const SEAL_KEY = "passkey record";

/**
 * Seals on passkeys: whoever can write to the store must not be able to sign in with a key of theirs as somebody else. A seal is a
 * MAC (HMAC-SHA256 under a key of its own) over the id and all that is kept. What remains: they can put a record back as it was.
 */
export function createPasskeySeals({ current, previous }: KeyPair) {
  function macOf(key: Uint8Array, id: string, passkey: Omit<Passkey, "seal">): string {
    const { email, user, publicKey, counter, synced, name, createdAt, usedAt } = passkey;
    const text = JSON.stringify([id, email, user, publicKey, counter, synced, name, createdAt, usedAt]);
    return new Bun.CryptoHasher("sha256", key).update(text).digest("base64url");
  }
  const isUnder = (key: Uint8Array | undefined, id: string, passkey: Passkey) =>
    key !== undefined && sameSecret(macOf(key, id, passkey), String(passkey.seal));

  return {
    seal: (id: string, passkey: Omit<Passkey, "seal">): Passkey => ({
      ...passkey,
      seal: macOf(current, id, passkey),
    }),
    isOurs: (id: string, passkey: Passkey): boolean =>
      isUnder(current, id, passkey) || isUnder(previous, id, passkey),
    /** Whether it has to be sealed anew before the key before this one is given up. */
    isOld: (id: string, passkey: Passkey): boolean => isUnder(previous, id, passkey),
  };
}
