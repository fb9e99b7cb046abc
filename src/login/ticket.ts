import type { Address } from "../identity/address.ts";
import { address, type Grant, type TicketKind, text, typOf } from "../secret/ticket.ts";

/** What the link in the mail grants. */
export type LoginTicket = Grant & {
  readonly email: Address;
  /** Already checked by `safeNext`; checked again when it is used. */
  readonly next: string;
  /** Where it was asked for, for the owner of the mailbox to recognize or not. */
  readonly from: string;
  /** SHA-256 of the login cookie's secret, base64url; undefined for a link an operator printed. */
  readonly binding: string | undefined;
};

/** What the login cookie holds: the same grant seen from the browser that asked. */
export type LoginRequest = Grant & {
  readonly email: Address;
  readonly next: string;
  /** 128 random bits, base64url; the link carries their hash. */
  readonly secret: string;
  /** HMAC of the code under a key only the server has, so the cookie does not let its holder search for the code. */
  readonly codeHash: string;
};

export const LOGIN_LINK: TicketKind<Omit<LoginTicket, keyof Grant>> = {
  typ: "runegate-login+jwt",
  purpose: "login link",
  write: ({ email, next, from, binding }) => ({ sub: email, next, from, bind: binding }),
  read: ({ sub, next, from, bind }) => ({
    email: address(sub),
    next: text(next),
    from: text(from),
    binding: bind === undefined ? undefined : text(bind),
  }),
};

export const LOGIN_REQUEST: TicketKind<Omit<LoginRequest, keyof Grant>> = {
  typ: "runegate-login-request+jwt",
  purpose: "login request",
  write: ({ email, next, secret, codeHash }) => ({ sub: email, next, secret, code: codeHash }),
  read: ({ sub, next, secret, code }) => ({
    email: address(sub),
    next: text(next),
    secret: text(secret),
    codeHash: text(code),
  }),
};

/** Whether this says of itself that it is a login link's token. Nothing is verified. */
export function isLoginToken(token: string): boolean {
  return typOf(token) === LOGIN_LINK.typ;
}
