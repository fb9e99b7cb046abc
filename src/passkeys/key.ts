import type { webcrypto } from "node:crypto";
import { checkPublicKey } from "../secret/foreign-keys.ts";

/** A passkey's public key as it was decoded: a COSE key (RFC 9052 §7), by label. */
type CoseKey = { get(label: number): unknown };

/** Of all keys: type and algorithm (RFC 9052 §7.1). */
const KTY = 1;
const ALG = 3;
export const ES256 = -7;
export const EDDSA = -8;
export const RS256 = -257;

/** What we ask authenticators for (RFC 9053 §2.1, §2.2; RFC 8812 §2). The library's own choice has keys of 1,300 bytes first. */
export const ALGORITHMS = [EDDSA, ES256, RS256] as const;

export function algorithmOf(key: CoseKey): unknown {
  return key.get(ALG);
}

/** Throws for a key that is none, before the library sees it. */
export function checkKey(key: CoseKey): void {
  checkPublicKey(jwkOf(key));
}

function jwkOf(key: CoseKey): webcrypto.JsonWebKey {
  function bytes(label: number, least: number, most = least): string {
    const value = key.get(label);
    if (value instanceof Uint8Array && value.length >= least && value.length <= most) {
      return Buffer.from(value).toString("base64url");
    }
    throw new TypeError(`no bytes of a key: ${label}`);
  }
  const form = [key.get(KTY), key.get(ALG), key.get(KTY) === 3 ? undefined : key.get(-1)].join();
  switch (form) {
    case `2,${ES256},1`:
      return { kty: "EC", crv: "P-256", x: bytes(-2, 32), y: bytes(-3, 32) };
    case `1,${EDDSA},6`:
      return { kty: "OKP", crv: "Ed25519", x: bytes(-2, 32) };
    case `3,${RS256},`:
      return { kty: "RSA", n: bytes(-1, 256, 1024), e: bytes(-2, 1, 8) };
    default:
      throw new TypeError(`not a key that was asked for: ${form}`);
  }
}
