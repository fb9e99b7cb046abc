import type { KeyObject } from "node:crypto";
import type { Clock } from "../clock.ts";
import type { PublicJwk } from "../identity-token/keys.ts";
import { nodeCrypto } from "../secret/node-crypto.ts";
import type { Algorithm, ProviderKeys } from "./signing-keys.ts";

/** JSON Web Tokens of the provider (RFC 7515, RFC 7519), of three kinds that are told apart by `typ`. */

/** `JWT` are ID tokens, `at+jwt` access tokens (RFC 9068 §2.1), `logout+jwt` logout tokens (Back-Channel Logout 1.0 §2.4). */
export type TokenTyp = "JWT" | "at+jwt" | "logout+jwt";

export type Claims = Readonly<Record<string, unknown>>;

export type ProviderTokens = {
  /** @throws {StoreUnavailable} */
  sign(typ: TokenTyp, alg: Algorithm, claims: Claims): Promise<string>;
  /**
   * The claims of a token of ours, whether or not it has run out.
   * @returns undefined for what is none, or is one of another kind.
   * @throws {StoreUnavailable}
   */
  open(typ: TokenTyp, token: string): Promise<Claims | undefined>;
  /** The same of one that is good now. */
  verify(typ: TokenTyp, token: string): Promise<Claims | undefined>;
};

const LONGEST = 8192;

export function createProviderTokens(settings: {
  readonly keys: ProviderKeys;
  readonly issuer: string;
  readonly clock: Clock;
}): ProviderTokens {
  const { keys, issuer, clock } = settings;
  const verifying = new Map<string, KeyObject>();

  function keyOf(jwk: PublicJwk): KeyObject {
    const known = verifying.get(jwk.kid);
    if (known !== undefined) return known;
    const key = nodeCrypto().createPublicKey({ key: jwk, format: "jwk" });
    verifying.set(jwk.kid, key);
    return key;
  }

  async function open(typ: TokenTyp, token: string): Promise<Claims | undefined> {
    if (token.length > LONGEST) return undefined;
    const [header = "", payload = "", signature = "", ...rest] = token.split(".");
    if (rest.length > 0) return undefined;
    const { alg, kid, typ: shown } = objectIn(header) ?? {};
    if (shown !== typ) return undefined;
    const jwk = (await keys.known()).find((one) => one.kid === kid);
    // The key says by what it verifies, never the token.
    if (jwk === undefined || jwk.alg !== alg) return undefined;
    const isGood = nodeCrypto().verify(
      "sha256",
      Buffer.from(`${header}.${payload}`),
      { key: keyOf(jwk), dsaEncoding: "ieee-p1363" },
      Buffer.from(signature, "base64url"),
    );
    const claims = isGood ? objectIn(payload) : undefined;
    return claims?.iss === issuer ? claims : undefined;
  }

  return {
    async sign(typ, alg, claims) {
      const { kid, sign } = await keys.signing(alg);
      const encode = (json: object) => Buffer.from(JSON.stringify(json)).toString("base64url");
      const input = `${encode({ alg, kid, typ })}.${encode({ iss: issuer, ...claims })}`;
      return `${input}.${sign(input)}`;
    },
    open,
    async verify(typ, token) {
      const claims = await open(typ, token);
      return typeof claims?.exp === "number" && clock.now() < claims.exp * 1000 ? claims : undefined;
    },
  };
}

function objectIn(part: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, "base64url").toString());
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

export const seconds = (milliseconds: number): number => Math.floor(milliseconds / 1000);

/** OpenID Connect Core §3.1.3.6: the left half of the hash. */
export function halfHash(text: string): string {
  const digest = new Bun.CryptoHasher("sha256").update(text).digest();
  return Buffer.from(digest.subarray(0, digest.length / 2)).toString("base64url");
}
