import type { Address } from "../identity/address.ts";
import { address, type TicketKind, text } from "../secret/ticket.ts";

/** What two hosts tell each other, by way of the browser that goes from one to the other. */

/** Of a host where somebody is not signed in, to the one where people sign in. */
export type HandOffRequest = {
  /** The origin of the host that asks. */
  readonly app: string;
  /** SHA-256 of its binding cookie, base64url. */
  readonly bind: string;
  /** Where to go there. Not checked: whoever follows it does that. */
  readonly next: string;
  /** Whether one must have signed in after this was issued. */
  readonly again: boolean;
};

/** Back to the host that asked: says who is signed in, to the browser that asked alone. */
export type HandOffTicket = Pick<HandOffRequest, "bind" | "next"> & {
  readonly email: Address;
  /** The session's id. It opens nothing without our key. */
  readonly session: string;
};

export const HAND_OFF_REQUEST: TicketKind<HandOffRequest> = {
  typ: "runegate-handoff-request+jwt",
  write: ({ app, bind, next, again }) => ({ sub: app, bind, next, again }),
  read: ({ sub, bind, next, again }) => ({
    app: text(sub),
    bind: text(bind),
    next: text(next),
    again: again === true,
  }),
};

export const HAND_OFF: TicketKind<HandOffTicket> = {
  typ: "runegate-handoff+jwt",
  write: ({ email, session, bind, next }) => ({ sub: email, login: session, bind, next }),
  read: ({ sub, login, bind, next }) => ({
    email: address(sub),
    session: text(login),
    bind: text(bind),
    next: text(next),
  }),
};
