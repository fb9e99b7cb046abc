import { parseAddress } from "../../src/identity/address.ts";
import { NO_GROUPS, type Principal } from "../../src/identity/principal.ts";

/** Somebody with a session of this id. */
export function signedIn(id: string, email = "ada@example.org"): Principal {
  const subject = { email: parseAddress(email) };
  return { subject, groups: NO_GROUPS, proof: { kind: "session", id }, provenAt: 0 };
}
