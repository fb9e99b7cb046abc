import type { Admit } from "../access/admit.ts";
import { namesIdentity } from "../access/identity-headers.ts";
import { loggedName, type Route } from "../access/route.ts";
import { routeFor, type Site } from "../access/routes.ts";
import { challengeAnswer, refusal, requestKindOf } from "../challenge/challenge.ts";
import type { Clock } from "../clock.ts";
import { type ExtraHeaders, json, redirect, whenBroken } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { ACCESS_REFUSED, refusedOf } from "../edge/audit.ts";
import type { Described } from "../edge/described.ts";
import { isPreflight } from "../edge/navigation.ts";
import { mayOpenWebSocket } from "../edge/origin.ts";
import { isApplications } from "../edge/target.ts";
import { type Identified, isPrincipal, loggedAs, type Principal } from "../identity/principal.ts";
import type { NoteImpersonated } from "../impersonation/service.ts";
import type { CheckVerdict, RequestCounts } from "../metrics/requests.ts";
import type { Audit } from "../observe/audit.ts";
import type { Fields, Logger } from "../observe/logger.ts";
import type { RequestLog } from "../observe/request-log.ts";
import { loginHref } from "../pages/paths.ts";
import type { Awaitable } from "../store/records.ts";
import type { Adapter } from "./adapters.ts";
import type { Allowed } from "./allowed.ts";
import type { SiteNamed } from "./named-sites.ts";
import type { ForwardAuthOptions } from "./options.ts";
import { isSameForHost } from "./same-for-host.ts";

/** One edge's question about a request, and the answer to it. What cannot be understood is refused. */

/** A request as far as it is understood without a look at the host it was sent to, which is not the visitor's. */
export type CheckRequest = Pick<
  Arrival,
  "id" | "request" | "method" | "headers" | "target" | "client" | "cookies" | "lookOf" | "startedAt"
>;

export type Check = (asked: CheckRequest) => Awaitable<Response>;

export type CheckSettings = Pick<ForwardAuthOptions, "checkForged"> & {
  readonly landingPath: string;
  readonly sessionCookieName: string;
  readonly siteNamed: SiteNamed;
  /** Whether a visitor may have come to the edge by plain http. */
  readonly takesHttp: boolean;
  readonly admit: Admit;
  /** What is said where an application is closed for maintenance. */
  readonly closedBecause: (route: Route) => string | undefined;
  /** Whether somebody who may not use it may ask to. */
  readonly mayAsk: (route: Route, who: Principal) => boolean;
  readonly allowed: Allowed;
  readonly clock: Clock;
  readonly audit: Audit;
  /** Told of what was asked by somebody in another's name. */
  readonly impersonated: NoteImpersonated;
  readonly requestLog: RequestLog;
  readonly counts: Pick<RequestCounts, "answered" | "checks">;
  readonly log: Logger;
  /** Says a thing once a minute at most: anybody may bring it about, again and again. */
  readonly warn: (message: string, fields: Fields) => void;
};

/** What was asked for, and whose it is. */
type Wanted = { readonly about: Described; readonly site: Site; readonly route: Route };

export function createCheck(adapter: Adapter, settings: CheckSettings): Check {
  const { admit, warn } = settings;
  const edge = adapter.name;
  const verdicts = settings.counts.checks(edge);

  function answered(
    asked: CheckRequest,
    response: Response,
    verdict: CheckVerdict,
    about?: Described,
    who?: Principal,
    route?: Route,
  ): Response {
    const { method, target } = about ?? asked;
    const { status } = response;
    const ms = settings.clock.monotonic() - asked.startedAt;
    verdicts[verdict].value++;
    settings.counts.answered("check", route?.name, status, ms);
    if (who?.actor !== undefined && !adapter.second) {
      const isRefused = verdict === "refuse";
      settings.impersonated({ who, method, path: target.path, status, isRefused, client: asked.client.ip });
    }
    settings.requestLog({
      id: asked.id,
      method,
      path: target.path,
      status,
      bytes: 0,
      ms,
      client: asked.client.ip,
      user: who && loggedAs(who),
      route: route && loggedName(route),
    });
    return response;
  }

  function refuse(
    asked: CheckRequest,
    [status, error, message, headers]: readonly [number, string, string, ExtraHeaders?],
    about?: Described,
  ): Response {
    const response =
      adapter.bare && status !== 401
        ? bareAnswer(status)
        : json({ error, message, request_id: asked.id }, status, headers);
    return answered(asked, response, "invalid", about);
  }

  function bad(asked: CheckRequest, problem: string): Response {
    warn("a check that cannot be understood", { edge, problem, peer: asked.client.ip, id: asked.id });
    return refuse(asked, BAD_CHECK);
  }

  /** Whose it is, or the answer to what is nobody's or may not be asked. */
  function understand(asked: CheckRequest): Wanted | Response {
    const { headers, client, method, id } = asked;
    if (!client.peerTrusted) {
      warn("a check from a peer that RUNEGATE_TRUSTED_PROXIES does not have", { peer: client.ip });
      return refuse(asked, UNTRUSTED_PEER);
    }
    if (adapter.second && method !== "GET" && method !== "HEAD") return refuse(asked, GET_ONLY);
    const length = headers["content-length"];
    if ((length !== undefined && length !== "0") || headers["transfer-encoding"] !== undefined) {
      return bad(asked, "it has a body");
    }
    const about = adapter.describe(asked);
    if (typeof about === "string") return bad(asked, about);
    const isPlainHttp = about.proto === "http" || about.proto === "ws";
    if (adapter.namesProto && isPlainHttp && !settings.takesHttp) {
      return bad(asked, `X-Forwarded-Proto is ${about.proto}, and the base URL is https`);
    }
    const site = settings.siteNamed(about.host);
    if (site === "no host") return bad(asked, "it names no host, or something that is none");
    // A page of one application may ask here too, where an edge lets it, and gets nothing that is meant for another: the edge
    // says what host it was asked for with every request.
    const asking = settings.siteNamed(client.host);
    if (typeof asking !== "string" && asking !== site) {
      return bad(asked, `it came for ${client.host}, and asks about ${about.host}`);
    }
    const { path } = about.target;
    const route = site === "unknown" || !isApplications(path) ? undefined : routeFor(site, path);
    if (site === "unknown" || route === undefined) {
      warn("a check for what is no application", { edge, host: about.host, path, id });
      return refuse(asked, UNKNOWN_APPLICATION, about);
    }
    const forged = settings.checkForged === "refuse" ? forgedIn(headers, route) : undefined;
    if (forged !== undefined) {
      settings.audit(ACCESS_REFUSED, {
        client: client.ip,
        reason: "identity_forged",
        path,
        ...refusedOf(undefined),
      });
      warn("a check says itself who is asking", { edge, header: forged, id });
      return refuse(asked, IDENTITY_FORGED, about);
    }
    return { about, site, route };
  }

  function carryOut(asked: CheckRequest, { about, site, route }: Wanted, who: Identified): Response {
    const { request, headers, client } = asked;
    const { method, target } = about;
    const { path } = target;
    const upgrade = opensWebSocket(headers, about);
    const originAllowed =
      !upgrade || mayOpenWebSocket(request.headers, route.webSocketOrigins ?? new Set([site.origin]));
    const preflight = method === "OPTIONS" && isPreflight(request.headers);
    const because = settings.closedBecause(route);
    const closed = because !== undefined;
    const now = settings.clock.now();
    const verdict = admit.decide({
      ...{ route, who, method, headers, client, path, upgrade, originAllowed, preflight, closed, now },
    });
    const user = isPrincipal(who) ? who : undefined;
    if (settings.log.enabled("debug")) {
      const fields = { verdict: verdict.verdict, upgrade, path, client: client.ip, id: asked.id };
      settings.log.debug("decided for an edge", { edge, ...fields });
    }
    if (verdict.verdict === "allow") {
      const { principal } = verdict;
      const mayKeep =
        adapter.bare &&
        headers["x-runegate-cache"] === "host" &&
        isSameForHost(asked, site, route, principal, settings.sessionCookieName);
      const response = settings.allowed(asked, route, principal, mayKeep ? "max-age=2" : "no-store");
      return answered(asked, response, "allow", about, user, route);
    }
    if (verdict.verdict === "refuse") {
      const { reason } = verdict;
      if (!adapter.second) {
        const where = { route: route.name, host: client.host, request: asked.id };
        settings.audit(ACCESS_REFUSED, { client: client.ip, reason, path, ...refusedOf(user), ...where });
      }
      // nginx makes 500 of any other status, and asks for the right one itself.
      const response = adapter.bare
        ? bareAnswer(403)
        : refusal({ ...asked, target }, verdict, {
            ...{ ...route, closed: because, method, who },
            mayAsk: reason === "not_allowed" && isPrincipal(who) && settings.mayAsk(route, who),
          });
      return answered(asked, response, "refuse", about, user, route);
    }
    if (adapter.bare) return answered(asked, bareAnswer(401), "challenge", about, user, route);
    const kind = verdict.refused ? "other" : requestKindOf(asked, upgrade);
    const { origin } = site;
    const response = challengeAnswer({ ...asked, method, target }, kind, {
      ...{ origin, landingPath: settings.landingPath },
      // Absolute: an edge would put its own origin before a path.
      send: (status, next) => redirect(status, origin + loginHref(next, verdict.again)),
    });
    return answered(asked, response, "challenge", about, user, route);
  }

  function check(asked: CheckRequest): Awaitable<Response> {
    const wanted = understand(asked);
    if (wanted instanceof Response) return wanted;
    const { headers, cookies, client } = asked;
    const shown = { headers, cookies, client, origin: wanted.site.origin };
    const who = admit.identify(wanted.route, shown);
    return who instanceof Promise
      ? who.then((later) => carryOut(asked, wanted, later))
      : carryOut(asked, wanted, who);
  }

  function broken(asked: CheckRequest, error: unknown): Response {
    const whole = whenBroken(asked, error, settings.log);
    return answered(asked, adapter.bare ? bareAnswer(whole.status) : whole, "failed");
  }

  // No asynchronous function: with a store that answers at once, each turn of the event loop would cost a tenth of the whole.
  return (asked) => {
    try {
      const answer = check(asked);
      return answer instanceof Promise ? answer.catch((error: unknown) => broken(asked, error)) : answer;
    } catch (error) {
      return broken(asked, error);
    }
  };
}

const UNTRUSTED_PEER = [401, "untrusted_peer", "Checks are answered to trusted proxies only."] as const;
const ONLY = "GET, HEAD";
const GET_ONLY = [
  405,
  "method_not_allowed",
  `This address answers ${ONLY} only.`,
  [["Allow", ONLY]],
] as const;
const BAD_CHECK = [400, "bad_check", "The proxy in front does not say what was asked for."] as const;
const UNKNOWN_APPLICATION = [
  403,
  "unknown_application",
  "There is no application by this name and path.",
] as const;
const IDENTITY_FORGED = [400, "identity_forged", "A request may not say who it is from."] as const;

/** The name of a header that says who is asking. */
function forgedIn(headers: Readonly<Record<string, string>>, route: Route): string | undefined {
  for (const name in headers) if (namesIdentity(name, route)) return name;
  return undefined;
}

/** Edges take `Upgrade` out of a check, as a rule. By HTTP/2 it is CONNECT, without a key (RFC 8441 §4). */
function opensWebSocket(headers: Readonly<Record<string, string>>, { method, proto }: Described): boolean {
  return (
    method === "CONNECT" ||
    headers["sec-websocket-key"] !== undefined ||
    headers.upgrade?.toLowerCase() === "websocket" ||
    proto === "wss" ||
    proto === "ws"
  );
}

function bareAnswer(status: number): Response {
  return new Response(null, { status, headers: { "Cache-Control": "no-store" } });
}
