import type { Application } from "../access/application.ts";
import type { Principal } from "../access/principal.ts";
import type { Options } from "../config/types.ts";
import { failure } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import type { Logger } from "../observe/log.ts";
import type { LiveConnections } from "../session/live.ts";
import { type BodyEnd, collect, passOn, passUp } from "./body.ts";
import { isEventStream, openEarly } from "./events.ts";
import { reasonOf, upstreamFailed } from "./failure.ts";
import { fromUpstream, toUpstream } from "./headers.ts";
import type { Upstream, UpstreamDelay } from "./upstream.ts";

/** HTTP to the application and back (SPEC section 7). Who may is decided before anything gets here. */
export type Forward = (
  arrival: Arrival,
  principal: Principal,
  /** Path as the application gets it, in normal form. */
  path: string,
  /** Called once, when the response has been handed over or its body has come to its end. */
  finished: (status: number, end: BodyEnd | { readonly bytes: number | undefined }) => void,
) => Promise<Response>;

export type ForwardSettings = Pick<Options, "streamResponses" | "maxBody"> & {
  readonly application: Application;
  readonly upstream: Upstream;
  readonly live: LiveConnections;
  /** Cookie names the application may not set. */
  readonly ownCookies: ReadonlySet<string>;
  readonly log: Logger;
};

/**
 * A body of at most this many bytes, of a known length, is returned as `fetch` gave it: watching a stream costs half as
 * much again as the whole exchange, and bodies this small have mostly arrived with their head.
 */
const UNWATCHED = 64 * 1024;
/** With `RUNEGATE_STREAM_RESPONSES=false`, what is collected before it is sent. */
const COLLECTED = 2 * 1024 * 1024;

export function createForward(settings: ForwardSettings): Forward {
  const { application, upstream, live, ownCookies, maxBody, log } = settings;

  return async (arrival, principal, path, finished) => {
    const { request, method } = arrival;
    const { headers } = request;
    const refused = refuseBody(arrival);
    if (refused !== undefined) {
      finished(refused.status, { bytes: undefined });
      return refused;
    }
    if (method === "GET" || method === "HEAD") headers.delete("content-length");
    toUpstream(headers, {
      client: arrival.client,
      cookie: arrival.cookies.rest,
      principal: application.identityHeaders ? principal : undefined,
    });
    // `fetch` would otherwise name itself to the application.
    if (!headers.has("user-agent")) headers.set("user-agent", "");

    const abort = new AbortController();
    const leave = () => abort.abort();
    request.signal.addEventListener("abort", leave, { once: true });
    let delay: UpstreamDelay | undefined;
    const waiting = upstream.await((what) => {
      delay = what;
      abort.abort();
    });
    let sent = 0;
    let tooLarge = false;
    const moved = (bytes: number) => {
      waiting.moved();
      sent += bytes;
      if (maxBody === undefined || sent <= maxBody) return;
      tooLarge = true;
      abort.abort();
    };

    let response: Response;
    try {
      response = await fetch(upstream.origin + path + arrival.target.search, {
        method,
        headers,
        body: request.body === null ? null : passUp(request.body, moved),
        signal: abort.signal,
        redirect: "manual",
        decompress: false,
        proxy: false,
        timeout: false,
        ...(upstream.unix === undefined ? {} : { unix: upstream.unix }),
      } as RequestInit);
    } catch (error) {
      waiting.settle();
      const answer = whenFailed(arrival, error, delay, tooLarge);
      finished(answer.status, { bytes: undefined, ...(request.signal.aborted ? { left: true } : {}) });
      return answer;
    }
    waiting.settle();
    if (response.status < 200 || response.status > 599) {
      abort.abort();
      const answer = whenFailed(arrival, new Error(`status ${response.status}`), undefined, false);
      finished(answer.status, { bytes: undefined });
      return answer;
    }
    fromUpstream(response.headers, ownCookies);
    return handOver(arrival, principal, path, response, abort, finished);
  };

  /** What cannot be forwarded as it is, so that no application waits for a body that does not come. */
  function refuseBody({ request, method, id }: Arrival): Response | undefined {
    if (method === "TRACE" || method === "CONNECT") {
      return failure(
        { request, id },
        {
          status: 405,
          error: "method_not_allowed",
          title: "Not possible here",
          message: `${method} is not passed on.`,
          headers: [["Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"]],
        },
      );
    }
    const length = request.headers.get("content-length");
    // Sent twice, it arrives as a list: `Bun.serve` has seen that the values agree, an application might not.
    if (length !== null && !/^[0-9]+$/.test(length)) {
      return failure(
        { request, id },
        {
          status: 400,
          error: "bad_request",
          title: "This request cannot be understood",
          message: "It says its length more than once.",
        },
      );
    }
    if (maxBody !== undefined && length !== null && Number(length) > maxBody) {
      return bodyTooLarge({ request, id });
    }
    const hasBody =
      (length !== null && Number(length) > 0) || request.headers.get("transfer-encoding") !== null;
    if (hasBody && (method === "GET" || method === "HEAD")) {
      return failure(
        { request, id },
        {
          status: 400,
          error: "bad_request",
          title: "This request cannot be passed on",
          message: `A ${method} request with a body is not passed on. Send the body with POST.`,
        },
      );
    }
    return undefined;
  }

  function whenFailed(
    arrival: Arrival,
    error: unknown,
    delay: UpstreamDelay | undefined,
    tooLarge: boolean,
  ): Response {
    if (arrival.request.signal.aborted) return new Response(null, { status: 499 });
    if (tooLarge) return bodyTooLarge(arrival);
    const reason = delay === undefined ? reasonOf(error) : `${delay} timeout`;
    log.warn("the application did not answer", { reason, path: arrival.target.path, id: arrival.id });
    return upstreamFailed(arrival, delay);
  }

  async function handOver(
    arrival: Arrival,
    principal: Principal,
    path: string,
    response: Response,
    abort: AbortController,
    finished: Parameters<Forward>[3],
  ): Promise<Response> {
    const { status, headers, body } = response;
    const length = headers.get("content-length");
    // To a body that is no stream of ours, `Bun.serve` adds a type if there is none or an empty one.
    const typed = (headers.get("content-type") ?? "") !== "";
    if (body === null) {
      // To a HEAD without it, `Bun.serve` would add a length of 0.
      if (arrival.method === "HEAD" && length === null && status !== 204 && status !== 304) {
        headers.set("transfer-encoding", "chunked");
      }
      finished(status, { bytes: 0 });
      return response;
    }
    if (length !== null && Number(length) <= UNWATCHED && typed) {
      finished(status, { bytes: Number(length) });
      return response;
    }
    const events = isEventStream(headers);
    const forget = events ? watchEvents(principal, abort) : undefined;
    const ended = (end: BodyEnd) => {
      forget?.();
      if (end.broken !== undefined && !arrival.request.signal.aborted) {
        log.warn("the response broke off", { reason: reasonOf(end.broken), path, id: arrival.id });
      }
      finished(status, end);
    };
    const init = { status, statusText: response.statusText, headers };
    if (events) {
      // In a compressed stream nothing can be said between the events.
      const stream = headers.has("content-encoding") ? body : openEarly(body);
      return new Response(passOn(stream, ended), init);
    }
    if (settings.streamResponses) return new Response(passOn(body, ended), init);
    try {
      const collected = await collect(body, COLLECTED);
      if (collected instanceof ReadableStream) return new Response(passOn(collected, ended), init);
      if (!typed) return new Response(passOn(new Blob([collected]).stream(), ended), init);
      ended({ bytes: collected.byteLength });
      return new Response(collected, init);
    } catch (error) {
      const answer = whenFailed(arrival, error, undefined, false);
      finished(answer.status, { bytes: undefined });
      return answer;
    }
  }

  /** An event stream lives on after the request was allowed, so it ends with the session. */
  function watchEvents(principal: Principal, abort: AbortController): () => void {
    return live.add(principal.sessionId, {
      close: () => abort.abort(new Error("the session has ended")),
      // What the application sends is no use of the session by its user.
      takeUsed: () => false,
    });
  }

  function bodyTooLarge(arrival: Pick<Arrival, "request" | "id">): Response {
    return failure(arrival, {
      status: 413,
      error: "body_too_large",
      title: "Too large",
      message: "What you sent is larger than this server passes on.",
    });
  }
}
