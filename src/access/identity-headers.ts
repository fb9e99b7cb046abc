import { groupsText, nameOf, type Principal } from "../identity/principal.ts";
import { quote, ValueError } from "../option/value-error.ts";
import { remembering } from "../remembering.ts";
import type { IdentityFact, Route } from "./route.ts";

/** What an application is told of who is asking, and by which headers. All names are in lower case. */

export type IdentityHeader = readonly [name: string, value: string];

/** Those of other gateways too, so that an application that knows one of them needs no other setting. */
const NAMES: Readonly<Record<IdentityFact, readonly string[]>> = {
  user: ["x-runegate-user", "x-forwarded-user", "remote-user", "x-auth-request-user"],
  email: ["x-forwarded-email", "remote-email", "x-auth-request-email"],
  groups: ["remote-groups", "x-auth-request-groups", "x-forwarded-groups"],
  name: ["remote-name"],
};

const FACTS = Object.keys(NAMES) as readonly IdentityFact[];

/** Whether a route's application reads headers, and whether it gets a token (`identity-token/`). */
export function tellsByHeaders({ identity }: Pick<Route, "identity">): boolean {
  return identity === "headers" || identity === "both";
}

export function tellsByToken({ identity }: Pick<Route, "identity">): boolean {
  return identity === "jwt" || identity === "both";
}

/** Each of them only where it has something to say. Empty where the application is not told by headers. */
export function identityHeaders(
  principal: Principal,
  route: Pick<Route, "identity" | "identityNames">,
): readonly IdentityHeader[] {
  if (!tellsByHeaders(route)) return [];
  const { subject, groups, actor } = principal;
  const facts: Readonly<Record<IdentityFact, string>> = {
    user: nameOf(principal),
    email: "email" in subject ? subject.email : "",
    groups: groupsText(groups),
    // No way of signing in gives one so far.
    name: "",
  };
  const said = FACTS.flatMap((fact) =>
    [...NAMES[fact], route.identityNames.get(fact) ?? ""].map((name): IdentityHeader => [name, facts[fact]]),
  );
  const key = keyIdOf(principal);
  const all: readonly IdentityHeader[] = [
    ["x-runegate-authenticated", "true"],
    ["x-runegate-actor", actor ?? ""],
    ["x-runegate-key-id", key],
    ["x-authenticated-user", key === "" ? "" : nameOf(principal)],
    ["x-authenticated-token-id", key],
    ...said,
  ];
  return all.filter(([name, value]) => name !== "" && value !== "");
}

/** The public id of the API key that they came with; else nothing. */
export function keyIdOf({ proof }: Pick<Principal, "proof">): string {
  return proof.kind === "key" ? proof.id : "";
}

/** A header's name as gateway interfaces fold it (CGI: HTTP_X_FORWARDED_USER), in which all spellings are one. */
export function folded(name: string): string {
  return /[^a-z0-9-]/.test(name) ? name.toLowerCase().replace(/[^a-z0-9]/g, "-") : name;
}

/** They frame the message, or say where it comes from. */
const TAKEN =
  /^(?:host|connection|keep-alive|te|trailer|transfer-encoding|content-.*|upgrade|expect|origin|cookie|set-cookie|forwarded|x-real-ip|x-forwarded-(?:for|proto|host|port|prefix)|proxy|proxy-.*|sec-.*)$/;

/** The name of a header that may say who is asking, in lower case. @throws {ValueError} */
export function identityHeaderName(written: string): string {
  const name = written.toLowerCase();
  // RFC 9110 §5.6.2, without what gateway interfaces fold into one.
  if (/^[a-z0-9-]{1,64}$/.test(name) && !TAKEN.test(name)) return name;
  throw new ValueError(
    `is not a header that can say who is asking: ${quote(written)}`,
    "Write letters, digits and hyphens, such as X-WEBAUTH-USER.",
  );
}

const OWN: ReadonlySet<string> = new Set([
  ...["user", "email", "name", "groups", "role", "sub"].map((fact) => `remote-${fact}`),
  ...["user", "email", "groups", "preferred-username", "access-token"].map((fact) => `x-forwarded-${fact}`),
]);
const OWN_PREFIXES = ["x-runegate-", "x-auth-request-", "x-authenticated-", "x-webauth-"] as const;

/**
 * What a request may carry all the same, in this spelling: a credential, what an edge asks for, and a name in which ingress-nginx tells
 * oauth2-proxy where the visitor was going.
 */
const INNOCENT: ReadonlySet<string> = new Set([
  "x-runegate-key",
  "x-runegate-cache",
  "x-auth-request-redirect",
]);

/** Whether the name, in lower case, is one of those that every application may take for its own, in any spelling. */
const isReserved = remembering((name) => {
  const plain = folded(name);
  return OWN.has(plain) || (OWN_PREFIXES.some((prefix) => plain.startsWith(prefix)) && !INNOCENT.has(name));
});

/**
 * Whether a header's name is one in which applications are told who is asking, in a spelling that one of them might take for it:
 * gateway interfaces fold every separator into one (`Remote_User`, `Remote.User`).
 * @param name in lower case.
 */
export function namesIdentity(name: string, { identityNames }: Pick<Route, "identityNames">): boolean {
  if (isReserved(name)) return true;
  for (const renamed of identityNames.values())
    if (folded(renamed.toLowerCase()) === folded(name)) return true;
  return false;
}
