import { type TicketKind, text } from "../secret/ticket.ts";

/** What the host of an application and the one where people sign in tell each other, by way of the operator's browser. */

/** From the application's host: the browser to which the ticket is to be tied. */
export type ActingRequest = {
  /** The origin of the host that asks. */
  readonly app: string;
  /** SHA-256 of its binding cookie, base64url. */
  readonly bind: string;
};

/** Back to it, for that browser alone. */
export type ActingTicket = {
  /** Of what was begun. It opens nothing without our key. */
  readonly id: string;
  readonly bind: string;
};

export const ACTING_REQUEST: TicketKind<ActingRequest> = {
  typ: "runegate-impersonation-request+jwt",
  write: ({ app, bind }) => ({ sub: app, bind }),
  read: ({ sub, bind }) => ({ app: text(sub), bind: text(bind) }),
};

export const ACTING_TICKET: TicketKind<ActingTicket> = {
  typ: "runegate-impersonation+jwt",
  write: ({ id, bind }) => ({ sub: id, bind }),
  read: ({ sub, bind }) => ({ id: text(sub), bind: text(bind) }),
};
