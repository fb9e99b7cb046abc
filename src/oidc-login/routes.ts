import { lateHandlers, ownRoutes } from "../edge/own.ts";
import type { House, Room } from "../house.ts";
import { atFirstUse } from "../late.ts";
import { OWN_PREFIX } from "../pages/paths.ts";
import { createOidcCookie } from "./cookie.ts";
import { signInPart } from "./pages.ts";
import { callbackPath, logoutPath, type Provider, startPath } from "./provider.ts";

/** Signing in with OpenID providers (OpenID Connect Core 1.0). All but links to them is loaded when the first is followed. */
export function oidcRoom(house: House): Room {
  const { providers } = house;
  const cookie = createOidcCookie(house.options.secureCookie);
  if (providers.length === 0) return { name: "oidc-login", cookies: [cookie] };

  function routesOf(provider: Provider) {
    const by = lateHandlers(
      atFirstUse(async () => (await import("./handlers.ts")).createOidcHandlers(house, provider, cookie)),
    );
    const below = (path: string) => path.slice(OWN_PREFIX.length);
    return [
      { path: below(startPath(provider)), handlers: { GET: by("start") } },
      { path: below(callbackPath(provider)), handlers: { GET: by("callback") } },
      { path: below(logoutPath(provider)), handlers: { POST: by("endLogins") } },
    ];
  }

  return {
    ...ownRoutes("oidc-login", providers.flatMap(routesOf)),
    cookies: [cookie],
    wayIn: (arrival, next) => signInPart(arrival.lookOf(arrival), providers, next),
  };
}
