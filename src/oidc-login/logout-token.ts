import { errors, jwtVerify } from "jose";
import { ALGORITHMS, keyIn, type ProviderKeys } from "../bearer/provider-keys.ts";
import type { Clock } from "../clock.ts";
import type { Provider } from "./provider.ts";

/** OpenID Connect Back-Channel Logout 1.0 §2.4 and §2.6. */

export type LogoutToken = {
  readonly jti: string;
  /** One of the two is there. */
  readonly sub: string | undefined;
  readonly sid: string | undefined;
  /** From when on it is refused for its age, in milliseconds since the Unix epoch. */
  readonly expiresAt: number;
};

/** Its message repeats nothing of the token. */
export class LogoutTokenError extends Error {}

const EVENT = "http://schemas.openid.net/event/backchannel-logout";
/** Not every provider says what it is; that it is no ID token is told by its event, and by what it must not have. */
const TYPES = ["logout+jwt", "application/logout+jwt", "jwt"];
const MAX_AGE_SECONDS = 120;
const LEEWAY_SECONDS = 30;

/**
 * @throws {LogoutTokenError}
 * @throws {ProviderUnavailable} if the provider's keys cannot be had.
 */
export async function verifyLogoutToken(
  token: string,
  { issuer, clientId }: Pick<Provider, "issuer" | "clientId">,
  keys: ProviderKeys,
  clock: Clock,
): Promise<LogoutToken> {
  const { payload, protectedHeader } = await jwtVerify(token, keyIn(keys), {
    algorithms: ALGORITHMS,
    issuer,
    audience: clientId,
    requiredClaims: ["iat", "jti", "events"],
    maxTokenAge: MAX_AGE_SECONDS,
    clockTolerance: LEEWAY_SECONDS,
    currentDate: new Date(clock.now()),
  }).catch((error: unknown) => {
    if (error instanceof errors.JWTClaimValidationFailed || error instanceof errors.JWTExpired)
      throw new LogoutTokenError(`${error.claim} ${error.reason}`);
    if (error instanceof errors.JOSEError) throw new LogoutTokenError(error.code);
    throw error;
  });
  const { typ = "jwt" } = protectedHeader;
  if (!TYPES.includes(typ.toLowerCase())) throw new LogoutTokenError("typ is of another use");
  const { events, jti, sub, sid, nonce, iat } = payload;
  if (!isRecord(events) || !isRecord(events[EVENT])) throw new LogoutTokenError("events is of another use");
  if (nonce !== undefined) throw new LogoutTokenError("nonce is there");
  if (typeof jti !== "string" || jti === "") throw new LogoutTokenError("jti is missing");
  const named = { sub: textIn(sub), sid: textIn(sid) };
  if (named.sub === undefined && named.sid === undefined)
    throw new LogoutTokenError("sub and sid are missing");
  const issuedAt = iat ?? 0;
  return { jti, ...named, expiresAt: (issuedAt + MAX_AGE_SECONDS + LEEWAY_SECONDS) * 1000 };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function textIn(claim: unknown): string | undefined {
  return typeof claim === "string" && claim !== "" ? claim : undefined;
}
