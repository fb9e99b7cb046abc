import { valueAt } from "../bearer/claims.ts";
import { type Address, AddressError, parseAddress } from "../identity/address.ts";
import type { Provider } from "./provider.ts";

/** What a provider says of whoever has signed in there. */

/** Of an ID token whose signature, `iss`, `aud`, `exp` and `nonce` are good, or of the UserInfo endpoint for the same `sub`. */
export type Claims = Readonly<Record<string, unknown>>;

export type ClaimProblem = "email_missing" | "email_unverified" | "email_malformed";

/**
 * Whether both come from one place is what counts: an address from here and the word that it is verified from there may be about
 * two.
 * @returns why it is none, where it is none.
 */
export function addressIn(
  claims: Claims,
  { emailVerifiedClaim }: Pick<Provider, "emailVerifiedClaim">,
): { readonly email: Address } | { readonly problem: ClaimProblem } {
  const { email } = claims;
  if (typeof email !== "string") return { problem: "email_missing" };
  if (valueAt(claims, emailVerifiedClaim) !== true) return { problem: "email_unverified" };
  try {
    return { email: parseAddress(email) };
  } catch (error) {
    if (!(error instanceof AddressError)) throw error;
    return { problem: "email_malformed" };
  }
}

/** The groups here that the groups there stand for. */
export function groupsIn(
  claims: Claims,
  { groupsClaim, groups }: Pick<Provider, "groupsClaim" | "groups">,
): ReadonlySet<string> {
  const found = valueAt(claims, groupsClaim);
  const names = typeof found === "string" ? found.split(/\s+/) : Array.isArray(found) ? found : [];
  return new Set(names.flatMap((name) => (typeof name === "string" ? (groups.get(name) ?? []) : [])));
}
