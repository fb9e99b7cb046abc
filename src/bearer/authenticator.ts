import { decodeProtectedHeader, errors, type JWTPayload, jwtVerify } from "jose";
import { ADMINS } from "../access/people.ts";
import type { Policy } from "../access/policy.ts";
import type { Clock } from "../clock.ts";
import { Refusal } from "../edge/answer.ts";
import { NO_GROUPS, type Principal } from "../identity/principal.ts";
import { atMostEvery } from "../observe/at-most-every.ts";
import type { Logger } from "../observe/logger.ts";
import { SECOND } from "../option/values.ts";
import { ClaimError, isInAdminGroup, provenAtOf, subjectOf } from "./claims.ts";
import type { BearerOptions } from "./options.ts";
import { ALGORITHMS, keyIn, type ProviderKeys, ProviderUnavailable } from "./provider-keys.ts";

/** Whoever shows a token that an OpenID provider signed for us (RFC 6750, RFC 7519). */

export type BearerSettings = {
  readonly options: BearerOptions;
  readonly issuer: string;
  readonly keys: ProviderKeys;
  readonly policy: Policy;
  readonly clock: Clock;
  readonly log: Logger;
};

/** What is signed for some other use says so, such as `logout+jwt` (RFC 8725 §3.11). */
const TYPES = ["jwt", "at+jwt", "application/at+jwt"];
const LEEWAY_SECONDS = 30;

/** What is shown decides alone: with a bearer, no cookie is looked at. */
export function bearerAuthenticator(settings: BearerSettings) {
  const { options, issuer, keys, policy, clock, log } = settings;
  const mayTell = atMostEvery(SECOND);

  async function verify(token: string): Promise<JWTPayload> {
    const { typ } = decodeProtectedHeader(token);
    if (typ !== undefined && !TYPES.includes(typ.toLowerCase()))
      throw new ClaimError("typ is of another use");
    const { payload } = await jwtVerify(token, keyIn(keys), {
      algorithms: ALGORITHMS,
      issuer,
      audience: options.oidcAudiences,
      requiredClaims: ["exp"],
      clockTolerance: LEEWAY_SECONDS,
      currentDate: new Date(clock.now()),
    });
    return payload;
  }

  function principalOf(token: string, claims: JWTPayload): Principal {
    const subject = subjectOf(claims, options);
    const isAdmin = isInAdminGroup(claims, options);
    // The provider vouches for its administrators, unless they are shut out; everybody else must be somebody who may sign in.
    if ("email" in subject && !policy.allows(subject.email, isAdmin ? VOUCHED : NO_GROUPS))
      throw new Refusal(NOT_LISTED);
    const groups = new Set(policy.standingOf(subject).groups);
    groups.delete(ADMINS);
    if (isAdmin) groups.add(ADMINS);
    return {
      subject,
      groups: new Set([...groups].sort()),
      proof: { kind: "bearer", id: new Bun.CryptoHasher("sha256").update(token).digest("base64url") },
      provenAt: provenAtOf(claims) ?? clock.now(),
    };
  }

  /** @throws {Refusal} for one that is not good here. */
  return async (token: string, origin: string): Promise<Principal> => {
    try {
      return principalOf(token, await verify(token));
    } catch (error) {
      if (error instanceof Refusal) throw error;
      if (error instanceof ProviderUnavailable) throw new Refusal(UNAVAILABLE);
      if (mayTell(clock.monotonic())) log.info("a bearer was refused", { reason: reasonOf(error) });
      throw new Refusal({
        status: 401,
        error: "invalid_token",
        title: "Not signed in",
        message: "This token is not valid here. Ask its provider for a new one.",
        headers: [["WWW-Authenticate", `Bearer realm="${origin}", error="invalid_token"`]],
      });
    }
  };
}

/** In words that repeat nothing of the token. */
function reasonOf(error: unknown): string {
  if (error instanceof errors.JWTClaimValidationFailed || error instanceof errors.JWTExpired)
    return `${error.claim} ${error.reason}`;
  if (error instanceof errors.JOSEError) return error.code;
  return error instanceof ClaimError ? error.message : "it cannot be read";
}

const VOUCHED: ReadonlySet<string> = new Set([ADMINS]);

const NOT_LISTED = {
  status: 403,
  error: "not_allowed",
  title: "Not allowed",
  message: "This address may not sign in here.",
} as const;

const UNAVAILABLE = {
  status: 503,
  error: "provider_unavailable",
  title: "Not available right now",
  message: "The provider of your token cannot be reached to check it. Try again in a moment.",
  headers: [["Retry-After", "5"]],
} as const;
