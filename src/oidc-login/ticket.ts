import { type TicketKind, text } from "../secret/ticket.ts";

/**
 * What a browser keeps while its user is at a provider: the id is the `state`, good once and in this browser alone. It is
 * signed and not secret: of its own user, whose it is, nothing is kept from.
 */
export type OidcLogin = {
  /** Name of the provider that it was sent to, and of no other. */
  readonly provider: string;
  /** What the ID token has to say (OpenID Connect Core 1.0 §3.1.2.1). */
  readonly nonce: string;
  /** RFC 7636 §4.1. */
  readonly verifier: string;
  /** Already through `safeDestination`; again when it is used. */
  readonly next: string;
  /** Whether they must have shown there who they are after this was issued. */
  readonly again: boolean;
};

export const OIDC_LOGIN: TicketKind<OidcLogin> = {
  typ: "runegate-oidc-login+jwt",
  write: ({ provider, nonce, verifier, next, again }) => ({ sub: provider, nonce, verifier, next, again }),
  read: ({ sub, nonce, verifier, next, again }) => ({
    provider: text(sub),
    nonce: text(nonce),
    verifier: text(verifier),
    next: text(next),
    again: again === true,
  }),
};

export const OIDC_LOGIN_MS = 10 * 60_000;
