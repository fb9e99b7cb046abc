import type { Admit } from "../access/admit.ts";
import { namesIdentity } from "../access/identity-headers.ts";
import type { Route } from "../access/route.ts";
import { type Routes, routeFor, type Site } from "../access/routes.ts";
import { challengeAnswer, refusal, requestKindOf } from "../challenge/challenge.ts";
import type { Clock } from "../clock.ts";
import { json, whenBroken } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { ACCESS_REFUSED } from "../edge/audit.ts";
import type { Described } from "../edge/described.ts";
import { isPreflight } from "../edge/navigation.ts";
import { mayOpenWebSocket } from "../edge/origin.ts";
import { isBelow, isPlain, placeOf, plainest } from "../edge/target.ts";
import { type Identified, nameOf } from "../identity/principal.ts";
import { isHost, normalHost } from "../net/host.ts";
import { isLoopbackHost } from "../net/loopback.ts";
import type { Audit } from "../observe/audit.ts";
import type { Fields, Logger } from "../observe/logger.ts";
import type { RequestLog } from "../observe/request-log.ts";
import type { Awaitable } from "../store/records.ts";
import { ADAPTERS, type Adapter, PREFIXED } from "./adapters.ts";
import { type AllowedSettings, createAllowed } from "./allowed.ts";
import type { ForwardAuthOptions } from "./options.ts";
import { isSameForHost } from "./same-for-host.ts";

/**
 * Checks: an edge that proxies by itself asks, before each request, whether it may pass. The same decision as for what comes straight
 * to us, in the dialects that edges speak. What cannot be understood is refused.
 */

export type ForwardAuthSettings = AllowedSettings &
  Pick<ForwardAuthOptions, "checkForged"> & {
    readonly baseUrl: string;
    readonly landingPath: string;
    readonly sessionCookieName: string;
    readonly routes: Routes;
    readonly admit: Admit;
    /** What is said where an application is closed for maintenance. */
    readonly closedBecause: (route: Route) => string | undefined;
    readonly clock: Clock;
    readonly audit: Audit;
    readonly requestLog: RequestLog;
    readonly log: Logger;
  };

/** A request as far as it is understood without a look at the host it was sent to, which is not the visitor's. */
export type CheckRequest = Pick<
  Arrival,
  "id" | "request" | "method" | "headers" | "target" | "client" | "cookies" | "startedAt"
>;

export type Check = (asked: CheckRequest) => Awaitable<Response>;

export type ForwardAuth = {
  /**
   * The check that a path is.
   * @param checksAlone whether it came where nothing else is answered.
   */
  find(path: string, checksAlone: boolean): Check | undefined;
};

/** Anybody may bring these about, which must not fill the disk with lines about them. */
const SAY_EVERY_MS = 60_000;

const MOST_HOSTS = 512;
/** With a dot at its end and a port (RFC 1035 §2.3.4). */
const LONGEST_HOST = 260;

export function createForwardAuth(settings: ForwardAuthSettings): ForwardAuth {
  const { routes, admit, clock, audit, log, landingPath } = settings;
  const allowed = createAllowed(settings);
  const base = new URL(settings.baseUrl);
  const scheme = base.protocol === "https:" ? "https" : "http";
  const takesHttp = scheme === "http" || isLoopbackHost(base.hostname);
  const sites = new Map<string, Site | "unknown" | "no host">();
  const nextSaid = new Map<string, number>();
  const checks = new Map<string, Check>(ADAPTERS.map((one) => [one.path, checkBy(one)]));
  const prefixed = checkBy(PREFIXED);

  function warn(message: string, fields: Fields): void {
    const now = clock.monotonic();
    if (now < (nextSaid.get(message) ?? Number.NEGATIVE_INFINITY)) return;
    nextSaid.set(message, now + SAY_EVERY_MS);
    log.warn(message, fields);
  }

  /** By exactly the names that configuration has, and with the port of the base URL where none is said. */
  function siteOf(host: string): Site | "unknown" | "no host" {
    const known = sites.get(host);
    if (known !== undefined) return known;
    const normal = host.length <= LONGEST_HOST && isHost(host) ? normalHost(host, scheme) : undefined;
    const port = base.port === "" || /:\d+$/.test(host) ? "" : `:${base.port}`;
    const site =
      normal === undefined ? "no host" : (routes.siteAt(`${scheme}://${normal}${port}`) ?? "unknown");
    if (sites.size >= MOST_HOSTS) sites.clear();
    if (host.length <= LONGEST_HOST) sites.set(host, site);
    return site;
  }

  function checkBy(adapter: Adapter): Check {
    function answered(asked: CheckRequest, response: Response, about?: Described, user?: string): Response {
      settings.requestLog({
        id: asked.id,
        method: about?.method ?? asked.method,
        path: about?.target.path ?? asked.target.path,
        status: response.status,
        bytes: 0,
        ms: clock.monotonic() - asked.startedAt,
        client: asked.client.ip,
        user,
      });
      return response;
    }

    function refuse(asked: CheckRequest, status: number, error: string, message: string, about?: Described) {
      const body = { error, message, request_id: asked.id };
      const response = adapter.bare ? bareAnswer(status) : json(body, status);
      return answered(asked, response, about);
    }

    function bad(asked: CheckRequest, problem: string): Response {
      const { id, client } = asked;
      warn("a check that cannot be understood", { edge: adapter.name, problem, peer: client.ip, id });
      return refuse(asked, 400, "bad_check", "The proxy in front does not say what was asked for.");
    }

    function broken(asked: CheckRequest, error: unknown): Response {
      const full = whenBroken(asked, error, log);
      return answered(asked, adapter.bare ? bareAnswer(full.status) : full);
    }

    function carryOut(
      asked: CheckRequest,
      about: Described,
      site: Site,
      route: Route,
      who: Identified,
    ): Response {
      const { request, headers, client } = asked;
      const { method, target, proto } = about;
      const { path } = target;
      // Edges take `Upgrade` out of a check, as a rule.
      const upgrade =
        headers["sec-websocket-key"] !== undefined ||
        headers.upgrade?.toLowerCase() === "websocket" ||
        proto === "wss" ||
        proto === "ws";
      const originAllowed =
        !upgrade || mayOpenWebSocket(request.headers, route.webSocketOrigins ?? new Set([site.origin]));
      const preflight = method === "OPTIONS" && isPreflight(request.headers);
      const because = settings.closedBecause(route);
      const closed = because !== undefined;
      const now = clock.now();
      const verdict = admit.decide({
        ...{ route, who, method, path, upgrade, originAllowed, preflight, closed, now },
      });
      const user = who === undefined || who === "refused" ? undefined : nameOf(who);
      if (log.enabled("debug")) {
        const fields = { verdict: verdict.verdict, upgrade, path, client: client.ip, id: asked.id };
        log.debug("decided for an edge", { edge: adapter.name, ...fields });
      }
      if (verdict.verdict === "allow") {
        const mayKeep =
          adapter.bare &&
          headers["x-runegate-cache"] === "host" &&
          isSameForHost(asked, site, route, verdict.principal, settings.sessionCookieName);
        const response = allowed(asked, route, verdict.principal, mayKeep ? "max-age=2" : "no-store");
        return answered(asked, response, about, user);
      }
      const wanted = { ...asked, method, target };
      if (verdict.verdict === "refuse") {
        const { reason } = verdict;
        if (!adapter.second) audit(ACCESS_REFUSED, { client: client.ip, reason, path });
        // nginx makes 500 of any other status, and asks for the right one itself.
        const response = adapter.bare
          ? bareAnswer(403)
          : refusal(wanted, reason, { methods: route.methods, closed: because });
        return answered(asked, response, about, user);
      }
      if (adapter.bare) return answered(asked, bareAnswer(401), about, user);
      const { refused, again } = verdict;
      const kind = refused ? "other" : requestKindOf(asked, upgrade);
      const signIn = { origin: site.origin, landingPath, before: site.origin, again };
      return answered(asked, challengeAnswer(wanted, kind, signIn), about, user);
    }

    function check(asked: CheckRequest): Awaitable<Response> {
      const { headers, client, method } = asked;
      if (!client.peerTrusted) {
        warn("a check from a peer that RUNEGATE_TRUSTED_PROXIES does not have", { peer: client.ip });
        const message = "Checks are answered to trusted proxies only.";
        return answered(asked, json({ error: "untrusted_peer", message, request_id: asked.id }, 401));
      }
      if (adapter.second && method !== "GET" && method !== "HEAD") {
        return refuse(asked, 405, "method_not_allowed", "This address answers GET, HEAD only.");
      }
      const length = headers["content-length"];
      if ((length !== undefined && length !== "0") || headers["transfer-encoding"] !== undefined) {
        return bad(asked, "it has a body");
      }
      const about = adapter.describe(asked);
      if (typeof about === "string") return bad(asked, about);
      if (adapter.namesProto && !takesHttp && (about.proto === "http" || about.proto === "ws")) {
        return bad(asked, `X-Forwarded-Proto is ${about.proto}, and the base URL is https`);
      }
      const site = siteOf(about.host);
      if (site === "no host") return bad(asked, "it names no host, or something that is none");
      const { path } = about.target;
      const route = site === "unknown" || !isApplications(path) ? undefined : routeFor(site, path);
      if (site === "unknown" || route === undefined) {
        const message = "There is no application by this name and path.";
        warn("a check for what is no application", {
          edge: adapter.name,
          host: about.host,
          path,
          id: asked.id,
        });
        return refuse(asked, 403, "unknown_application", message, about);
      }
      if (settings.checkForged === "refuse") {
        for (const name in headers) {
          if (!namesIdentity(name, route)) continue;
          audit(ACCESS_REFUSED, { client: client.ip, reason: "identity_forged", path });
          warn("a check says itself who is asking", { edge: adapter.name, header: name, id: asked.id });
          return refuse(asked, 400, "identity_forged", "A request may not say who it is from.", about);
        }
      }
      const who = admit.identify(route, asked);
      return who instanceof Promise
        ? who.then((later) => carryOut(asked, about, site, route, later))
        : carryOut(asked, about, site, route, who);
    }

    // Not an asynchronous function: with a store that answers at once, each turn of the event loop would cost a tenth of the whole.
    return (asked) => {
      try {
        const answer = check(asked);
        return answer instanceof Promise ? answer.catch((error: unknown) => broken(asked, error)) : answer;
      } catch (error) {
        return broken(asked, error);
      }
    };
  }

  return {
    find(path, checksAlone) {
      const check = checks.get(path);
      if (check !== undefined || !checksAlone) return check;
      return isBelow(path, PREFIXED.path) ? prefixed : undefined;
    },
  };
}

/** Whether a path, in the visitor's spelling, could be none of Runegate's own. */
function isApplications(path: string): boolean {
  if (placeOf(path) !== "application") return false;
  return isPlain(path) || placeOf(plainest(path)) === "application";
}

function bareAnswer(status: number): Response {
  return new Response(null, { status, headers: { "Cache-Control": "no-store" } });
}
