import type { Kept } from "../pages/paths.ts";
import type { Arrival } from "./arrival.ts";

/**
 * Sends a person to where they sign in, which may be another host, and from there to `next` on the host that was asked.
 * @param again for whoever is signed in, and has been for too long.
 * @param kept whether what they were about to send is kept.
 */
export type SignIn = (
  arrival: Arrival,
  status: 302 | 303,
  next: string,
  again: boolean,
  kept?: Kept,
) => Response;
