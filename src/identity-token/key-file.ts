import type { createPrivateKey, KeyObject, webcrypto } from "node:crypto";
import { ValueError } from "../option/value-error.ts";
import { nodeCrypto } from "../secret/node-crypto.ts";

/** Reading private keys that an operator brings. No error text here contains any part of one. */

/** A private key with what it signs by; plain data, so that every worker can be handed it. */
export type PrivateJwk = { readonly alg: PublishedAlgorithm; readonly jwk: webcrypto.JsonWebKey };

/** Algorithms whose verifying key can be public. */
export type PublishedAlgorithm = "ES256" | "EdDSA" | "RS256";

const REMEDY = "Make one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`.";

/** RFC 7518 §3.3. */
const LEAST_RSA_BITS = 2048;

/**
 * The keys in a text: PEM blocks, or a JWK, or a JWK set (RFC 7517 §5).
 * @throws {ValueError} where there is none, or one is of a kind or size that tokens are not signed with.
 */
export function privateKeys(text: string): readonly PrivateJwk[] {
  const sources = text.trimStart().startsWith("{") ? jwksIn(text) : pemsIn(text);
  if (sources.length === 0) throw new ValueError("holds no private key", REMEDY);
  return sources.map((source) => {
    const key = read(source);
    return { alg: algorithmOf(key), jwk: key.export({ format: "jwk" }) };
  });
}

type Source = Parameters<typeof createPrivateKey>[0];

function pemsIn(text: string): Source[] {
  return text.match(/-----BEGIN ([A-Z ]*)PRIVATE KEY-----[\s\S]*?-----END \1PRIVATE KEY-----/g) ?? [];
}

function jwksIn(text: string): Source[] {
  let parsed: { readonly keys?: unknown };
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new ValueError("is not JSON", "Write a JWK set, or PEM.");
  }
  const all = Array.isArray(parsed.keys) ? parsed.keys : [parsed];
  return all.map((key: webcrypto.JsonWebKey) => ({ key, format: "jwk" }));
}

function read(source: Source): KeyObject {
  try {
    return nodeCrypto().createPrivateKey(source);
  } catch {
    throw new ValueError("holds something that is no private key, or is encrypted", REMEDY);
  }
}

function algorithmOf(key: KeyObject): PublishedAlgorithm {
  const { asymmetricKeyType: type, asymmetricKeyDetails: { namedCurve, modulusLength = 0 } = {} } = key;
  if (type === "ed25519") return "EdDSA";
  if (type === "ec" && namedCurve === "prime256v1") return "ES256";
  if (type === "rsa" && modulusLength >= LEAST_RSA_BITS) return "RS256";
  const what = type === "rsa" ? `${modulusLength} bits` : (namedCurve ?? type);
  throw new ValueError(
    `holds a key that tokens are not signed with: ${type}, ${what}`,
    `Use P-256, Ed25519, or RSA of at least ${LEAST_RSA_BITS} bits.`,
  );
}
