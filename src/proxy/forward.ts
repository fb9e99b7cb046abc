import type { CloseReason, LiveConnections } from "../access/live.ts";
import type { Route } from "../access/route.ts";
import type { Clock } from "../clock.ts";
import { announcedLength, failure, NOT_UNDERSTOOD } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { hasBody } from "../edge/body.ts";
import type { Principal } from "../identity/principal.ts";
import type { RouteCounts } from "../metrics/requests.ts";
import type { Logger } from "../observe/logger.ts";
import { KIB, MIB } from "../option/values.ts";
import { said } from "../pages/language.ts";
import { type BodyEnd, collect, passOn, passUp } from "./body.ts";
import { isEventStream, openEarly } from "./events.ts";
import { isUnreachable, reasonOf, upstreamError, upstreamFailed } from "./failure.ts";
import { isFull, roomAgain } from "./full.ts";
import { fromUpstream } from "./headers.ts";
import type { ProxyOptions } from "./options.ts";
import type { Rewriting } from "./rewriting.ts";
import { holderOf, type Targets } from "./targets.ts";
import type { Upstream, UpstreamDelay, Waiting } from "./upstream.ts";

/** HTTP to the application and back (CONTRACT section 7). Who may is decided before anything gets here. */
export type Forward = (
  arrival: Arrival,
  /** Undefined where it is open to whoever comes. */
  principal: Principal | undefined,
  /** Path as the application gets it, in normal form. */
  path: string,
  hooks: ForwardHooks,
) => Promise<Response>;

export type ForwardHooks = {
  /** Called once, when the response is whole or its body has come to its end. */
  finished(status: number, end: Ended): void;
  /**
   * Called with true when the connection to the browser may have to rest for longer than an idle one may, and with false
   * when that is over.
   */
  rest(long: boolean): void;
  /** What the visitor gets whose session ended, or could not be verified, before the response began. */
  ended(reason: CloseReason): Response;
};

/** `bytes` is undefined where nobody counted them. */
export type Ended = BodyEnd | { readonly bytes: number | undefined; readonly left?: true };

export type ForwardSettings = Pick<ProxyOptions, "streamResponses" | "maxBody"> & {
  readonly route: Pick<Route, "name">;
  /** The application's servers. */
  readonly targets: Targets;
  /** What the route changes in headers, if it changes any. */
  readonly rewriting: Rewriting | undefined;
  readonly live: LiveConnections;
  /** Cookie names the application may not set. */
  readonly ownCookies: ReadonlySet<string>;
  readonly counts: RouteCounts;
  readonly clock: Clock;
  readonly log: Logger;
};

/**
 * A body of at most this many bytes, of a known length, goes in one piece if it has arrived with its head, as most do, or
 * comes a moment later: passing on a stream costs half as much again as the whole exchange, and `Content-Length`. It takes
 * no more memory either: to read a stream, Bun sets a buffer of this size aside.
 */
const SMALL = 256 * KIB;
/** With `RUNEGATE_STREAM_RESPONSES=false`, what is collected before it is sent. */
const COLLECTED = 2 * MIB;

/** RFC 9110 §6.4.1: what never has a body, whatever its length says. */
function hasContent({ arrival }: Exchange, status: number): boolean {
  return arrival.method !== "HEAD" && status !== 204 && status !== 205 && status !== 304;
}

/** With these, a body has no meaning (RFC 9110 §9.3.1), and `fetch` drops it. */
function isBodiless(method: string): boolean {
  return method === "GET" || method === "HEAD";
}

const NOT_WAITING: Waiting = { answered() {}, settle() {}, moved() {} };

function initOf({ status, statusText, headers }: Response): ResponseInit {
  return { status, statusText, headers };
}

/** One request on its way. */
type Exchange = {
  readonly arrival: Arrival;
  readonly path: string;
  abort: AbortController;
  /** The server that it is sent to. */
  upstream: Upstream;
  waiting: Waiting;
  /** Of the request body, so far. */
  sent: number;
  readonly hooks: ForwardHooks;
  readonly finish: (status: number, end: Ended) => void;
  /** To be called where it takes longer than most do: it is listed, and the connection kept open. */
  readonly lasts: () => void;
  /** Ends it when the visitor leaves; to be called where nothing else tells. */
  readonly watch: () => void;
  /** What was waited for in vain. */
  delay: UpstreamDelay | undefined;
  tooLarge: boolean;
  /** Whether the response is a stream of events. */
  events: boolean;
  /** Set when it was ended from here, and not by the application. */
  closed: CloseReason | undefined;
};

export function createForward(settings: ForwardSettings): Forward {
  const { route, targets, rewriting, live, ownCookies, maxBody, counts, clock, log } = settings;

  return async (arrival, principal, path, hooks) => {
    const { method } = arrival;
    const refused = refuseBody(arrival);
    if (refused !== undefined) {
      hooks.finished(refused.status, { bytes: announcedLength(refused) });
      return refused;
    }
    const body = isBodiless(method) ? null : arrival.request.body;
    const [first, ...others] = targets.inOrder(holderOf(arrival, principal));
    const exchange = begin(arrival, principal, path, first, hooks);
    counts.passedOn((clock.monotonic() - arrival.startedAt) / 1000);
    for (let full = 1; ; ) {
      try {
        const response = await send(exchange, principal, body);
        if (response.status < 200 || response.status > 599) {
          exchange.abort.abort();
          return failed(exchange, new Error(`status ${response.status}`));
        }
        const { upstream } = exchange;
        const fields = fromUpstream(response.headers, ownCookies, upstream.name, arrival.origin);
        rewriting?.response(response.headers, arrival.origin);
        if (log.enabled("debug")) log.debug("answered", { status: response.status, path, id: arrival.id });
        return handOver(exchange, response, fields);
      } catch (error) {
        if (isFull(error) && (await roomAgain(full++)) && mayGoOn(exchange, error)) continue;
        const next = others.shift();
        if (next === undefined || !mayGoElsewhere(exchange, error)) return failed(exchange, error);
        targets.failed(exchange.upstream);
        exchange.waiting.settle();
        exchange.abort = new AbortController();
        exchange.delay = undefined;
        exchange.upstream = next;
        exchange.waiting = wait(exchange);
      }
    }
  };

  function send(
    exchange: Exchange,
    principal: Principal | undefined,
    body: ReadableStream<Uint8Array> | null,
  ): Promise<Response> {
    const { arrival, upstream, path } = exchange;
    const { method } = arrival;
    const headers = upstream.toUpstream(arrival.headers, {
      client: arrival.client,
      cookie: arrival.cookies.rest,
      principal,
    });
    // Of 0, and `fetch` sends none with these methods.
    if (isBodiless(method) && "content-length" in arrival.headers) headers.delete("content-length");
    rewriting?.request(headers, principal);
    return fetch(upstream.origin + path + arrival.target.search, {
      method,
      headers,
      body: body && passUp(body, counting(exchange)),
      signal: exchange.abort.signal,
      redirect: "manual",
      decompress: false,
      proxy: false,
      timeout: false,
      ...upstream.connection,
    } as RequestInit);
  }

  /** Whether the same server may get it after all, in what time is left. */
  function mayGoOn(exchange: Exchange, error: unknown): boolean {
    return exchange.delay === undefined && mayGoElsewhere(exchange, error);
  }

  /** Whether another server may get it: this one cannot have had it, or may have it twice (RFC 9110 §9.2.2). */
  function mayGoElsewhere({ arrival, closed, delay, sent, tooLarge }: Exchange, error: unknown): boolean {
    if (arrival.request.signal.aborted || closed !== undefined || tooLarge || sent > 0) return false;
    if (delay !== undefined) return delay === "connect";
    return isUnreachable(error) || isBodiless(arrival.method);
  }

  function wait(exchange: Exchange): Waiting {
    return exchange.upstream.await(
      (what) => {
        exchange.delay = what;
        exchange.abort.abort();
      },
      () => {
        exchange.lasts();
        exchange.watch();
      },
    );
  }

  function begin(
    arrival: Arrival,
    principal: Principal | undefined,
    path: string,
    upstream: Upstream,
    hooks: ForwardHooks,
  ): Exchange {
    let forget: (() => void) | undefined;
    const lasts = () => {
      if (forget !== undefined) return;
      // What is open to whoever comes ends with nobody's session.
      forget = principal === undefined ? () => {} : list(principal);
      counts.open.http.value++;
      hooks.rest(true);
    };
    // A session that has ended before is noticed by the next sweep: so most requests, which are answered at once, are
    // never listed.
    const list = (user: Principal) =>
      live.add(user, route.name, {
        close(reason) {
          exchange.closed = reason;
          exchange.abort.abort();
        },
        get endsByItself() {
          return !exchange.events;
        },
        // What comes and goes by itself is no use of the session by its user.
        takeUsed: () => false,
      });
    // Only where it is slow: listening to a request's signal costs as much as the session check, and most answers come
    // sooner. A body that is passed on is told by its stream.
    const watch = () => {
      const { signal } = arrival.request;
      if (signal.aborted) exchange.abort.abort();
      else signal.addEventListener("abort", () => exchange.abort.abort(), { once: true });
    };
    const exchange: Exchange = {
      arrival,
      path,
      abort: new AbortController(),
      upstream,
      waiting: NOT_WAITING,
      sent: 0,
      hooks,
      finish(status, end) {
        if (forget !== undefined) {
          forget();
          counts.open.http.value--;
          hooks.rest(false);
        }
        counts.received.value += exchange.sent;
        hooks.finished(status, end);
      },
      lasts,
      watch,
      delay: undefined,
      tooLarge: false,
      events: false,
      closed: undefined,
    };
    exchange.waiting = wait(exchange);
    return exchange;
  }

  /** Counts a request body as it goes, and ends it where it is too large. */
  function counting(exchange: Exchange): (bytes: number) => void {
    return (bytes) => {
      exchange.waiting.moved();
      exchange.sent += bytes;
      if (maxBody === undefined || exchange.sent <= maxBody) return;
      exchange.tooLarge = true;
      exchange.abort.abort();
    };
  }

  /** What cannot be forwarded as it is, so that no application waits for a body that does not come. */
  function refuseBody(arrival: Arrival): Response | undefined {
    const { method, headers } = arrival;
    if (method === "TRACE" || method === "CONNECT") {
      return failure(arrival, {
        status: 405,
        error: "method_not_allowed",
        title: said("request.methodTitle"),
        message: said("application.methodPassed", { method }),
        headers: [["Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"]],
      });
    }
    const length = headers["content-length"];
    // Sent twice, it arrives as a list: `Bun.serve` has seen that the values agree, an application might not.
    if (length !== undefined && !/^[0-9]+$/.test(length)) {
      return failure(arrival, {
        status: 400,
        error: "bad_request",
        title: NOT_UNDERSTOOD,
        message: said("request.lengths"),
      });
    }
    if (maxBody !== undefined && length !== undefined && Number(length) > maxBody) {
      return bodyTooLarge(arrival);
    }
    if ((method === "GET" || method === "HEAD") && hasBody(arrival)) {
      return failure(arrival, {
        status: 400,
        error: "bad_request",
        title: said("application.bodyTitle"),
        message: said("application.body", { method }),
      });
    }
    return undefined;
  }

  async function failed(exchange: Exchange, error: unknown): Promise<Response> {
    exchange.waiting.settle();
    const answer = await whenFailed(exchange, error);
    const left = exchange.arrival.request.signal.aborted;
    const bytes = announcedLength(answer);
    exchange.finish(answer.status, left ? { bytes, left } : { bytes });
    return answer;
  }

  async function whenFailed(exchange: Exchange, error: unknown): Promise<Response> {
    const { arrival, delay, closed } = exchange;
    if (arrival.request.signal.aborted) return new Response(null, { status: 499 });
    if (exchange.tooLarge) return bodyTooLarge(arrival);
    if (closed !== undefined) {
      log.info("a request was ended", { reason: closed, path: exchange.path, id: arrival.id });
      return exchange.hooks.ended(closed);
    }
    const reason = delay === undefined ? reasonOf(error) : `${delay} timeout`;
    counts.errors[upstreamError(delay, error)].value++;
    log.warn("the application did not answer", { reason, path: arrival.target.path, id: arrival.id });
    return upstreamFailed(arrival, delay, await exchange.upstream.away());
  }

  /** What goes to the browser. Most answers are here as a whole, and go without being waited for. */
  function handOver(
    exchange: Exchange,
    response: Response,
    fields: Readonly<Record<string, string>>,
  ): Response | Promise<Response> {
    const { status } = response;
    const length = fields["content-length"];
    const type = fields["content-type"] ?? "";
    exchange.events = isEventStream(type);
    exchange.waiting.answered();
    // To a body that is no stream of ours, `Bun.serve` adds a type if there is none or an empty one.
    const typed = type !== "";
    const small = length !== undefined && Number(length) <= SMALL;
    if (!small || !typed || exchange.events || !hasContent(exchange, status)) {
      return handOverBody(exchange, response, fields);
    }
    // Asked of a copy, since asking uses the body up: the copy of a body that is here costs 1.5 µs, and that of one that is
    // not is read along with it.
    const copy = response.clone().bytes();
    // A promise that is rejected is peeked at as its reason.
    if (Bun.peek.status(copy) === "fulfilled") {
      exchange.finish(status, { bytes: (Bun.peek(copy) as Uint8Array).byteLength });
      // Not the copy: another `Response` around it would cost 2 µs more.
      return response;
    }
    return exchange.upstream.soon(copy).then((bytes) => {
      // If the body broke off, whoever reads the body itself gets the error.
      if (bytes === undefined) return handOverBody(exchange, response, fields);
      exchange.finish(status, { bytes: bytes.byteLength });
      return new Response(bytes, initOf(response));
    });
  }

  /** A body that is passed on as it comes, or none. */
  function handOverBody(
    exchange: Exchange,
    response: Response,
    fields: Readonly<Record<string, string>>,
  ): Response | Promise<Response> {
    const { status, headers, body } = response;
    const length = fields["content-length"];
    if (body === null) {
      // To a HEAD without it, `Bun.serve` would add a length of 0.
      if (exchange.arrival.method === "HEAD" && length === undefined && status !== 204 && status !== 304) {
        headers.set("transfer-encoding", "chunked");
      }
      exchange.finish(status, { bytes: 0 });
      return response;
    }
    exchange.lasts();
    const ended = (end: BodyEnd) => {
      // The work as a whole, since a copy of the body may be read as well.
      if (end.left) exchange.abort.abort();
      const { path, arrival, closed } = exchange;
      if (closed !== undefined) {
        log.info("a stream was closed", { reason: closed, path, id: arrival.id });
      } else if (end.broken !== undefined && !arrival.request.signal.aborted) {
        counts.errors.broken.value++;
        log.warn("the response broke off", { reason: reasonOf(end.broken), path, id: arrival.id });
      }
      exchange.finish(status, end);
    };
    const init = initOf(response);
    const { signal } = exchange.abort;
    if (exchange.events) {
      // In a compressed stream nothing can be said between the events.
      const opened = "content-encoding" in fields ? undefined : openEarly;
      return new Response(passOn(body.getReader(), ended, signal, opened), init);
    }
    if (settings.streamResponses) return new Response(passOn(body.getReader(), ended, signal), init);
    exchange.watch();
    return collect(body.getReader(), COLLECTED).then(
      (collected) => {
        if (!(collected instanceof Uint8Array)) return new Response(passOn(collected, ended, signal), init);
        // A type would be added to it, as above.
        if (!fields["content-type"])
          return new Response(passOn(new Blob([collected]).stream().getReader(), ended, signal), init);
        ended({ bytes: collected.byteLength });
        return new Response(collected, init);
      },
      (error: unknown) => failed(exchange, error),
    );
  }

  function bodyTooLarge(arrival: Arrival): Response {
    return failure(arrival, {
      status: 413,
      error: "body_too_large",
      title: said("application.tooLargeTitle"),
      message: said("application.tooLarge"),
    });
  }
}
