import type { LiveConnections } from "../access/live.ts";
import type { Route } from "../access/route.ts";
import type { Routes } from "../access/routes.ts";
import type { Clock } from "../clock.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { RequestCounts, RouteCounts } from "../metrics/requests.ts";
import type { Logger } from "../observe/logger.ts";
import type { Tunnels } from "../tunnel/open.ts";
import { createForward, type Forward } from "./forward.ts";
import { createHandshake, type ShakeHands } from "./handshake.ts";
import type { ProxyOptions } from "./options.ts";
import { createRewriting } from "./rewriting.ts";
import { createTargets } from "./targets.ts";
import { createTelling, type TellingSettings } from "./telling.ts";
import { createUpstream } from "./upstream.ts";
import { upstreamName } from "./upstream-name.ts";

/** One application that is proxied: what its route says, made into the ways to speak to it. */
export type Application = {
  readonly forward: Forward;
  readonly route: Route;
  /** For `Tunnel.open`. */
  readonly shakeHands: ShakeHands;
  readonly counts: RouteCounts;
  /** Of each target, whether it is up as far as is known. */
  up(): boolean[];
  start(): void;
  /** Another gateway looks after its targets; requests under way have their deadlines. */
  replaced(): void;
  stop(): void;
};

export type ApplicationSettings = Pick<ProxyOptions, "streamResponses"> &
  TellingSettings & {
    readonly routes: Pick<Routes, "originOf">;
    readonly tunnels: Tunnels;
    readonly live: LiveConnections;
    readonly ownCookies: ReadonlySet<string>;
    readonly counts: RequestCounts;
    readonly clock: Clock;
    readonly log: Logger;
  };

/** @returns undefined for a route that another proxy passes on. */
export function createApplication(route: Route, settings: ApplicationSettings): Application | undefined {
  const { routes, clock, log, tunnels } = settings;
  const { hostHeader, maxBody } = route;
  const telling = createTelling(route, settings);
  const publicOrigin = routes.originOf(route);
  const upstreams = route.targets.map((target) => {
    const name = upstreamName({ hostHeader, target: target.address, baseUrl: publicOrigin });
    return createUpstream({ ...route, target, name, telling, clock, tunnels });
  });
  const [first, ...others] = upstreams;
  if (first === undefined) return undefined;
  const targets = createTargets([first, ...others], { ...route, clock, log });
  const rewriting = createRewriting(route);
  const counts = settings.counts.of(route.name);
  return {
    route,
    forward: createForward({ ...settings, maxBody, route, targets, rewriting, counts }),
    shakeHands: createHandshake(targets, rewriting),
    counts,
    up: targets.up,
    start: targets.start,
    replaced: targets.stop,
    stop() {
      targets.stop();
      for (const upstream of upstreams) upstream.stop();
    },
  };
}

export function measureTargets(applications: readonly Application[], metrics: Pick<Metrics, "gauge">): void {
  const read = () =>
    applications.flatMap(({ route, up }) =>
      up().map((isUp, at) => [[route.name, `${at}`], Number(isUp)] as const),
    );
  const help = "Whether a target of an application is up, as far as is known.";
  metrics.gauge("runegate_upstream_up", help, ["route", "target"], read, "min");
}
