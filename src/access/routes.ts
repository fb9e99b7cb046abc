import { isBelow, isPlain, plainest } from "../edge/target.ts";
import { normalHost } from "../net/host.ts";
import type { Route } from "./route.ts";

/** Which application a host and a path are. */

/** One public host. */
export type Site = {
  /** As browsers see it: scheme, host and port. From configuration, never from what a request says. */
  readonly origin: string;
  /** In the order they are asked. */
  readonly routes: readonly Route[];
};

export type Routes = {
  readonly all: readonly Route[];
  /** Where people sign in: the site of the base URL. */
  readonly home: Site;
  /** @param host as the browser sent it. Undefined for one that belongs to no application. */
  siteOf(host: string): Site | undefined;
  /** The site that has exactly this origin. */
  siteAt(origin: string): Site | undefined;
  /** Of an application, as browsers see it; where it has many hosts, nothing that any page could have. */
  originOf(route: Route): string;
  /** Where an application begins, as browsers see it; undefined for one that has many hosts. */
  urlOf(route: Route): string | undefined;
};

/** Whoever asks chooses the host where one is a wildcard. */
const MOST_HOSTS = 512;

/**
 * @param all those of a file, each with its host; or one that has none, and is there by whatever name it is asked.
 * @param baseUrl its scheme and port are those of every site.
 * @param isFirst whether nobody stands in front who lets pass the names of this installation alone: then one that has no host is
 * there by the base URL's.
 */
export function createRoutes(all: readonly Route[], baseUrl: string, isFirst = false): Routes {
  const base = new URL(baseUrl);
  const scheme = base.protocol === "https:" ? "https" : "http";
  const port = base.port === "" ? "" : `:${base.port}`;
  const byHost = Map.groupBy(all, ({ host }) => host);
  const isOnly = byHost.has(undefined);
  const home = { origin: base.origin, routes: isOnly ? all : routesOn(base.hostname) };
  const sites = new Map<string, Site | undefined>();

  function routesOn(name: string): readonly Route[] {
    const wildcard = name.replace(/^[^.]+/, "*");
    return [name, wildcard].flatMap((host) => longestFirst(byHost.get(host) ?? []));
  }

  function make(host: string): Site | undefined {
    const normal = normalHost(host, scheme);
    if ((isOnly && !isFirst) || normal === base.host) return home;
    const [, name = "", itsPort = ""] = /^(.*?)(:\d+)?$/.exec(normal ?? "") ?? [];
    const routes = itsPort === port ? routesOn(name) : [];
    return routes.length === 0 ? undefined : { origin: `${scheme}://${normal}`, routes };
  }

  function siteOf(host: string): Site | undefined {
    const known = sites.get(host);
    if (known !== undefined || sites.has(host)) return known;
    const site = make(host);
    if (sites.size >= MOST_HOSTS) sites.clear();
    sites.set(host, site);
    return site;
  }

  function originOf({ host }: Route): string {
    return host === undefined ? home.origin : `${scheme}://${host}${port}`;
  }

  return {
    all,
    home,
    siteOf,
    siteAt(origin) {
      const site = origin.startsWith(`${scheme}://`) ? siteOf(origin.slice(scheme.length + 3)) : undefined;
      return site?.origin === origin ? site : undefined;
    },
    originOf,
    urlOf: (route) => (route.host?.startsWith("*.") ? undefined : originOf(route) + route.path),
  };
}

/**
 * @param path in normal form, as browsers see it.
 * @returns undefined for a path that is no application's, or that another application's server might take for its own.
 */
export function routeFor({ routes }: Site, path: string): Route | undefined {
  const route = find(routes, path);
  if (route === undefined || (routes.length === 1 && route.path === "/") || isPlain(path)) return route;
  return find(routes, plainest(path)) === route ? route : undefined;
}

function find(routes: readonly Route[], path: string): Route | undefined {
  return routes.find((route) => route.path === "/" || isBelow(path, route.path));
}

function longestFirst(routes: readonly Route[]): Route[] {
  return [...routes].sort((a, b) => b.path.length - a.path.length);
}
