import type { webcrypto } from "node:crypto";
import type { Clock } from "../clock.ts";
import { MINUTE } from "../option/values.ts";
import type { Keys } from "../secret/keys.ts";
import { nodeCrypto } from "../secret/node-crypto.ts";
import type { PrivateJwk } from "./key-file.ts";
import type { IdentityTokenOptions } from "./options.ts";

/** What tokens for applications are signed with. Made when the first is needed. */
export type IdentityKeys = {
  /** The key of the moment. */
  signing(): SigningKey;
  /** A JWK set (RFC 7517 §5) of the public keys: those of tokens that are about, and of those to come. */
  published(): { readonly keys: readonly PublicJwk[] };
};

export type SigningKey = {
  readonly alg: IdentityTokenOptions["downstreamJwtAlg"];
  /** Undefined where the key is a secret that is shared, of which nothing is said. */
  readonly kid: string | undefined;
  /** A JWS signature (RFC 7515 §5.1), in base64url. */
  sign(input: string): string;
};

export type PublicJwk = webcrypto.JsonWebKey & {
  readonly alg: string;
  readonly kid: string;
  readonly use: "sig";
};

/** For as long, verifiers may know no key but those they have been told of (`Cache-Control` of the set; most libraries). */
export const OVERLAP_MS = 10 * MINUTE;

type Settings = Pick<
  IdentityTokenOptions,
  "downstreamJwtAlg" | "downstreamJwtKeyFile" | "downstreamJwtKey" | "downstreamJwtSecret"
>;

/** @param secrets whose session key the default key comes from: the same in all workers, on all machines. */
export function createIdentityKeys(settings: Settings, secrets: Keys, clock: Clock): IdentityKeys {
  const { downstreamJwtAlg: alg, downstreamJwtSecret: secret } = settings;
  const given = settings.downstreamJwtKeyFile?.keys ?? settings.downstreamJwtKey;
  const startedAt = clock.monotonic();
  let made: readonly Published[] | undefined;
  let shared: SigningKey | undefined;

  function published(): readonly Published[] {
    made ??= alg === "HS256" ? [] : (given ?? derive(alg, secrets)).map(publish);
    return made;
  }

  return {
    signing() {
      if (alg === "HS256") {
        shared ??= hs256(secret);
        return shared;
      }
      const [first, second] = published();
      // A key that is new and derived is published for a while before it signs.
      const isNew = given === undefined && secrets.isRotated;
      const early = isNew && clock.monotonic() - startedAt < OVERLAP_MS;
      const key = (early ? second : undefined) ?? first;
      if (key === undefined) throw new Error("there is no key to sign with");
      return key.signing;
    },
    published: () => ({ keys: published().map(({ jwk }) => jwk) }),
  };
}

export type Published = { readonly signing: SigningKey; readonly jwk: PublicJwk };

/** A private key, ready to sign by, and what is said of it. */
export function publish({ alg, jwk }: PrivateJwk): Published {
  const key = nodeCrypto().createPrivateKey({ key: jwk, format: "jwk" });
  // Not all that is not private: only what is known to be public.
  const members = jwk.kty === "RSA" ? (["e", "kty", "n"] as const) : (["crv", "kty", "x", "y"] as const);
  const shown = Object.fromEntries(
    members.flatMap((name) => (jwk[name] === undefined ? [] : [[name, jwk[name]]])),
  );
  // RFC 7638 §3: the members in this order are those that the thumbprint is of.
  const thumbprint = new Bun.CryptoHasher("sha256").update(JSON.stringify(shown)).digest("base64url");
  const kid = thumbprint.slice(0, 16);
  const hash = alg === "EdDSA" ? null : "sha256";
  return {
    // RFC 7518 §3.4: an ECDSA signature is the two numbers, not their ASN.1.
    signing: {
      alg,
      kid,
      sign: (input) =>
        nodeCrypto().sign(hash, Buffer.from(input), { key, dsaEncoding: "ieee-p1363" }).toString("base64url"),
    },
    jwk: { ...shown, use: "sig", alg, kid },
  };
}

function hs256(secret: Uint8Array | undefined): SigningKey {
  if (secret === undefined) throw new Error("there is no secret to sign with");
  const sign = (input: string) => nodeCrypto().createHmac("sha256", secret).update(input).digest("base64url");
  return { alg: "HS256", kid: undefined, sign };
}

function derive(alg: "ES256" | "EdDSA" | "RS256", secrets: Keys): readonly PrivateJwk[] {
  if (alg === "RS256") throw new Error("an RSA key is not derived");
  const [purpose, bytes, make] =
    alg === "ES256"
      ? (["identity jwt", 48, p256] as const)
      : (["identity jwt ed25519", 32, ed25519] as const);
  const { current, previous } = secrets.for(purpose, "session", bytes);
  return [current, ...(previous === undefined ? [] : [previous])].map((seed) => ({ alg, jwk: make(seed) }));
}

/** The order of the group of P-256 (SP 800-186 §3.2.1.3). */
const N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

/** @param bits 384 of them, so that what is left of the division is uniform (FIPS 186-5 §A.2.1). */
function p256(bits: Uint8Array): webcrypto.JsonWebKey {
  const scalar = (BigInt(`0x${Buffer.from(bits).toString("hex")}`) % (N - 1n)) + 1n;
  const d = Buffer.from(scalar.toString(16).padStart(64, "0"), "hex");
  const pair = nodeCrypto().createECDH("prime256v1");
  pair.setPrivateKey(d);
  const point = pair.getPublicKey();
  const text = (bytes: Buffer) => bytes.toString("base64url");
  return { kty: "EC", crv: "P-256", x: text(point.subarray(1, 33)), y: text(point.subarray(33)), d: text(d) };
}

/** RFC 8410 §7: what stands before the 32 bytes of the key in PKCS#8. */
const ED25519_PKCS8 = Buffer.from("302e020100300506032b657004220420", "hex");

function ed25519(seed: Uint8Array): webcrypto.JsonWebKey {
  const der = Buffer.concat([ED25519_PKCS8, seed]);
  return nodeCrypto().createPrivateKey({ key: der, format: "der", type: "pkcs8" }).export({ format: "jwk" });
}
