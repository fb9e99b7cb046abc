import { type Address, parseAddress } from "../identity/address.ts";
import { nameOf, type Subject } from "../identity/principal.ts";
import type { Network } from "../net/ip.ts";

/** Whose a key is: somebody by their address, or a service account, which has none. */

const SERVICE = "service:";

/** Service accounts by name, and where each may come from: anywhere, if no network is named. */
export type ServiceAccounts = ReadonlyMap<string, { readonly networks: readonly Network[] }>;

/** @returns undefined for what is neither. */
export function subjectOf(owner: string): Subject | undefined {
  if (owner.startsWith(SERVICE)) return { service: owner.slice(SERVICE.length) };
  const email = addressOf(owner);
  return email && { email };
}

/** An owner as records name them; what is none stays as it is, and owns nothing. */
export function ownerOf(written: string): string {
  const subject = subjectOf(written.trim());
  return subject === undefined ? written : nameOf({ subject });
}

function addressOf(text: string): Address | undefined {
  try {
    return parseAddress(text);
  } catch {
    return undefined;
  }
}
