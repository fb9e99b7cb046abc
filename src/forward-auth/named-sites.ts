import type { Routes, Site } from "../access/routes.ts";
import { isHost, normalHost } from "../net/host.ts";
import { remembering } from "../remembering.ts";

/**
 * The site of a host that an edge names: by exactly the names that configuration has, and with the port of the base URL where none is
 * said. Who asks for one application of the environment by another name than its own gets none, as with several.
 */
export type SiteNamed = (host: string) => Site | "unknown" | "no host";

/** With a dot at its end and a port (RFC 1035 §2.3.4). */
const LONGEST_HOST = 260;

export function createSiteNamed(routes: Pick<Routes, "siteAt">, baseUrl: string): SiteNamed {
  const base = new URL(baseUrl);
  const scheme = base.protocol === "https:" ? "https" : "http";

  function find(host: string): Site | "unknown" | "no host" {
    if (host.length > LONGEST_HOST) return "no host";
    const normal = isHost(host) ? normalHost(host, scheme) : undefined;
    if (normal === undefined) return "no host";
    const port = base.port === "" || /:\d+$/.test(host) ? "" : `:${base.port}`;
    return routes.siteAt(`${scheme}://${normal}${port}`) ?? "unknown";
  }

  return remembering(find);
}
