import { connect as connectTcp } from "node:net";
import type { Clock } from "../clock.ts";
import type { TargetAddress } from "../config/types.ts";
import { createDeadlines, type Deadline, type Deadlines } from "./deadlines.ts";

/** The application's server: where it is, and how long it is waited for. */
export type Upstream = {
  /** Request paths are appended to it; for a unix socket the host in it is a mere name. */
  readonly origin: string;
  readonly webSocketOrigin: string;
  /** Path of the unix socket, for `fetch`. */
  readonly unix: string | undefined;
  /**
   * Starts both clocks of SPEC section 7 for one exchange. Exactly one of the outcomes is told, at most once, unless
   * `settle` comes first.
   * @param slow called once if the answer takes long enough to be waited for by other means.
   */
  await(expired: (what: UpstreamDelay) => void, slow: () => void): Waiting;
  stop(): void;
};

export type UpstreamDelay = "connect" | "response";

/** One exchange whose response head has not come yet. */
export type Waiting = {
  settle(): void;
  /** A piece of the request body has gone: the time for the response begins anew, however long the whole body takes. */
  moved(): void;
};

export type UpstreamSettings = {
  readonly target: TargetAddress;
  readonly connectTimeout: number;
  readonly responseTimeout: number;
  readonly clock: Clock;
};

/** Well below what an idle connection to the browser may last, since it is then that it has to be kept open. */
const LONGEST_WAIT_MS = 30_000;

export function createUpstream(settings: UpstreamSettings): Upstream {
  const { target, connectTimeout } = settings;
  /**
   * `fetch` does not tell when it is connected. An exchange that has waited for half the time a connection may take
   * makes a connection of its own to see whether the server takes any; one such probe serves all that wait.
   */
  const wait = Math.min(connectTimeout / 2, LONGEST_WAIT_MS);
  const probeAfter = createDeadlines(wait, settings.clock);
  const responseBy = createDeadlines(settings.responseTimeout, settings.clock);
  let probing: Promise<boolean> | undefined;

  function reachable(): Promise<boolean> {
    probing ??= probe(target, connectTimeout - wait).finally(() => {
      probing = undefined;
    });
    return probing;
  }

  return {
    origin: target.kind === "tcp" ? target.origin : "http://localhost",
    webSocketOrigin:
      target.kind === "tcp" ? target.origin.replace(/^http/, "ws") : `ws+unix://${target.path}:`,
    unix: target.kind === "unix" ? target.path : undefined,

    await(expired, slow) {
      return startWaiting(probeAfter, responseBy, reachable, expired, slow);
    },

    stop() {
      probeAfter.stop();
      responseBy.stop();
    },
  };
}

function startWaiting(
  probeAfter: Deadlines,
  responseBy: Deadlines,
  reachable: () => Promise<boolean>,
  expired: (what: UpstreamDelay) => void,
  slow: () => void,
): Waiting {
  let settled = false;
  const connect: Deadline = {
    addedAt: 0,
    expired() {
      slow();
      void reachable().then((yes) => {
        if (!yes) finish("connect");
      });
    },
  };
  const response: Deadline = { addedAt: 0, expired: () => finish("response") };

  function settle(): boolean {
    if (settled) return false;
    settled = true;
    probeAfter.remove(connect);
    responseBy.remove(response);
    return true;
  }

  function finish(what: UpstreamDelay): void {
    if (settle()) expired(what);
  }

  probeAfter.add(connect);
  responseBy.add(response);
  return {
    settle,
    moved() {
      if (settled) return;
      responseBy.remove(response);
      responseBy.add(response);
    },
  };
}

/** Whether the server accepts a connection within `timeoutMs`; refusing one at once counts as an answer, for `fetch` to report. */
function probe(target: TargetAddress, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket =
      target.kind === "unix"
        ? connectTcp({ path: target.path })
        : connectTcp({ host: target.hostname, port: target.port });
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
