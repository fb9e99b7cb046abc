import { decodeProtectedHeader, errors, type JWTPayload, jwtVerify } from "jose";
import type { Clock } from "../clock.ts";
import { type Address, parseAddress } from "../identity/address.ts";
import type { Keys } from "./keys.ts";

/**
 * Tickets: signed, single-use, short-lived grants, as JWTs (RFC 7519, HS256). Each kind has a `typ` and a key of its own, and
 * is refused as any other kind.
 */

/** What all tickets have. Times are milliseconds since the epoch, whole seconds in the token. */
export type Grant = { readonly jti: string; readonly issuedAt: number; readonly expiresAt: number };

/** A kind of ticket is declared in the room that issues it: what it holds besides {@link Grant}, as claims. */
export type TicketKind<T> = {
  /** Media type (RFC 8725 §3.11), such as `runegate-login+jwt`. */
  readonly typ: string;
  /** What the key is for, in kinds that had a key before it went by `typ`. */
  readonly purpose?: string;
  write(ticket: T): JWTPayload & { readonly sub: string };
  /** @throws {TicketError} `claims`, which {@link text} and {@link address} do. */
  read(claims: JWTPayload): T;
};

/** Why a ticket was not accepted: for the log and the audit, never for the visitor. */
export type TicketProblem =
  | "malformed"
  | "wrong_signature"
  | "wrong_algorithm"
  | "wrong_type"
  | "wrong_issuer"
  | "wrong_audience"
  | "expired"
  | "claims";

export class TicketError extends Error {
  readonly problem: TicketProblem;
  constructor(problem: TicketProblem) {
    super(`ticket refused: ${problem}`);
    this.problem = problem;
  }
}

export type Tickets = {
  sign<T>(kind: TicketKind<T>, ticket: NoInfer<T> & Grant): string;
  /**
   * @param age `any`: it may have expired, for telling so. Whoever asks for that compares `expiresAt`.
   * @throws {TicketError}
   */
  verify<T>(kind: TicketKind<T>, token: string, age?: "any"): Promise<T & Grant>;
};

/** What kind this token says it is of. Nothing is verified. */
export function typOf(token: string): string | undefined {
  try {
    return decodeProtectedHeader(token).typ;
  } catch {
    return undefined;
  }
}

const ISSUER = "runegate";
/** A JWT with these claims stays far below this; longer ones are not worth a hash. */
const MAX_TOKEN = 8192;

export function createTickets(keys: Keys, { audience, clock }: { audience: string; clock: Clock }): Tickets {
  const keysOf = ({ typ, purpose = typ }: Pick<TicketKind<unknown>, "typ" | "purpose">) =>
    keys.for(purpose, "jwt");

  return {
    sign(kind, ticket) {
      const { sub, ...claims } = kind.write(ticket);
      return signHs256(keysOf(kind).current, kind.typ, {
        ...claims,
        iss: ISSUER,
        sub,
        aud: audience,
        exp: Math.floor(ticket.expiresAt / 1000),
        iat: Math.floor(ticket.issuedAt / 1000),
        jti: ticket.jti,
      });
    },

    async verify(kind, token, age) {
      if (token.length > MAX_TOKEN) throw new TicketError("malformed");
      const options = {
        algorithms: ["HS256"],
        typ: kind.typ,
        issuer: ISSUER,
        audience,
        requiredClaims: ["sub", "jti", "iat", "exp"],
        clockTolerance: 0,
        currentDate: new Date(age === "any" ? 0 : clock.now()),
      };
      const { current, previous } = keysOf(kind);
      const verified = await jwtVerify(token, current, options)
        .catch((error: unknown) => {
          if (previous === undefined || !(error instanceof errors.JWSSignatureVerificationFailed))
            throw error;
          return jwtVerify(token, previous, options);
        })
        .catch((error: unknown) => {
          throw new TicketError(problemOf(error));
        });
      const { payload } = verified;
      return {
        ...kind.read(payload),
        jti: text(payload.jti),
        issuedAt: seconds(payload.iat),
        expiresAt: seconds(payload.exp),
      };
    },
  };
}

/**
 * A JWS in compact form (RFC 7515 §7.1) with HMAC-SHA256 (RFC 7518 §3.2). Done at once: signing by Web Cryptography goes by way
 * of another thread, and took eight times as long (2.5 and 20 µs).
 */
function signHs256(key: Uint8Array, typ: string, claims: JWTPayload): string {
  const encode = (json: object) => Buffer.from(JSON.stringify(json)).toString("base64url");
  const signed = `${encode({ alg: "HS256", typ })}.${encode(claims)}`;
  return `${signed}.${new Bun.CryptoHasher("sha256", key).update(signed).digest("base64url")}`;
}

/** @throws {TicketError} */
export function text(claim: unknown): string {
  if (typeof claim !== "string") throw new TicketError("claims");
  return claim;
}

/** @throws {TicketError} for what is no address, or not a canonical one: that was not signed by this program. */
export function address(claim: unknown): Address {
  try {
    const parsed = parseAddress(text(claim));
    if (parsed === claim) return parsed;
  } catch {
    // Refused as what is not canonical is.
  }
  throw new TicketError("claims");
}

function seconds(claim: unknown): number {
  if (typeof claim !== "number" || !Number.isSafeInteger(claim)) throw new TicketError("claims");
  return claim * 1000;
}

function problemOf(error: unknown): TicketProblem {
  if (error instanceof errors.JWTExpired) return "expired";
  if (error instanceof errors.JWSSignatureVerificationFailed) return "wrong_signature";
  if (error instanceof errors.JOSEAlgNotAllowed || error instanceof errors.JOSENotSupported) {
    return "wrong_algorithm";
  }
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === "typ") return "wrong_type";
    if (error.claim === "iss") return "wrong_issuer";
    if (error.claim === "aud") return "wrong_audience";
    return "claims";
  }
  return "malformed";
}
