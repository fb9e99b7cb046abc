import { hkdfSync } from "node:crypto";

/** The previous secret's key verifies, and is never used to issue. */
export type KeyPair = { readonly current: Uint8Array; readonly previous: Uint8Array | undefined };

/**
 * One key per purpose (RFC 5869, HKDF-SHA256): a token or hash made for one purpose means nothing to another, whatever
 * its contents. Whoever keeps or signs something names its purpose, and never changes that name: it would be another key.
 */
export type Keys = { for(purpose: string, from: "jwt" | "session"): KeyPair };

export type Secrets = {
  readonly jwtSecret: Uint8Array;
  readonly jwtSecretPrevious: Uint8Array | undefined;
  readonly sessionKey: Uint8Array;
  readonly sessionKeyPrevious: Uint8Array | undefined;
};

export function createKeys(secrets: Secrets): Keys {
  const { jwtSecret, jwtSecretPrevious, sessionKey, sessionKeyPrevious } = secrets;
  const pairs = {
    jwt: createPairs(jwtSecret, jwtSecretPrevious),
    session: createPairs(sessionKey, sessionKeyPrevious),
  };
  return { for: (purpose, from) => pairs[from](purpose) };
}

/** Derives each pair when it is first asked for. */
function createPairs(current: Uint8Array, previous: Uint8Array | undefined): (purpose: string) => KeyPair {
  const pairs = new Map<string, KeyPair>();
  return (purpose) => {
    const known = pairs.get(purpose);
    if (known !== undefined) return known;
    const pair = {
      current: subkey(current, purpose),
      previous: previous === undefined ? undefined : subkey(previous, purpose),
    };
    pairs.set(purpose, pair);
    return pair;
  };
}

function subkey(secret: Uint8Array, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", secret, "", `runegate/v1/${purpose}`, 32));
}
