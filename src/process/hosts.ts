import { createRoutes } from "../access/routes.ts";
import type { Access } from "../config/configuration.ts";
import { routesOf } from "../config/routes.ts";

/** The hosts that a configuration answers for, without ports. */
export function hostsOf({ options, routesFile }: Pick<Access, "options" | "routesFile">): string[] {
  const { home, all, originOf } = createRoutes(routesOf(options, routesFile), options.baseUrl);
  const origins = [home.origin, ...all.map(originOf)];
  return [...new Set(origins.map((origin) => new URL(origin).hostname.replace(/^\[|\]$/g, "")))];
}
