import type { Server } from "bun";
import type { Elysia } from "elysia";
import type { Application } from "./access/application.ts";
import { answerVerdict } from "./access/challenge.ts";
import { challenge, decide, type Manner } from "./access/decision.ts";
import type { Clock } from "./clock.ts";
import { announcedLength, failure, NOT_FOUND } from "./edge/answer.ts";
import type { Arrival } from "./edge/arrival.ts";
import type { ClientReader } from "./edge/client.ts";
import type { CookieReader } from "./edge/cookies.ts";
import { isNavigation } from "./edge/navigation.ts";
import { mayOpenWebSocket } from "./edge/origin.ts";
import { answerOwn } from "./edge/own.ts";
import type { RootPaths } from "./edge/root-paths.ts";
import { isBelow, parseTarget, placeOf, withoutPrefix } from "./edge/target.ts";
import type { Principal } from "./identity/principal.ts";
import type { Audit } from "./observe/audit.ts";
import type { Logger } from "./observe/logger.ts";
import type { RequestLog } from "./observe/request-log.ts";
import type { Ended, Forward } from "./proxy/forward.ts";
import type { Tunnel, TunnelData } from "./proxy/tunnel.ts";
import type { CloseReason, LiveConnections } from "./session/live.ts";
import type { Found, Sessions } from "./session/session.ts";
import { type Awaitable, StoreUnavailable } from "./store/records.ts";

/**
 * What every request meets: it is understood once, then goes to one of Runegate's own rooms or, if the decision allows, to the
 * application. Nothing goes back up.
 */
export type DoorSettings = {
  readonly rooms: Elysia;
  /** Paths at the root that the rooms answer: to visitors, and to users what is claimed. */
  readonly rootPaths: RootPaths;
  readonly application: Application;
  readonly forward: Forward;
  readonly tunnel: Tunnel;
  readonly sessions: Sessions;
  readonly live: LiveConnections;
  readonly readClient: ClientReader;
  readonly readCookies: CookieReader;
  readonly baseUrl: string;
  readonly landingPath: string;
  /** How long a connection may rest between requests; what goes to the application may rest longer. */
  readonly idleSeconds: number;
  readonly clock: Clock;
  readonly audit: Audit;
  readonly requestLog: RequestLog;
  readonly log: Logger;
};

/** Undefined once the connection is a WebSocket. */
type Answer = Awaitable<Response | undefined>;

export type Door = (request: Request, server: Server<TunnelData>) => Promise<Response | undefined>;

/** Reaches the application with this prefix removed, for paths that Runegate answers itself at the root. */
const PROXY_PREFIX = "/proxy";

export function createDoor(settings: DoorSettings): Door {
  const { rooms, rootPaths, application, sessions, clock, audit, log } = settings;
  const nextId = createIds();

  function logRequest(arrival: Arrival, status: number, user: string | undefined, end?: Ended): void {
    settings.requestLog({
      id: arrival.id,
      method: arrival.method,
      path: arrival.target.path,
      status,
      bytes: end?.bytes,
      ms: clock.monotonic() - arrival.startedAt,
      client: arrival.client.ip,
      user,
      aborted: end !== undefined && ("left" in end || "broken" in end) ? true : undefined,
    });
  }

  function logAnswer(arrival: Arrival, response: Response, user: string | undefined): void {
    const bytes = arrival.method === "HEAD" ? 0 : announcedLength(response);
    logRequest(arrival, response.status, user, { bytes });
  }

  async function toRooms(arrival: Arrival): Promise<Response> {
    const response = await answerOwn(rooms, arrival);
    logAnswer(arrival, response, undefined);
    return response;
  }

  /** Path as the application gets it; undefined if it would be one that no application gets. */
  function applicationPath(path: string): string | undefined {
    if (!isBelow(path, PROXY_PREFIX)) return withOneSlash(path);
    const inner = withoutPrefix(path, PROXY_PREFIX);
    return placeOf(inner) === "application" ? withOneSlash(inner) : undefined;
  }

  /** @throws {StoreUnavailable} */
  function withSession(arrival: Arrival, go: (found: Found | undefined) => Answer): Answer {
    const found = sessions.find(arrival.cookies.sessions);
    // Not awaited needlessly: a memory store answers at once, and every turn of the event loop costs.
    return found instanceof Promise ? found.then(go) : go(found);
  }

  /** Runegate and the application have a page of the same name: whose it is depends on who asks. */
  function toEither(arrival: Arrival, server: Server<TunnelData>): Answer {
    return withSession(arrival, (found) =>
      found === undefined ? toRooms(arrival) : admit(arrival, arrival.target.path, found, server),
    );
  }

  function admit(
    arrival: Arrival,
    path: string,
    found: Found | undefined,
    server: Server<TunnelData>,
  ): Answer {
    const { request, method } = arrival;
    const { headers } = request;
    // Of another method it is an ordinary request that asks for too much (RFC 6455 §4.1).
    const upgrade = method === "GET" && arrival.headers.upgrade?.toLowerCase() === "websocket";
    const verdict = decide({
      application,
      principal: found?.principal,
      // It makes no difference to somebody signed in, and costs.
      manner: upgrade || found === undefined ? mannerOf(arrival, upgrade) : "other",
      repeatable: isRepeatable(method),
      originAllowed: !upgrade || mayOpenWebSocket(headers, application.allowedOrigins),
    });
    if (log.enabled("debug")) {
      log.debug("decided", {
        verdict: verdict.verdict,
        upgrade,
        path,
        client: arrival.client.ip,
        id: arrival.id,
      });
    }
    if (verdict.verdict !== "allow") {
      if (verdict.verdict === "refuse") {
        audit({ event: "access_refused", client: arrival.client.ip, reason: verdict.reason, path });
      }
      const response = answerVerdict(arrival, verdict, settings);
      logAnswer(arrival, response, found?.record.email);
      return response;
    }
    const { principal } = verdict;
    if (upgrade) return upgradeTo(arrival, principal, path, server);
    return settings.forward(arrival, principal, path, {
      finished: (status, end) => logRequest(arrival, status, principal.email, end),
      rest: (long) => server.timeout(request, long ? 0 : settings.idleSeconds),
      ended: (reason) => whenEnded(arrival, reason, false),
    });
  }

  /** For a request that was allowed, and whose session has ended while it waited for the application. */
  function whenEnded(arrival: Arrival, reason: CloseReason, upgrade: boolean): Response {
    if (reason === "unverified") return whenBroken(arrival, new StoreUnavailable(UNVERIFIED), log);
    const facts = { manner: mannerOf(arrival, upgrade), repeatable: isRepeatable(arrival.method) };
    return answerVerdict(arrival, challenge(facts), settings);
  }

  async function upgradeTo(
    arrival: Arrival,
    principal: Principal,
    path: string,
    server: Server<TunnelData>,
  ): Promise<Response | undefined> {
    const { request } = arrival;
    server.timeout(request, 0);
    const closed = () => logRequest(arrival, 101, principal.email);
    const session = new AbortController();
    let ended: CloseReason | undefined;
    const forget = settings.live.add(principal.sessionId, {
      close(reason) {
        ended = reason;
        session.abort();
      },
      endsByItself: true,
      takeUsed: () => false,
    });
    const signal = AbortSignal.any([request.signal, session.signal]);
    const answer = await settings.tunnel
      .open(server, arrival, principal, path, signal, closed)
      .finally(forget);
    if (answer === undefined) return undefined;
    const response = ended === undefined ? answer : whenEnded(arrival, ended, true);
    server.timeout(request, settings.idleSeconds);
    logAnswer(arrival, response, principal.email);
    return response;
  }

  function route(arrival: Arrival, server: Server<TunnelData>): Answer {
    const { path } = arrival.target;
    const claim = rootPaths.get(path);
    if (claim !== undefined) return claim(arrival.target) ? toRooms(arrival) : toEither(arrival, server);
    const place = placeOf(path);
    if (place === "own") return toRooms(arrival);
    const inner = place === "application" ? applicationPath(path) : undefined;
    if (inner !== undefined) return withSession(arrival, (found) => admit(arrival, inner, found, server));
    const response = failure(arrival, NOT_FOUND);
    logAnswer(arrival, response, undefined);
    return response;
  }

  return async (request, server) => {
    const startedAt = clock.monotonic();
    const headers: Readonly<Record<string, string>> = request.headers.toJSON();
    const id = nextId();
    const target = parseTarget(request.url);
    const client = settings.readClient(headers, server.requestIP(request)?.address);
    if (target === undefined || client === undefined) {
      log.debug("refused a request without a usable Host", { id });
      return failure({ request, id }, BAD_HOST);
    }
    const cookies = settings.readCookies(headers.cookie ?? null);
    const arrival: Arrival = {
      id,
      request,
      method: request.method,
      headers,
      target,
      client,
      cookies,
      startedAt,
    };
    if (log.enabled("trace")) {
      // Names only: values are other people's secrets as often as not.
      const names = Object.keys(headers).join(" ");
      log.trace("arrived", { method: arrival.method, path: target.path, host: client.host, names, id });
    }
    if (cookies.ambiguous) log.warn("two cookies of one name", { client: client.ip, id });
    try {
      return await route(arrival, server);
    } catch (error) {
      const response = whenBroken(arrival, error, log);
      logAnswer(arrival, response, undefined);
      return response;
    }
  };
}

const UNVERIFIED = "The session could not be verified for too long.";

function mannerOf({ request }: Arrival, upgrade: boolean): Manner {
  if (upgrade) return "upgrade";
  return isNavigation(request.headers) ? "navigation" : "other";
}

function isRepeatable(method: string): boolean {
  return method === "GET" || method === "HEAD";
}

/** `fetch` folds leading slashes into one; done here, so that what is decided on is what the application receives. */
function withOneSlash(path: string): string {
  return path.startsWith("//") ? path.replace(/^\/+/, "/") : path;
}

/** What nobody planned for. The visitor gets a number to quote; the log gets the reason. */
export function whenBroken(arrival: Pick<Arrival, "request" | "id">, error: unknown, log: Logger): Response {
  if (error instanceof StoreUnavailable) {
    log.error("the store cannot be reached", { reason: error.message, id: arrival.id });
    return failure(arrival, {
      status: 503,
      error: error.code,
      title: "Not available right now",
      message:
        "Runegate cannot check who you are at the moment. Try again in a minute; if the link you have no longer " +
        "works then, ask for a new one.",
      headers: [["Retry-After", "10"]],
    });
  }
  const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
  log.error("a request failed", { reason, id: arrival.id });
  return failure(arrival, {
    status: 500,
    error: "internal",
    title: "Something went wrong",
    message: "That is our fault. Tell the person who runs this server the number below.",
  });
}

const BAD_HOST = {
  status: 400,
  error: "bad_request",
  title: "This request cannot be understood",
  message: "It names no host, or something that is none.",
} as const;

/** Request ids: short, unlike those of the run before, and cheaper than drawing random ones. */
function createIds(): () => string {
  const run = Math.floor(Math.random() * 36 ** 4).toString(36);
  let count = 0;
  return () => `${run}-${(++count).toString(36)}`;
}
