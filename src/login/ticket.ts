import type { Address } from "../identity/address.ts";
import { address, type Grant, TicketError, type TicketKind, text, typOf } from "../secret/ticket.ts";

/** Whom to sign in, and where they go then. */
export type Login = Grant & {
  readonly email: Address;
  /**
   * Already checked by `safeDestination`; checked again when it is used. Undefined in a link that would be too long with it: then
   * the login cookie alone knows.
   */
  readonly next: string | undefined;
  /** Whether the browser is to be kept signed in, where that is asked. */
  readonly keep?: true | undefined;
};

/** What the link in the mail grants. */
export type LoginTicket = Login & {
  /** Where it was asked for, for the owner of the mailbox to recognize or not. */
  readonly from: string;
  /** {@link bindingOf} the login cookie's secret; undefined for a link an operator printed. */
  readonly binding: string | undefined;
  /** How often it is good, where an operator has said so; else it is once. */
  readonly uses?: number | undefined;
};

/** What the login cookie holds: the same grant seen from the browser that asked. */
export type LoginRequest = Login & {
  /** 128 random bits, base64url. */
  readonly secret: string;
  /** `codeHashOf` the code (`code.ts`). */
  readonly codeHash: string;
  /** How often the mail was sent again: the code is the one in the last mail. */
  readonly sentAgain: number;
  readonly next: string;
};

export const LOGIN_LINK: TicketKind<Omit<LoginTicket, keyof Grant>> = {
  typ: "runegate-login+jwt",
  purpose: "login link",
  write: ({ email, next, keep, from, binding, uses }) => ({
    sub: email,
    next,
    keep,
    from,
    bind: binding,
    uses,
  }),
  read: ({ sub, next, keep, from, bind, uses }) => ({
    email: address(sub),
    next: next === undefined ? undefined : text(next),
    keep: keep === true ? keep : undefined,
    from: text(from),
    binding: bind === undefined ? undefined : text(bind),
    uses: uses === undefined ? undefined : count(uses),
  }),
};

export const LOGIN_REQUEST: TicketKind<Omit<LoginRequest, keyof Grant>> = {
  typ: "runegate-login-request+jwt",
  purpose: "login request",
  write: ({ email, next, keep, secret, codeHash, sentAgain }) => ({
    ...{ sub: email, next, keep, secret, code: codeHash },
    again: sentAgain === 0 ? undefined : sentAgain,
  }),
  read: ({ sub, next, keep, secret, code, again }) => ({
    email: address(sub),
    next: text(next),
    keep: keep === true ? keep : undefined,
    secret: text(secret),
    codeHash: text(code),
    sentAgain: typeof again === "number" ? again : 0,
  }),
};

/** @throws {TicketError} */
function count(claim: unknown): number {
  if (typeof claim === "number" && Number.isSafeInteger(claim) && claim > 0) return claim;
  throw new TicketError("claims");
}

/** What the link carries of the login cookie's secret: SHA-256, base64url. */
export function bindingOf(secret: string): string {
  return new Bun.CryptoHasher("sha256").update(secret).digest("base64url");
}

/** Whether this says of itself that it is a login link's token. Nothing is verified. */
export function isLoginToken(token: string): boolean {
  return typOf(token) === LOGIN_LINK.typ;
}
