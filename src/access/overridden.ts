import { folded } from "./identity-headers.ts";

/** Headers by which some frameworks take a request for one of another method (Express, ASP.NET, WordPress, Rails). */
const OVERRIDING: ReadonlySet<string> = new Set([
  "x-http-method-override",
  "x-http-method",
  "x-method-override",
]);

/**
 * Whether a request says that it is one of another method than it was sent by, in a spelling that an application might take for it.
 * @param headers by lower-case name.
 */
export function isOverridden(method: string, headers: Readonly<Record<string, string>>): boolean {
  for (const name in headers)
    if (OVERRIDING.has(folded(name)) && headers[name]?.trim().toUpperCase() !== method) return true;
  return false;
}
