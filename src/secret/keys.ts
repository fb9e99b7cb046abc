import { hkdfSync } from "node:crypto";
import type { SecretOptions } from "./options.ts";

/**
 * One key per purpose (RFC 5869, HKDF-SHA256): a token or hash made for one purpose means nothing to another, whatever
 * its contents. The previous secret's keys verify and are never used to issue.
 */
export type Keys = {
  readonly loginLink: KeyPair;
  readonly loginRequest: KeyPair;
  readonly loginCode: KeyPair;
  readonly queuedMail: KeyPair;
  readonly sessionId: KeyPair;
  readonly sessionRecord: KeyPair;
};

export type KeyPair = { readonly current: Uint8Array; readonly previous: Uint8Array | undefined };

export function deriveKeys(options: SecretOptions): Keys {
  const jwt = (purpose: string) => pair(purpose, options.jwtSecret, options.jwtSecretPrevious);
  const session = (purpose: string) => pair(purpose, options.sessionKey, options.sessionKeyPrevious);
  return {
    loginLink: jwt("login link"),
    loginRequest: jwt("login request"),
    loginCode: jwt("login code"),
    queuedMail: jwt("queued mail"),
    sessionId: session("session id"),
    sessionRecord: session("session record"),
  };
}

function pair(purpose: string, current: Uint8Array, previous: Uint8Array | undefined): KeyPair {
  return {
    current: subkey(current, purpose),
    previous: previous === undefined ? undefined : subkey(previous, purpose),
  };
}

function subkey(secret: Uint8Array, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", secret, "", `runegate/v1/${purpose}`, 32));
}
