import type { Routes } from "../access/routes.ts";
import { isBelow } from "../edge/target.ts";
import { isLoopbackHost } from "../net/loopback.ts";
import { atMostEvery } from "../observe/at-most-every.ts";
import type { Fields } from "../observe/logger.ts";
import { ADAPTERS, type Adapter, PREFIXED } from "./adapters.ts";
import { type AllowedSettings, createAllowed } from "./allowed.ts";
import { type Check, type CheckSettings, createCheck } from "./check.ts";
import { createSiteNamed } from "./named-sites.ts";

/**
 * Checks: an edge that proxies by itself asks, before each request, whether it may pass. The same decision as for what comes straight
 * to us, in the dialects that edges speak.
 */

export type ForwardAuth = {
  /**
   * The check that a path is.
   * @param checksAlone whether it came where nothing else is answered.
   */
  find(path: string, checksAlone: boolean): Check | undefined;
};

export type ForwardAuthSettings = AllowedSettings &
  Omit<CheckSettings, "siteNamed" | "takesHttp" | "allowed" | "warn"> & {
    readonly baseUrl: string;
    readonly routes: Routes;
  };

/** Anybody may bring these about, which must not fill the disk with lines about them. */
const SAY_EVERY_MS = 60_000;

export function createForwardAuth(settings: ForwardAuthSettings): ForwardAuth {
  const { baseUrl, routes, clock, log } = settings;
  const mayWarn = new Map<string, (now: number) => boolean>();
  const shared: Omit<CheckSettings, "allowed"> = {
    ...settings,
    siteNamed: createSiteNamed(routes, baseUrl),
    takesHttp: baseUrl.startsWith("http:") || isLoopbackHost(new URL(baseUrl).hostname),
    warn(message: string, fields: Fields) {
      const isDue = mayWarn.getOrInsertComputed(message, () => atMostEvery(SAY_EVERY_MS));
      if (isDue(clock.monotonic())) log.warn(message, fields);
    },
  };
  const whole = createAllowed(settings, false);
  const bare = createAllowed(settings, true);
  const checkOf = (adapter: Adapter) =>
    createCheck(adapter, { ...shared, allowed: adapter.bare ? bare : whole });
  const checks = new Map(ADAPTERS.map((adapter) => [adapter.path, checkOf(adapter)]));
  const prefixed = checkOf(PREFIXED);

  return {
    find(path, checksAlone) {
      const check = checks.get(path);
      if (check !== undefined || !checksAlone) return check;
      return isBelow(path, PREFIXED.path) ? prefixed : undefined;
    },
  };
}
