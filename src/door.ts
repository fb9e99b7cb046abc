import type { Server } from "bun";
import type { Admit } from "./access/admit.ts";
import { openBecause } from "./access/decision.ts";
import { loggedName, type Route } from "./access/route.ts";
import { type Routes, routeFor, type Site } from "./access/routes.ts";
import type { Clock } from "./clock.ts";
import { isProbe, type Probes } from "./doctor/probes.ts";
import {
  announcedLength,
  type Failure,
  failure,
  isQuiet,
  NOT_FOUND,
  NOT_UNDERSTOOD,
  whenBroken,
} from "./edge/answer.ts";
import type { Arrival, LookOf } from "./edge/arrival.ts";
import type { ClientReader } from "./edge/client.ts";
import type { CookieReader } from "./edge/cookies.ts";
import type { AnswerOwn } from "./edge/own.ts";
import type { OpenOwnSocket } from "./edge/own-socket.ts";
import type { RootPaths } from "./edge/root-paths.ts";
import { applicationPath, isBelow, parseTarget, placeOf, type Target } from "./edge/target.ts";
import { adapterOf } from "./forward-auth/adapters.ts";
import type { CheckRequest } from "./forward-auth/check.ts";
import type { ForwardAuth } from "./forward-auth/forward-auth.ts";
import { type Identified, loggedAs, type Principal } from "./identity/principal.ts";
import type { NoteImpersonated } from "./impersonation/service.ts";
import type { Answer, Inline, InlineSettings } from "./inline/inline.ts";
import type { RequestCounts } from "./metrics/requests.ts";
import { atMostEvery } from "./observe/at-most-every.ts";
import type { Logger } from "./observe/logger.ts";
import type { RequestLog } from "./observe/request-log.ts";
import { said } from "./pages/language.ts";
import type { Ended } from "./proxy/forward.ts";
import type { TunnelData } from "./proxy/tunnel.ts";
import type { Awaitable } from "./store/records.ts";

/**
 * What every request meets: it is understood once, then goes to one of Runegate's own rooms or to the application. Nothing goes
 * back up. An edge's question about a request of somebody else is answered before all that.
 */
export type DoorSettings = {
  readonly rooms: AnswerOwn;
  /** Paths at the root that the rooms answer: to visitors, and to users what is claimed. */
  readonly rootPaths: RootPaths;
  /** WebSockets of the rooms. */
  readonly sockets: ReadonlyMap<string, OpenOwnSocket>;
  readonly routes: Routes;
  readonly admit: Admit;
  /** The same for the management API, which knows some more proofs. */
  readonly admitToApi: Admit;
  /** Which of Runegate's own paths one at the root stands for; undefined where none does. */
  readonly ownPathOf: ((path: string) => string | undefined) | undefined;
  /** What lies below these is answered by whatever host it is asked. */
  readonly anyHost: readonly string[];
  readonly inline: (log: Pick<InlineSettings, "answered" | "ended">) => Inline;
  readonly forwardAuth: ForwardAuth;
  readonly lookOf: LookOf;
  /** Has ready what the answer takes; undefined where it is. */
  readonly prepare: (asked: CheckRequest) => Promise<unknown> | undefined;
  readonly probes: Pick<Probes, "note">;
  readonly readClient: ClientReader;
  /** The same, where checks alone are answered. */
  readonly readCheckClient: ClientReader;
  /** Whether that is the one place where checks are answered, so that no visitor can ask what only edges may. */
  readonly checksElsewhere: boolean;
  readonly readCookies: CookieReader;
  readonly clock: Clock;
  /** Told of what was asked by somebody in another's name. */
  readonly impersonated: NoteImpersonated;
  readonly requestLog: RequestLog;
  readonly counts: Pick<RequestCounts, "answered">;
  readonly log: Logger;
};

export type Door = {
  enter(request: Request, server: Server<TunnelData>): Awaitable<Response | undefined>;
  /** Answers checks, and nothing else. */
  check(request: Request, server: Server<TunnelData>): Awaitable<Response>;
};

/** Anybody may send two cookies with every request, which must not fill the disk with lines about it. */
const AMBIGUOUS_EVERY_MS = 60_000;

export function createDoor(settings: DoorSettings): Door {
  const {
    rooms,
    rootPaths,
    routes,
    admit,
    anyHost,
    forwardAuth,
    checksElsewhere,
    lookOf,
    clock,
    counts,
    log,
  } = settings;
  const nextId = createIds();
  const isOwn = (target: Target) => rootPaths.get(target.path)?.(target) === true;
  const inline = settings.inline({ answered: logAnswer, ended: logRequest });
  const identify: Arrival["identify"] = (arrival, at) =>
    (at === "api" ? settings.admitToApi : admit).identify(undefined, arrival);
  const mayWarnOfCookies = atMostEvery(AMBIGUOUS_EVERY_MS);

  function logRequest(
    arrival: Arrival,
    status: number,
    who: Principal | undefined,
    route: Route | undefined,
    end?: Ended,
    quiet?: boolean,
    isRefused = false,
  ): void {
    const ms = clock.monotonic() - arrival.startedAt;
    const kind = route === undefined ? "own" : status === 101 ? "websocket" : "http";
    // What WebSockets carry is counted while they do.
    counts.answered(kind, route?.name, status, ms, end?.bytes);
    if (who?.actor !== undefined) {
      const { method, target, client } = arrival;
      settings.impersonated({ who, method, path: target.path, status, isRefused, client: client.ip });
    }
    settings.requestLog({
      id: arrival.id,
      method: arrival.method,
      path: arrival.target.path,
      status,
      bytes: end?.bytes,
      ms,
      client: arrival.client.ip,
      user: who && loggedAs(who),
      route: route && loggedName(route),
      aborted: end !== undefined && ("left" in end || "broken" in end) ? true : undefined,
      quiet,
    });
  }

  function logAnswer(
    arrival: Arrival,
    response: Response,
    who: Principal | undefined,
    route?: Route,
    isRefused?: boolean,
  ): void {
    const bytes = arrival.method === "HEAD" ? 0 : announcedLength(response);
    logRequest(arrival, response.status, who, route, { bytes }, isQuiet(response), isRefused);
  }

  async function toRooms(arrival: Arrival): Promise<Response> {
    const response = await rooms(arrival);
    logAnswer(arrival, response, undefined);
    return response;
  }

  async function toOwnSocket(
    arrival: Arrival,
    open: OpenOwnSocket,
    server: Server<TunnelData>,
  ): Promise<Response | undefined> {
    const response = await open(arrival, server);
    if (response !== undefined) logAnswer(arrival, response, undefined);
    return response;
  }

  /** @param otherwise for whoever shows nothing that could let them in, where that is needed. @throws {StoreUnavailable} */
  function toInline(
    arrival: Arrival,
    site: Site,
    path: string,
    server: Server<TunnelData>,
    otherwise?: (arrival: Arrival) => Answer,
  ): Answer {
    const route = routeFor(site, path);
    if (route === undefined) return otherwise?.(arrival) ?? refuse(arrival, NOT_FOUND);
    const { method } = arrival;
    const go = (who: Identified) =>
      who === undefined && otherwise !== undefined && openBecause({ route, method, path }) === undefined
        ? otherwise(arrival)
        : inline.serve(arrival, route, path, who, server);
    const who = admit.identify(route, arrival);
    return who instanceof Promise ? who.then(go) : go(who);
  }

  function refuse(arrival: Arrival, why: Failure): Response {
    const response = failure(arrival, why);
    logAnswer(arrival, response, undefined);
    return response;
  }

  function route(arrival: Arrival, site: Site | undefined, server: Server<TunnelData>): Answer {
    const { path } = arrival.target;
    if (site === undefined) {
      return anyHost.some((one) => isBelow(path, one)) ? toRooms(arrival) : refuse(arrival, UNKNOWN_HOST);
    }
    const claim = rootPaths.get(path);
    if (claim !== undefined) {
      // Where the application has a page of the same name, it is the application's for those who may see it: also for
      // whoever comes, where it is open to everybody.
      return claim(arrival.target, arrival.origin)
        ? toRooms(arrival)
        : toInline(arrival, site, path, server, toRooms);
    }
    if (placeOf(path) === "own") {
      const open = settings.sockets.get(path);
      return open === undefined ? toRooms(arrival) : toOwnSocket(arrival, open, server);
    }
    const inner = applicationPath(path);
    return inner === undefined ? refuse(arrival, NOT_FOUND) : toInline(arrival, site, inner, server);
  }

  /** @returns the answer to a request that names no host, or something that is none. */
  function understand(
    request: Request,
    server: Server<TunnelData>,
    readClient: ClientReader,
  ): CheckRequest | Response {
    const startedAt = clock.monotonic();
    const headers: Readonly<Record<string, string>> = request.headers.toJSON();
    const { method } = request;
    const id = nextId();
    const sent = parseTarget(request.url);
    const ownPath = sent && settings.ownPathOf?.(sent.path);
    const target = sent && ownPath !== undefined ? { ...sent, path: ownPath } : sent;
    const client = readClient(headers, server.requestIP(request)?.address);
    if (target === undefined || client === undefined) {
      log.debug("refused a request without a usable Host", { id });
      return failure({ request, id, lookOf }, BAD_HOST);
    }
    const cookies = settings.readCookies(headers.cookie ?? null);
    if (log.enabled("trace")) {
      // Names only: values are other people's secrets as often as not.
      const names = Object.keys(headers).join(" ");
      log.trace("arrived", { method, path: target.path, host: client.host, names, id });
    }
    if (cookies.ambiguous && mayWarnOfCookies(startedAt)) {
      log.warn("two cookies of one name", { client: client.ip, id });
    }
    return { id, request, method, headers, target, client, cookies, lookOf, startedAt };
  }

  async function admitted(asked: CheckRequest, server: Server<TunnelData>): Promise<Response | undefined> {
    const site = routes.siteOf(asked.client.host);
    const { origin } = site ?? routes.home;
    const arrival: Arrival = { ...asked, origin, isOwn, identify };
    try {
      return await route(arrival, site, server);
    } catch (error) {
      const response = whenBroken(arrival, error, log);
      logAnswer(arrival, response, undefined);
      return response;
    }
  }

  /** What an operator has sent is noted before it is answered: who has the answer may ask what arrived. */
  async function note(asked: CheckRequest, checksAlone: boolean): Promise<void> {
    const adapter = adapterOf(asked.target.path, checksAlone);
    await settings.probes.note(asked, adapter && { edge: adapter.name, about: adapter.describe(asked) });
  }

  function answer(asked: CheckRequest, server: Server<TunnelData>): Awaitable<Response | undefined> {
    const check = checksElsewhere ? undefined : forwardAuth.find(asked.target.path, false);
    if (check !== undefined) return check(asked);
    const ready = settings.prepare(asked);
    return ready === undefined ? admitted(asked, server) : ready.then(() => admitted(asked, server));
  }

  function answerCheck(asked: CheckRequest): Awaitable<Response> {
    const check = forwardAuth.find(asked.target.path, true);
    return check === undefined ? failure(asked, NO_CHECK) : check(asked);
  }

  return {
    enter(request, server) {
      const asked = understand(request, server, settings.readClient);
      if (asked instanceof Response) return asked;
      if (!isProbe(asked.headers)) return answer(asked, server);
      return note(asked, false).then(() => answer(asked, server));
    },

    check(request, server) {
      const asked = understand(request, server, settings.readCheckClient);
      if (asked instanceof Response) return asked;
      if (!isProbe(asked.headers)) return answerCheck(asked);
      return note(asked, true).then(() => answerCheck(asked));
    },
  };
}

const BAD_HOST = {
  status: 400,
  error: "bad_request",
  title: NOT_UNDERSTOOD,
  message: said("request.host"),
} as const;

const NO_CHECK = {
  status: 400,
  error: "bad_check",
  title: NOT_UNDERSTOOD,
  message: "Checks alone are answered here.",
} as const;

/** RFC 9110 §15.5.20: of several applications, none is the one for whoever asks for none of them. */
const UNKNOWN_HOST = {
  status: 421,
  error: "unknown_host",
  title: said("unknownHost.title"),
  message: said("unknownHost.message"),
} as const;

/** Request ids: short, unlike those of the run before, and cheaper than drawing random ones. */
function createIds(): () => string {
  const run = Math.floor(Math.random() * 36 ** 4).toString(36);
  let count = 0;
  return () => `${run}-${(++count).toString(36)}`;
}
