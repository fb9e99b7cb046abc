import type { Route } from "../../src/access/route.ts";
import { loadOptions } from "../../src/config/load.ts";
import { parseRoutes, routesOf } from "../../src/config/routes.ts";
import { testMachine } from "./surroundings.ts";

/** The routes of a `routes.toml`, for a gateway at https://app.example.org. @throws {ConfigError} */
export function routesIn(toml: string, env: Readonly<Record<string, string>> = {}): readonly Route[] {
  using machine = testMachine();
  const { options } = loadOptions({ env: { RUNEGATE_BASE_URL: "https://app.example.org", ...env } }, machine);
  return routesOf(options, parseRoutes(toml, "routes.toml", options).file);
}

const GROUPS = `[groups]\nstaff = ["grace@example.org"]\nadmins = ["root@example.org"]\n`;

/** One route, of which only some keys count. */
export function routeOf(keys: string): Route {
  const [route] = routesIn(`${GROUPS}[[routes]]\nname = "lab"\ntarget = "http://10.0.0.2:3000"\n${keys}`);
  if (route === undefined) throw new Error("no route");
  return route;
}
