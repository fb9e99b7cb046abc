import type { JWTPayload } from "jose";
import { AddressError, parseAddress } from "../identity/address.ts";
import type { Subject } from "../identity/principal.ts";
import { SECOND } from "../option/values.ts";
import type { BearerOptions } from "./options.ts";

/** What a verified token says of whoever sent it. */

/** Why the claims of a token are not enough. No part of it is repeated. */
export class ClaimError extends Error {}

/** OpenID Connect Core 1.0 §2 of `sub`. No service of a routes file has a colon in its name. */
const SUB = /^[\x21-\x7e]{1,255}$/;

/** @throws {ClaimError} */
export function subjectOf(
  claims: JWTPayload,
  { oidcSubjectClaim: name }: Pick<BearerOptions, "oidcSubjectClaim">,
): Subject {
  const value = Object.hasOwn(claims, name) ? claims[name] : undefined;
  if (typeof value !== "string") throw new ClaimError(`${name} is missing`);
  if (name === "email" && claims.email_verified !== true) throw new ClaimError("email_verified is not true");
  try {
    return { email: parseAddress(value) };
  } catch (error) {
    if (!(error instanceof AddressError)) throw error;
    if (name === "sub" && SUB.test(value)) return { service: `oidc:${value}` };
    throw new ClaimError(`${name} is not an address`);
  }
}

/** When they signed in, in milliseconds since the epoch, as far as it is told. @throws {ClaimError} for what no calendar has. */
export function provenAtOf({ auth_time: signedIn, iat }: JWTPayload): number | undefined {
  const seconds = typeof signedIn === "number" ? signedIn : iat;
  if (seconds === undefined) return undefined;
  const at = new Date(seconds * SECOND).getTime();
  if (Number.isNaN(at)) throw new ClaimError("auth_time or iat is no time");
  return at;
}

/** Whether one of their groups is that of administrators, all of it and not as a part of another's name. */
export function isInAdminGroup(
  claims: JWTPayload,
  options: Pick<BearerOptions, "oidcGroupsClaim" | "oidcAdminGroup" | "oidcAdminGroupCaseInsensitive">,
): boolean {
  const found = valueAt(claims, options.oidcGroupsClaim);
  const groups = typeof found === "string" ? found.split(/\s+/) : Array.isArray(found) ? found : [];
  const plain = (name: string) => (options.oidcAdminGroupCaseInsensitive ? name.toLowerCase() : name);
  const wanted = plain(options.oidcAdminGroup);
  return groups.some((name) => typeof name === "string" && plain(name) === wanted);
}

/** A claim's name may have dots in it, as URLs have; what is no name is a path. */
export function valueAt(claims: JWTPayload, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name];
  let value: unknown = claims;
  for (const part of name.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[part];
  }
  return value;
}
