import { decodeProtectedHeader, errors, type JWTPayload, jwtVerify } from "jose";
import type { Clock } from "../clock.ts";
import { type Address, parseAddress } from "../identity/address.ts";
import type { KeyPair } from "../secret/keys.ts";

/**
 * Tickets: signed, single-use, short-lived grants, as JWTs (RFC 7519, HS256). Each kind has a `typ` and a key of its own, and
 * is refused as any other kind.
 */

export type TicketKind = "login" | "login-request";

const TYP: Readonly<Record<TicketKind, string>> = {
  login: "runegate-login+jwt",
  "login-request": "runegate-login-request+jwt",
};
const ISSUER = "runegate";

/** What the link in the mail grants. Times are milliseconds since the epoch, whole seconds in the token. */
export type LoginTicket = {
  readonly jti: string;
  readonly email: Address;
  /** Already checked by `safeNext`; checked again when it is used. */
  readonly next: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
  /** Where it was asked for, for the owner of the mailbox to recognize or not. */
  readonly from: string;
  /** SHA-256 of the login cookie's secret, base64url; undefined for a link an operator printed. */
  readonly binding: string | undefined;
};

/** What the login cookie holds: the same grant seen from the browser that asked. */
export type LoginRequest = {
  readonly jti: string;
  readonly email: Address;
  readonly next: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
  /** 128 random bits, base64url; the link carries their hash. */
  readonly secret: string;
  /** HMAC of the code under a key only the server has, so the cookie does not let its holder search for the code. */
  readonly codeHash: string;
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
  readonly code = "ticket_refused";
  readonly problem: TicketProblem;
  constructor(problem: TicketProblem) {
    super(`ticket refused: ${problem}`);
    this.problem = problem;
  }
}

export type TicketSettings = { readonly audience: string; readonly clock: Clock };

export type Tickets = {
  signLogin(ticket: LoginTicket): string;
  /** @throws {TicketError} */
  verifyLogin(token: string): Promise<LoginTicket>;
  signRequest(request: LoginRequest): string;
  /** @throws {TicketError} */
  verifyRequest(token: string): Promise<LoginRequest>;
};

/** Whether this says of itself that it is a login link's token. Nothing is verified. */
export function isLoginToken(token: string): boolean {
  try {
    return decodeProtectedHeader(token).typ === TYP.login;
  } catch {
    return false;
  }
}

/** A JWT with these claims stays far below this; longer ones are not worth a hash. */
const MAX_TOKEN = 8192;

export function createTickets(
  keys: { readonly loginLink: KeyPair; readonly loginRequest: KeyPair },
  { audience, clock }: TicketSettings,
): Tickets {
  function sign(
    kind: TicketKind,
    key: Uint8Array,
    ticket: { jti: string; email: string; issuedAt: number; expiresAt: number },
    claims: JWTPayload,
  ): string {
    return signHs256(key, TYP[kind], {
      ...claims,
      iss: ISSUER,
      sub: ticket.email,
      aud: audience,
      exp: Math.floor(ticket.expiresAt / 1000),
      iat: Math.floor(ticket.issuedAt / 1000),
      jti: ticket.jti,
    });
  }

  async function verify(kind: TicketKind, keys: KeyPair, token: string): Promise<JWTPayload> {
    if (token.length > MAX_TOKEN) throw new TicketError("malformed");
    const options = {
      algorithms: ["HS256"],
      typ: TYP[kind],
      issuer: ISSUER,
      audience,
      requiredClaims: ["sub", "jti", "iat", "exp"],
      clockTolerance: 0,
      currentDate: new Date(clock.now()),
    };
    try {
      return (await jwtVerify(token, keys.current, options)).payload;
    } catch (error) {
      if (keys.previous === undefined || !(error instanceof errors.JWSSignatureVerificationFailed)) {
        throw new TicketError(problemOf(error));
      }
    }
    try {
      return (await jwtVerify(token, keys.previous, options)).payload;
    } catch (error) {
      throw new TicketError(problemOf(error));
    }
  }

  return {
    signLogin: (ticket) =>
      sign("login", keys.loginLink.current, ticket, {
        next: ticket.next,
        from: ticket.from,
        ...(ticket.binding === undefined ? {} : { bind: ticket.binding }),
      }),

    async verifyLogin(token) {
      const claims = await verify("login", keys.loginLink, token);
      return {
        ...common(claims),
        from: text(claims.from),
        binding: claims.bind === undefined ? undefined : text(claims.bind),
      };
    },

    signRequest: (request) =>
      sign("login-request", keys.loginRequest.current, request, {
        next: request.next,
        secret: request.secret,
        code: request.codeHash,
      }),

    async verifyRequest(token) {
      const claims = await verify("login-request", keys.loginRequest, token);
      return { ...common(claims), secret: text(claims.secret), codeHash: text(claims.code) };
    },
  };
}

/**
 * A JWS in compact form (RFC 7515 §7.1) with HMAC-SHA256 (RFC 7518 §3.2). Done at once: signing by Web Cryptography goes by way
 * of another thread, and took eight times as long (2.5 and 20 µs).
 */
function signHs256(key: Uint8Array, typ: string, claims: JWTPayload): string {
  const part = (json: object) => Buffer.from(JSON.stringify(json)).toString("base64url");
  const signed = `${part({ alg: "HS256", typ })}.${part(claims)}`;
  return `${signed}.${new Bun.CryptoHasher("sha256", key).update(signed).digest("base64url")}`;
}

function common(claims: JWTPayload) {
  return {
    jti: text(claims.jti),
    email: addressOf(claims.sub),
    next: text(claims.next),
    issuedAt: seconds(claims.iat),
    expiresAt: seconds(claims.exp),
  };
}

function text(claim: unknown): string {
  if (typeof claim !== "string") throw new TicketError("claims");
  return claim;
}

function seconds(claim: unknown): number {
  if (typeof claim !== "number" || !Number.isSafeInteger(claim)) throw new TicketError("claims");
  return claim * 1000;
}

function addressOf(claim: unknown): Address {
  try {
    const address = parseAddress(text(claim));
    if (address === claim) return address;
  } catch {
    // Falls through: a claim that is not a canonical address was not signed by this program.
  }
  throw new TicketError("claims");
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
