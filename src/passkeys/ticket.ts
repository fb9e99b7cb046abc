import type { Address } from "../identity/address.ts";
import { address, type TicketKind, text } from "../secret/ticket.ts";

/**
 * What a browser is given together with the options for its authenticator, and sends back with the answer. The challenge is the
 * ticket's id: good once, for some minutes, and in the browser that asked alone.
 */
type Bound = {
  /** SHA-256 of the browser's binding cookie, base64url. */
  readonly bind: string;
};

/** For making a passkey. */
export type RegistrationTicket = Bound & {
  readonly email: Address;
  /** {@link Passkey.user} of the one to be made. */
  readonly user: string;
};

/** For signing in with one. */
export type SignInTicket = Bound & {
  /** The origin of the host that was asked. */
  readonly origin: string;
};

export const REGISTRATION: TicketKind<RegistrationTicket> = {
  typ: "runegate-passkey-registration+jwt",
  write: ({ email, user, bind }) => ({ sub: email, user, bind }),
  read: ({ sub, user, bind }) => ({ email: address(sub), user: text(user), bind: text(bind) }),
};

export const SIGN_IN_BY_PASSKEY: TicketKind<SignInTicket> = {
  typ: "runegate-passkey-sign-in+jwt",
  write: ({ origin, bind }) => ({ sub: origin, bind }),
  read: ({ sub, bind }) => ({ origin: text(sub), bind: text(bind) }),
};

/** Five minutes: what authenticators are given, too. */
export const CHALLENGE_MS = 5 * 60_000;
