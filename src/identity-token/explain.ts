import { createLocalJWKSet, errors, type JWTVerifyOptions, jwtVerify } from "jose";
import type { Clock } from "../clock.ts";
import type { EdgeOptions } from "../edge/options.ts";
import type { Keys } from "../secret/keys.ts";
import { createIdentityKeys } from "./keys.ts";
import type { IdentityTokenOptions } from "./options.ts";

/**
 * Verifies a token for applications as one of them would, whichever it is for.
 * @returns why it would not be taken, as a clause; undefined where it would.
 */
export async function identityProblem(
  token: string,
  options: IdentityTokenOptions & Pick<EdgeOptions, "baseUrl">,
  secrets: Keys,
  clock: Clock,
): Promise<string | undefined> {
  const { downstreamJwtAlg: alg, downstreamJwtSecret: secret, downstreamJwtIssuer, baseUrl } = options;
  const issuer = downstreamJwtIssuer ?? baseUrl;
  const { keys } = createIdentityKeys(options, secrets, clock).published();
  const wanted: JWTVerifyOptions = { issuer, typ: "JWT", currentDate: new Date(clock.now()) };
  try {
    if (alg === "HS256") await jwtVerify(token, secret ?? new Uint8Array(), { ...wanted, algorithms: [alg] });
    else {
      const set = createLocalJWKSet({ keys: keys.map((key) => ({ ...key, kty: key.kty ?? "" })) });
      await jwtVerify(token, set, { ...wanted, algorithms: keys.map((key) => key.alg) });
    }
    return undefined;
  } catch (error) {
    return inWords(error, alg, issuer);
  }
}

function inWords(error: unknown, alg: string, issuer: string): string {
  if (error instanceof errors.JWTExpired) return "it has expired";
  if (error instanceof errors.JWKSNoMatchingKey) return "it is signed with none of this configuration's keys";
  if (error instanceof errors.JWSSignatureVerificationFailed)
    return "it was not signed by this configuration, or was changed";
  if (error instanceof errors.JOSEAlgNotAllowed) return `it is signed by another algorithm than ${alg}`;
  if (error instanceof errors.JWTClaimValidationFailed && error.claim === "iss")
    return `it was issued by another than ${issuer}`;
  if (error instanceof errors.JWTClaimValidationFailed) return "a claim is missing or wrong";
  return "it is no signed token";
}
