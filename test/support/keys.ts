import { createKeys, type Keys } from "../../src/secret/keys.ts";

const secret = (fill: number) => new Uint8Array(64).fill(fill);

/** Keys of secrets that consist of one byte, over and over. */
export function keysOf(jwt: number, jwtPrevious?: number, session = 9, sessionPrevious?: number): Keys {
  return createKeys({
    jwtSecret: secret(jwt),
    jwtSecretPrevious: jwtPrevious === undefined ? undefined : secret(jwtPrevious),
    sessionKey: secret(session),
    sessionKeyPrevious: sessionPrevious === undefined ? undefined : secret(sessionPrevious),
  });
}
