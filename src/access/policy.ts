import { type Address, domainOf } from "../identity/address.ts";
import type { AccessOptions } from "./options.ts";

/** Which addresses may sign in, and stay signed in (CONTRACT section 4). */
export type Policy = { allows(address: Address): boolean };

export function createPolicy(options: AccessOptions): Policy {
  return {
    allows: (address) =>
      options.allowAnyEmail ||
      options.allowedEmails.has(address) ||
      // Exact: a sub-domain of an allowed domain is somebody else's mail server.
      options.allowedDomains.has(domainOf(address)),
  };
}
