import type { HealthCheck, Route } from "../access/route.ts";
import type { Clock } from "../clock.ts";
import type { Arrival } from "../edge/arrival.ts";
import type { Principal } from "../identity/principal.ts";
import type { Logger } from "../observe/logger.ts";
import { reasonOf } from "./failure.ts";
import type { Upstream } from "./upstream.ts";

/** Which of several servers of one application a request goes to, and which of them are up. */
export type Targets = {
  /**
   * All of them, in the order they are to be tried.
   * @param key whose requests belong together.
   */
  inOrder(key: string): InOrder;
  /** No connection to it could be made, or it broke off. */
  failed(upstream: Upstream): void;
  /** Of each, whether requests go there first. */
  up(): boolean[];
  /** Asks each once whether it is up. Never rejects. */
  check(): Promise<void>;
  start(): void;
  stop(): void;
};

export type InOrder = readonly [first: Upstream, ...others: Upstream[]];

export type TargetsSettings = Pick<Route, "name" | "balance" | "health"> & {
  readonly clock: Clock;
  readonly log: Logger;
};

/** One that has just failed is tried after the others for so long. */
const AVOID_MS = 2_000;

type Server = {
  readonly upstream: Upstream;
  readonly seed: number;
  /** What the health checks say. */
  up: boolean;
  failures: number;
  successes: number;
  /** On the monotonic clock. */
  avoidUntil: number;
};

/** @param upstreams one at least. */
export function createTargets(upstreams: InOrder, settings: TargetsSettings): Targets {
  const { balance, health, clock, log } = settings;
  const servers = upstreams.map(
    (upstream, at): Server => ({
      upstream,
      // By its place too: two may go by one name.
      seed: Bun.hash.xxHash32(`${at} ${upstream.where}`),
      up: true,
      failures: 0,
      successes: 0,
      avoidUntil: Number.NEGATIVE_INFINITY,
    }),
  );
  const only = tries(upstreams);
  let next = 0;
  let timer: ReturnType<typeof setInterval> | undefined;
  let checking = false;

  function preferred(key: string): readonly Server[] {
    if (balance === "first") return servers;
    if (balance === "round_robin") {
      next = (next + 1) % servers.length;
      return [...servers.slice(next), ...servers.slice(0, next)];
    }
    // Rendezvous hashing: when one is gone, only its own visitors move.
    const scored = servers.map((server) => ({ server, score: Bun.hash.xxHash32(key, server.seed) }));
    return scored.sort((a, b) => b.score - a.score).map(({ server }) => server);
  }

  function note(server: Server, good: boolean, { downAfter, upAfter }: HealthCheck, reason: string): void {
    if (good) server.avoidUntil = Number.NEGATIVE_INFINITY;
    server.failures = good ? 0 : server.failures + 1;
    server.successes = good ? server.successes + 1 : 0;
    const up = server.up ? server.failures < downAfter : server.successes >= upAfter;
    if (up === server.up) return;
    server.up = up;
    const about = { route: settings.name, target: server.upstream.where };
    if (up) log.info("a target is up again", about);
    else log.warn("a target is down", { ...about, reason });
  }

  async function checkOne(server: Server, check: HealthCheck): Promise<void> {
    const { upstream } = server;
    try {
      const response = await fetch(upstream.origin + check.path, {
        ...upstream.connection,
        signal: AbortSignal.timeout(check.timeout),
        redirect: "manual",
        headers: { "User-Agent": "Runegate" },
      } as RequestInit);
      await response.body?.cancel();
      const { from, to } = check.status;
      note(server, response.status >= from && response.status <= to, check, `status ${response.status}`);
    } catch (error) {
      note(server, false, check, reasonOf(error));
    }
  }

  async function check(): Promise<void> {
    if (health !== undefined) await Promise.all(servers.map((server) => checkOne(server, health)));
  }

  return {
    inOrder(key) {
      if (servers.length < 2) return only;
      const now = clock.monotonic();
      const order = preferred(key);
      const sorted = [
        ...order.filter((server) => isGood(server, now)),
        ...order.filter((server) => !isGood(server, now)),
      ];
      return tries(sorted.map(({ upstream }) => upstream));
    },

    failed(upstream) {
      const server = servers.find((one) => one.upstream === upstream);
      if (server !== undefined) server.avoidUntil = clock.monotonic() + AVOID_MS;
    },

    up() {
      const now = clock.monotonic();
      return servers.map((server) => isGood(server, now));
    },

    check,

    start() {
      if (health === undefined) return;
      timer ??= setInterval(() => {
        if (checking) return;
        checking = true;
        void check().finally(() => {
          checking = false;
        });
      }, health.interval);
      timer.unref();
    },

    stop() {
      clearInterval(timer);
      timer = undefined;
    },
  };
}

function tries(upstreams: readonly Upstream[]): InOrder {
  return upstreams.flatMap((one) => (one.twice ? [one, one] : [one])) as unknown as InOrder;
}

function isGood(server: Server, now: number): boolean {
  return server.up && now >= server.avoidUntil;
}

/** Whose requests belong together. */
export function holderOf({ client }: Arrival, principal: Principal | undefined): string {
  return principal?.proof.id ?? client.ip;
}
