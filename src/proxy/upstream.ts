import type { TargetTls } from "../access/route.ts";
import type { Clock } from "../clock.ts";
import { type BasedTarget, describeTarget, type TargetAddress } from "../net/endpoint.ts";
import type { Tunnels } from "../tunnel/open.ts";
import { createDeadlines, type Deadline, deadline } from "./deadlines.ts";
import { createToUpstream, type ToUpstream } from "./headers.ts";
import type { Telling } from "./telling.ts";
import { originOf, type UpstreamName } from "./upstream-name.ts";

/** The application's server: where it is, and how long it is waited for. */
export type Upstream = {
  /** For the log. */
  readonly where: string;
  /** What paths are appended to. */
  readonly origin: string;
  readonly webSocketOrigin: string;
  /** How `fetch` reaches it: by which unix socket, and with which certificates. */
  readonly connection: Pick<BunFetchRequestInit, "unix" | "tls" | "keepalive">;
  readonly tls: BunFetchRequestInitTLS | undefined;
  /** Whether it may be tried once more at once: another connection of the tunnel it is behind may be there. */
  readonly twice: boolean;
  /** Undefined but where it is behind a tunnel, and no connector is there now. @throws {StoreUnavailable} */
  away(): Promise<Away | undefined>;
  /** Undefined where the application is addressed by its public name. */
  readonly name: UpstreamName | undefined;
  readonly toUpstream: ToUpstream;
  /**
   * Starts both clocks of CONTRACT section 7 for one exchange. `expired` is called at most once, and
   * not after `settle`.
   * @param slow called once if it is not settled within {@link SLOW_MS}, as most are.
   */
  await(expired: (what: UpstreamDelay) => void, slow: () => void): Waiting;
  /** What `promise` gives, or undefined if it fails or takes longer than {@link MOMENT_MS}. */
  soon<T>(promise: Promise<T>): Promise<T | undefined>;
  stop(): void;
};

/** Since when nobody is connected for a tunnel, wall clock; undefined where nobody ever was. */
export type Away = { readonly since: number | undefined };

export type UpstreamDelay = "connect" | "response";

/** One exchange whose response head has not come yet. */
export type Waiting = {
  /** The response head has come. */
  answered(): void;
  /** Nothing will come. */
  settle(): void;
  /** A piece of the request body has gone: the time for the response begins anew, however long the whole body takes. */
  moved(): void;
};

export type UpstreamSettings = {
  readonly target: BasedTarget;
  readonly tls: TargetTls | undefined;
  readonly telling: Telling;
  readonly name: UpstreamName | undefined;
  readonly connectTimeout: number;
  readonly responseTimeout: number;
  readonly tunnels: Tunnels;
  readonly clock: Clock;
};

/** Until then an exchange costs one entry in one list, and nothing else is watched on its behalf. */
const SLOW_MS = 50;

/** Nobody notices it, and a small body that is sent after its head is there by then, over a VPN too. */
const MOMENT_MS = 100;

/** Well below what an idle connection to the browser may last, since it is then that it has to be kept open. */
const LONGEST_WAIT_MS = 30_000;

export function createUpstream(settings: UpstreamSettings): Upstream {
  const { connectTimeout, tunnels } = settings;
  const { address: target, basePath } = settings.target;
  const tls = settings.tls && fetchTls(settings.tls);
  const origin = originOf(target);
  /** That of a tunnel changes with its connectors; none is used twice, so that those who are to leave are soon left. */
  const socketPath = () =>
    target.kind === "tunnel"
      ? tunnels.sockets.pathOf(target)
      : target.kind === "unix"
        ? target.path
        : undefined;
  const direct = {
    ...(target.kind === "unix" ? { unix: target.path } : {}),
    ...(tls === undefined ? {} : { tls }),
  };
  /**
   * `fetch` does not tell when it is connected. An exchange that has waited for half the time a connection may take
   * makes a connection of its own to see whether the server takes any; one such probe serves all that wait.
   */
  const wait = Math.min(connectTimeout / 2, LONGEST_WAIT_MS);
  const lists = {
    slow: createDeadlines(SLOW_MS, settings.clock),
    probe: createDeadlines(Math.max(0, wait - SLOW_MS), settings.clock),
    response: createDeadlines(settings.responseTimeout - SLOW_MS, settings.clock),
    moment: createDeadlines(MOMENT_MS, settings.clock),
  };
  /** How many have come from this server: one that answers others is there, however long it takes for this one. */
  let heads = 0;
  let probing: Promise<boolean> | undefined;

  return {
    where: describeTarget(target) + basePath,
    origin: origin + basePath,
    get webSocketOrigin() {
      const path = socketPath();
      return (path === undefined ? origin.replace(/^http/, "ws") : `ws+unix://${path}:`) + basePath;
    },
    get connection() {
      return target.kind === "tunnel" ? { unix: tunnels.sockets.pathOf(target), keepalive: false } : direct;
    },
    tls,
    twice: target.kind === "tunnel",
    async away() {
      if (target.kind !== "tunnel" || tunnels.sockets.isUp(target)) return undefined;
      return { since: await tunnels.seenAt(target.name) };
    },
    name: settings.name,
    toUpstream: createToUpstream(settings.name, settings.telling),

    await(expired, slow) {
      let settled = false;
      let connect: Deadline | undefined;
      let response: Deadline | undefined;

      const begun = deadline(() => {
        const before = heads;
        connect = deadline(() => {
          probing ??= probe(target, socketPath(), connectTimeout - wait).finally(() => {
            probing = undefined;
          });
          void probing.then((yes) => {
            if (!yes && heads === before && settle()) expired("connect");
          });
        });
        response = deadline(() => settle() && expired("response"));
        lists.probe.add(connect);
        lists.response.add(response);
        slow();
      });

      function settle(): boolean {
        if (settled) return false;
        settled = true;
        lists.slow.remove(begun);
        if (connect !== undefined) lists.probe.remove(connect);
        if (response !== undefined) lists.response.remove(response);
        return true;
      }

      lists.slow.add(begun);
      return {
        answered() {
          heads++;
          settle();
        },
        settle,
        moved() {
          if (settled || response === undefined) return;
          lists.response.remove(response);
          lists.response.add(response);
        },
      };
    },

    soon(promise) {
      return new Promise((resolve) => {
        const late = deadline(() => resolve(undefined));
        lists.moment.add(late);
        promise.then(resolve, () => resolve(undefined)).finally(() => lists.moment.remove(late));
      });
    },

    stop() {
      for (const list of Object.values(lists)) list.stop();
    },
  };
}

/** As `fetch` and `WebSocket` take it. */
export function fetchTls({
  ca,
  serverName,
  clientCert,
  clientKey,
  verify,
}: TargetTls): BunFetchRequestInitTLS {
  return {
    rejectUnauthorized: verify,
    ...(ca === undefined ? {} : { ca }),
    ...(serverName === undefined ? {} : { serverName }),
    ...(clientCert === undefined ? {} : { cert: clientCert }),
    ...(clientKey === undefined ? {} : { key: clientKey }),
  };
}

/** Whether the server accepts a connection within `timeoutMs`; refusing one at once counts as an answer, for `fetch` to report. */
async function probe(target: TargetAddress, path: string | undefined, timeoutMs: number): Promise<boolean> {
  // Seldom asked for, and long to load.
  const { connect } = await import("node:net");
  return new Promise((resolve) => {
    const socket =
      target.kind === "tcp"
        ? connect({ host: target.hostname, port: target.port })
        : connect({ path: path ?? "" });
    const done = (answer: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(() => done(false), timeoutMs);
    socket.once("connect", () => done(true));
    socket.once("error", () => done(true));
  });
}
