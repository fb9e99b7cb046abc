import { describe, expect, test } from "bun:test";
import { calculateJwkThumbprint, createLocalJWKSet, jwtVerify } from "jose";
import { createIdentityKeys, OVERLAP_MS } from "../../src/identity-token/keys.ts";
import { createKeys } from "../../src/secret/keys.ts";
import { sessionKey } from "../../src/secret/values.ts";
import { testClock } from "../support/clock.ts";

/** The keys that come from the session key. */

const clock = testClock();

function keysOf(alg: "ES256" | "EdDSA", current: string, previous?: string) {
  const secrets = createKeys({
    jwtSecret: new Uint8Array(32),
    jwtSecretPrevious: undefined,
    sessionKey: sessionKey(current.repeat(128)),
    sessionKeyPrevious: previous === undefined ? undefined : sessionKey(previous.repeat(128)),
  });
  const given = {
    downstreamJwtKeyFile: undefined,
    downstreamJwtKey: undefined,
    downstreamJwtSecret: undefined,
  };
  return createIdentityKeys({ downstreamJwtAlg: alg, ...given }, secrets, clock);
}

// Found by another program too, from the rules that `keys.ts` cites.
describe.each([
  ["ES256", "qvbKPFdCxupDKnzU"],
  ["EdDSA", "FQqpHUQRMcEdgz5S"],
] as const)("%s", (alg, kid) => {
  test("one session key makes one key, in every version", () => {
    expect(
      keysOf(alg, "5")
        .published()
        .keys.map((key) => key.kid),
    ).toEqual([kid]);
    expect(keysOf(alg, "5").signing().kid).toBe(kid);
  });

  test("another makes another", () => {
    expect(keysOf(alg, "6").signing().kid).not.toBe(kid);
  });

  test("its name is its thumbprint (RFC 7638), its signatures verify", async () => {
    const keys = keysOf(alg, "5");
    const { keys: published } = keys.published();
    const set = { keys: published.map((key) => ({ ...key, kty: key.kty ?? "" })) };
    expect(await calculateJwkThumbprint(set.keys[0] ?? { kty: "" })).toStartWith(kid);
    const encode = (json: object) => Buffer.from(JSON.stringify(json)).toString("base64url");
    const input = `${encode({ alg, kid })}.${encode({ sub: "ada" })}`;
    const token = `${input}.${keys.signing().sign(input)}`;
    expect((await jwtVerify(token, createLocalJWKSet(set))).payload.sub).toBe("ada");
  });

  test("of two, the previous one signs for ten minutes, and both are published", () => {
    const keys = keysOf(alg, "6", "5");
    const now = keysOf(alg, "6").signing().kid;
    expect(keys.published().keys.map((key) => key.kid)).toEqual([now ?? "", kid]);
    expect(keys.signing().kid).toBe(kid);
    clock.advance(OVERLAP_MS - 1);
    expect(keys.signing().kid).toBe(kid);
    clock.advance(1);
    expect(keys.signing().kid).toBe(now);
    expect(keys.published().keys.map((key) => key.kid)).toEqual([now ?? "", kid]);
  });
});
