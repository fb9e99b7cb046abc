import type { Address } from "../identity/address.ts";
import { address, type TicketKind, text } from "../secret/ticket.ts";

/** What the link in a mail about a new device grants: to say that it was somebody else. It signs nobody in. */
export type NotMe = {
  readonly email: Address;
  /** The record of that device, to be forgotten. */
  readonly device: string;
};

export const NOT_ME_LINK: TicketKind<NotMe> = {
  typ: "runegate-not-me+jwt",
  write: ({ email, device }) => ({ sub: email, device }),
  read: ({ sub, device }) => ({ email: address(sub), device: text(device) }),
};
