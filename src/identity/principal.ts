import type { Address } from "./address.ts";

/** Whoever is let through, and how they proved who they are. */
export type Principal = {
  readonly kind: "session";
  readonly email: Address;
  /** Store id of the session (a keyed hash of its cookie). */
  readonly sessionId: string;
};
