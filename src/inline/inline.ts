import type { Server } from "bun";
import type { Admit } from "../access/admit.ts";
import type { CloseReason, LiveConnections } from "../access/live.ts";
import type { Route } from "../access/route.ts";
import { challengeAnswer, type RequestKind, refusal, requestKindOf } from "../challenge/challenge.ts";
import type { Clock } from "../clock.ts";
import { failure, NOT_FOUND, redirect, whenBroken } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { ACCESS_REFUSED, refusedOf } from "../edge/audit.ts";
import { isPreflight } from "../edge/navigation.ts";
import { mayOpenWebSocket } from "../edge/origin.ts";
import type { SignIn } from "../edge/sign-in.ts";
import { withoutPrefix } from "../edge/target.ts";
import { type Identified, isPrincipal, type Principal } from "../identity/principal.ts";
import type { KeptPostDesk } from "../kept-post/desk.ts";
import type { Audit } from "../observe/audit.ts";
import type { Logger } from "../observe/logger.ts";
import type { Application } from "../proxy/application.ts";
import type { Ended, ForwardHooks } from "../proxy/forward.ts";
import type { Tunnel, TunnelData } from "../proxy/tunnel.ts";
import { agentOf } from "../session/device.ts";
import { type Awaitable, StoreUnavailable } from "../store/records.ts";

/** Requests for the application that come straight to us: asks whether they may, and carries the verdict out. */

export type InlineSettings = {
  readonly signIn: SignIn;
  readonly keptPosts: Pick<KeptPostDesk, "challenge" | "substitute">;
  readonly landingPath: string;
  readonly admit: Admit;
  /** Without those that another proxy passes on. */
  readonly applications: ReadonlyMap<Route, Application>;
  readonly tunnel: Tunnel;
  /** What is said where an application is closed for maintenance. */
  readonly closedBecause: (route: Route) => string | undefined;
  /** Whether somebody who may not use it may ask to. */
  readonly mayAsk: (route: Route, who: Principal) => boolean;
  readonly clock: Clock;
  readonly live: LiveConnections;
  /** How long a connection may rest between requests, in seconds; what goes to the application may rest longer. */
  readonly idleSeconds: number;
  readonly audit: Audit;
  readonly log: Logger;
  /** Called once for each request, when it has been answered. */
  readonly answered: (
    arrival: Arrival,
    response: Response,
    who: Principal | undefined,
    route: Route,
    isRefused?: boolean,
  ) => void;
  /** The same for what ends later than it is answered. */
  readonly ended: (
    arrival: Arrival,
    status: number,
    who: Principal | undefined,
    route: Route,
    end?: Ended,
  ) => void;
};

/** Undefined once the connection is a WebSocket. */
export type Answer = Awaitable<Response | undefined>;

export type Inline = {
  /** @param path in normal form, as the browser sees it. */
  serve(arrival: Arrival, route: Route, path: string, who: Identified, server: Server<TunnelData>): Answer;
};

export function createInline(settings: InlineSettings): Inline {
  const { admit, applications, audit, clock, log, answered, ended } = settings;

  function serve(
    arrival: Arrival,
    route: Route,
    path: string,
    who: Identified,
    server: Server<TunnelData>,
  ): Answer {
    const { request, method } = arrival;
    // Of another method it is an ordinary request that asks for too much (RFC 6455 §4.1).
    const upgrade = method === "GET" && arrival.headers.upgrade?.toLowerCase() === "websocket";
    const originAllowed =
      !upgrade || mayOpenWebSocket(request.headers, route.webSocketOrigins ?? new Set([arrival.origin]));
    const preflight = method === "OPTIONS" && isPreflight(request.headers);
    const closed = settings.closedBecause(route);
    const now = clock.now();
    const verdict = admit.decide({
      route,
      who,
      method,
      headers: arrival.headers,
      client: arrival.client,
      path,
      upgrade,
      originAllowed,
      preflight,
      closed: closed !== undefined,
      now,
    });
    if (log.enabled("debug")) {
      const about = { verdict: verdict.verdict, upgrade, path, client: arrival.client.ip, id: arrival.id };
      log.debug("decided", about);
    }
    if (verdict.verdict === "allow") {
      const { principal } = verdict;
      const application = applications.get(route);
      if (application === undefined) return notHere(arrival, principal, route);
      if (route.stripPath && path === route.path && (method === "GET" || method === "HEAD")) {
        // Relative links on its first page would otherwise lead beside it.
        const response = redirect(308, `${path}/${arrival.target.search}`);
        answered(arrival, response, principal, route);
        return response;
      }
      const inner = route.stripPath ? withoutPrefix(path, route.path) : path;
      if (upgrade) return upgradeTo(arrival, application, principal, inner, server);
      const hooks: ForwardHooks = {
        finished: (status, end) => ended(arrival, status, principal, route, end),
        rest: (long) => server.timeout(request, long ? 0 : settings.idleSeconds),
        ended: (reason) => whenEnded(arrival, reason, false),
      };
      const substituted = settings.keptPosts.substitute(arrival, principal);
      if (substituted === undefined) return application.forward(arrival, principal, inner, hooks);
      return substituted.then((what) => {
        if (!(what instanceof Response)) return application.forward(what, principal, inner, hooks);
        answered(arrival, what, principal, route);
        return what;
      });
    }
    const user = isPrincipal(who) ? who : undefined;
    if (verdict.verdict === "challenge" && !verdict.refused) {
      const kept = settings.keptPosts.challenge(arrival, user, verdict.again);
      if (kept !== undefined) {
        return kept.then((sent) => {
          answered(arrival, sent, user, route);
          return sent;
        });
      }
    }
    let response: Response;
    if (verdict.verdict === "refuse") {
      const { client, headers, id } = arrival;
      audit(ACCESS_REFUSED, {
        ...{ client: client.ip, reason: verdict.reason, path, route: route.name, host: client.host },
        ...{ agent: agentOf(headers["user-agent"]), request: id, ...refusedOf(user) },
      });
      const mayAsk = verdict.reason === "not_allowed" && user !== undefined && settings.mayAsk(route, user);
      response = refusal(arrival, verdict, { ...route, closed, mayAsk, method, who });
    } else {
      const kind = verdict.refused ? "other" : requestKindOf(arrival, upgrade);
      response = challenge(arrival, kind, verdict.again);
    }
    answered(arrival, response, user, route, true);
    return response;
  }

  function challenge(arrival: Arrival, kind: RequestKind, again = false): Response {
    const { landingPath } = settings;
    return challengeAnswer(arrival, kind, {
      ...{ origin: arrival.origin, landingPath },
      send: (status, next) => settings.signIn(arrival, status, next, again),
    });
  }

  /** For an application that is not reached this way. */
  function notHere(arrival: Arrival, principal: Principal | undefined, route: Route): Response {
    const response = failure(arrival, NOT_FOUND);
    answered(arrival, response, principal, route);
    return response;
  }

  /** For a request that was allowed, and whose proof has ended while it waited for the application. */
  function whenEnded(arrival: Arrival, reason: CloseReason, upgrade: boolean): Response {
    if (reason === "unverified") return whenBroken(arrival, new StoreUnavailable(UNVERIFIED), log);
    return challenge(arrival, requestKindOf(arrival, upgrade), false);
  }

  async function upgradeTo(
    arrival: Arrival,
    application: Application,
    principal: Principal | undefined,
    path: string,
    server: Server<TunnelData>,
  ): Promise<Response | undefined> {
    const { request } = arrival;
    server.timeout(request, 0);
    const gone = new AbortController();
    let reason: CloseReason | undefined;
    const forget =
      principal &&
      settings.live.add(principal, application.route.name, {
        close(why) {
          reason = why;
          gone.abort();
        },
        endsByItself: true,
        takeUsed: () => false,
      });
    const signal = AbortSignal.any([request.signal, gone.signal]);
    const answer = await settings.tunnel
      .open(server, arrival, application, principal, path, signal, () =>
        ended(arrival, 101, principal, application.route),
      )
      .finally(() => forget?.());
    if (answer === undefined) return undefined;
    const response = reason === undefined ? answer : whenEnded(arrival, reason, true);
    server.timeout(request, settings.idleSeconds);
    answered(arrival, response, principal, application.route);
    return response;
  }

  return { serve };
}

const UNVERIFIED = "The session could not be verified for too long.";
