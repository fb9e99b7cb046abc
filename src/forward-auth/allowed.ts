import { identityHeaders, tellsByHeaders } from "../access/identity-headers.ts";
import type { Route } from "../access/route.ts";
import type { Arrival } from "../edge/arrival.ts";
import { nameOf, type Principal } from "../identity/principal.ts";

/** The answer that lets a request pass, with what the edge is to tell the application. */

/**
 * Empty where there is nothing to say: some versions of Caddy let a visitor's header stand where the answer has none of that name
 * (CVE-2026-30851), or put the name of a variable there.
 */
const ALWAYS = [
  ...["remote-user", "remote-email", "remote-groups", "remote-name"],
  ...["x-runegate-user", "x-runegate-authenticated", "x-runegate-actor", "x-runegate-jwt"],
  ...["x-forwarded-user", "x-forwarded-email", "x-forwarded-groups"],
  ...["x-auth-request-user", "x-auth-request-email", "x-auth-request-groups"],
  ...["x-authenticated-user", "x-authenticated-token-id", "x-runegate-key-id"],
] as const;

export type AllowedSettings = {
  /** A signed statement of who is asking, for routes that want one. Asked for each check: a look into a map. */
  readonly identityToken?: ((principal: Principal, route: Route) => string | undefined) | undefined;
  /** Whether an `Authorization` is a credential of ours, which applications never see. */
  readonly isOwnCredential?: ((authorization: string) => boolean) | undefined;
};

export type Allowed = (
  asked: Pick<Arrival, "headers" | "cookies">,
  route: Route,
  principal: Principal | undefined,
  cacheControl: CacheControl,
) => Response;

/** How long the edge may keep the answer. */
export type CacheControl = "no-store" | "max-age=2";

/** Whoever is active at the moment; what is not here is made again. */
const MOST_VISITORS = 512;

/** What an answer was made from, and is made from again where that has changed. */
type Kept = {
  readonly name: string;
  readonly groups: ReadonlySet<string> | undefined;
  readonly token: string | undefined;
  readonly cookie: string | undefined;
  readonly authorization: string | undefined;
  readonly cacheControl: CacheControl;
  readonly init: { readonly headers: Headers };
};

/**
 * The headers are the same in each answer to one visitor, so they are made once; a copy costs a microsecond, making them six.
 * @param bare for an edge that makes the same of a header that is empty and one that is missing, and pays for each.
 */
export function createAllowed({ identityToken, isOwnCredential }: AllowedSettings, bare: boolean): Allowed {
  const visitors = new Map<string, Kept>();

  return ({ headers, cookies }, route, principal, cacheControl) => {
    const key = principal === undefined ? route.name : keyOf(route, principal);
    const made = {
      name: principal === undefined ? "" : nameOf(principal),
      groups: principal?.groups,
      token: principal && identityToken?.(principal, route),
      cookie: cookies.rest,
      authorization: headers.authorization,
      cacheControl,
    };
    const known = visitors.get(key);
    if (known !== undefined && isSame(known, made)) return new Response(null, known.init);
    const init = { headers: makeHeaders(route, principal, made) };
    if (visitors.size >= MOST_VISITORS) visitors.clear();
    visitors.set(key, { ...made, init });
    return new Response(null, init);
  };

  function makeHeaders(route: Route, principal: Principal | undefined, made: Omit<Kept, "init">): Headers {
    const result = new Headers(ALWAYS.map((name) => [name, ""]));
    for (const name of route.identityNames.values()) result.set(name, "");
    if (principal !== undefined) {
      for (const [name, value] of identityHeaders(principal, route)) result.set(name, value);
      if (tellsByHeaders(route)) {
        result.set("x-authenticated-user", made.name);
      }
    }
    result.set("x-runegate-jwt", made.token ?? "");
    // An edge that copies these two takes Runegate's own cookies and keys out of what the application gets.
    const { authorization = "" } = made;
    result.set("authorization", isOwnCredential?.(authorization) === true ? "" : authorization);
    result.set("cookie", made.cookie ?? "");
    result.set("cache-control", made.cacheControl);
    if (bare) for (const [name, value] of [...result]) if (value === "") result.delete(name);
    return result;
  }
}

/** A line feed is in none of them. */
function keyOf({ name }: Route, { proof }: Principal): string {
  return `${name}\n${proof.kind}\n${proof.id}`;
}

function isSame(a: Omit<Kept, "init">, b: Omit<Kept, "init">): boolean {
  return (
    a.name === b.name &&
    a.groups === b.groups &&
    a.token === b.token &&
    a.cookie === b.cookie &&
    a.authorization === b.authorization &&
    a.cacheControl === b.cacheControl
  );
}
