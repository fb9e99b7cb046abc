import type { Server } from "bun";
import type { Admit } from "../access/admit.ts";
import { challengeFor, type RequestKind } from "../access/decision.ts";
import type { CloseReason, LiveConnections } from "../access/live.ts";
import type { Route } from "../access/route.ts";
import { whenBroken } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { ACCESS_REFUSED } from "../edge/audit.ts";
import { isNavigation } from "../edge/navigation.ts";
import { mayOpenWebSocket } from "../edge/origin.ts";
import { type Identified, nameOf, type Principal } from "../identity/principal.ts";
import type { Audit } from "../observe/audit.ts";
import type { Logger } from "../observe/logger.ts";
import type { Ended, Forward } from "../proxy/forward.ts";
import type { Tunnel, TunnelData } from "../proxy/tunnel.ts";
import { type Awaitable, StoreUnavailable } from "../store/records.ts";
import { type ChallengeSettings, challengeAnswer, refusal } from "./challenge.ts";

/** Requests for the application that come straight to us: asks whether they may, and carries the verdict out. */

export type InlineSettings = ChallengeSettings & {
  readonly route: Route;
  readonly admit: Admit;
  readonly forward: Forward;
  readonly tunnel: Tunnel;
  readonly live: LiveConnections;
  /** How long a connection may rest between requests, in seconds; what goes to the application may rest longer. */
  readonly idleSeconds: number;
  readonly audit: Audit;
  readonly log: Logger;
  /** Called once for each request, when it has been answered. */
  readonly answered: (arrival: Arrival, response: Response, user: string | undefined) => void;
  /** The same for what ends later than it is answered. */
  readonly ended: (arrival: Arrival, status: number, user: string, end?: Ended) => void;
};

/** Undefined once the connection is a WebSocket. */
export type Answer = Awaitable<Response | undefined>;

export type Inline = {
  /** Who it is. @throws {StoreUnavailable} */
  identify(arrival: Arrival): Awaitable<Identified>;
  /** @param path as the application gets it, in normal form. */
  serve(arrival: Arrival, path: string, who: Identified, server: Server<TunnelData>): Answer;
};

export function createInline(settings: InlineSettings): Inline {
  const { route, admit, audit, log, answered, ended } = settings;

  function serve(arrival: Arrival, path: string, who: Identified, server: Server<TunnelData>): Answer {
    const { request, method } = arrival;
    // Of another method it is an ordinary request that asks for too much (RFC 6455 §4.1).
    const upgrade = method === "GET" && arrival.headers.upgrade?.toLowerCase() === "websocket";
    const originAllowed = !upgrade || mayOpenWebSocket(request.headers, route.allowedOrigins);
    const verdict = admit.decide(route, who, originAllowed);
    if (log.enabled("debug")) {
      const about = { verdict: verdict.verdict, upgrade, path, client: arrival.client.ip, id: arrival.id };
      log.debug("decided", about);
    }
    if (verdict.verdict === "allow") {
      const { principal } = verdict;
      if (upgrade) return upgradeTo(arrival, principal, path, server);
      return settings.forward(arrival, principal, path, {
        finished: (status, end) => ended(arrival, status, nameOf(principal), end),
        rest: (long) => server.timeout(request, long ? 0 : settings.idleSeconds),
        ended: (reason) => whenEnded(arrival, reason, false),
      });
    }
    let response: Response;
    if (verdict.verdict === "refuse") {
      audit(ACCESS_REFUSED, { client: arrival.client.ip, reason: verdict.reason, path });
      response = refusal(arrival, verdict.reason);
    } else {
      response = challenge(arrival, verdict.refused ? "other" : requestKindOf(arrival, upgrade));
    }
    answered(arrival, response, who === undefined || who === "refused" ? undefined : nameOf(who));
    return response;
  }

  function challenge(arrival: Arrival, kind: RequestKind): Response {
    const repeatable = arrival.method === "GET" || arrival.method === "HEAD";
    return challengeAnswer(arrival, challengeFor(kind, repeatable), settings);
  }

  /** For a request that was allowed, and whose proof has ended while it waited for the application. */
  function whenEnded(arrival: Arrival, reason: CloseReason, upgrade: boolean): Response {
    if (reason === "unverified") return whenBroken(arrival, new StoreUnavailable(UNVERIFIED), log);
    return challenge(arrival, requestKindOf(arrival, upgrade));
  }

  async function upgradeTo(
    arrival: Arrival,
    principal: Principal,
    path: string,
    server: Server<TunnelData>,
  ): Promise<Response | undefined> {
    const { request } = arrival;
    const user = nameOf(principal);
    server.timeout(request, 0);
    const gone = new AbortController();
    let reason: CloseReason | undefined;
    const forget = settings.live.add(principal.proof, {
      close(why) {
        reason = why;
        gone.abort();
      },
      endsByItself: true,
      takeUsed: () => false,
    });
    const signal = AbortSignal.any([request.signal, gone.signal]);
    const answer = await settings.tunnel
      .open(server, arrival, principal, path, signal, () => ended(arrival, 101, user))
      .finally(forget);
    if (answer === undefined) return undefined;
    const response = reason === undefined ? answer : whenEnded(arrival, reason, true);
    server.timeout(request, settings.idleSeconds);
    answered(arrival, response, user);
    return response;
  }

  return { identify: (arrival) => admit.identify(route, arrival), serve };
}

const UNVERIFIED = "The session could not be verified for too long.";

function requestKindOf({ request }: Arrival, upgrade: boolean): RequestKind {
  if (upgrade) return "upgrade";
  return isNavigation(request.headers) ? "navigation" : "other";
}
