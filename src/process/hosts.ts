import { createRoutes } from "../access/routes.ts";
import type { Configuration } from "../config/configuration.ts";
import { routesOf } from "../config/routes.ts";

/** The hosts that a configuration answers for, without ports. */
export function hostsOf({ options, routesFile }: Configuration): string[] {
  const { home, all, originOf } = createRoutes(routesOf(options, routesFile), options.baseUrl);
  const origins = [home.origin, ...all.map(originOf)];
  return [...new Set(origins.map((origin) => new URL(origin).hostname.replace(/^\[|\]$/g, "")))];
}
