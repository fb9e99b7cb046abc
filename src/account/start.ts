import { isAllowed } from "../access/decision.ts";
import type { Routes } from "../access/routes.ts";
import type { Principal } from "../identity/principal.ts";
import type { ApplicationTile } from "./pages.ts";

/**
 * The applications that somebody may use and that are shown, in the order of configuration.
 * @param landing the way to an application that has no host of its own.
 */
export function applicationsOf(
  routes: Pick<Routes, "all" | "urlOf">,
  who: Principal,
  landing: string,
): ApplicationTile[] {
  return routes.all.flatMap((route) => {
    const url = routes.urlOf(route);
    if (url === undefined || route.hidden || !isAllowed(route, who)) return [];
    const { host, title, icon } = route;
    return {
      href: host === undefined ? landing : url,
      title,
      icon,
      host: url.replace(/^https?:\/\//, "").replace(/\/$/, ""),
    };
  });
}
