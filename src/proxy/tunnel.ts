import type { Server, ServerWebSocket, WebSocketHandler } from "bun";
import type { Application } from "../access/application.ts";
import type { Principal } from "../access/principal.ts";
import type { Arrival } from "../edge/arrival.ts";
import type { Logger } from "../observe/log.ts";
import type { LiveConnections } from "../session/live.ts";
import { reasonOf, upstreamFailed } from "./failure.ts";
import { toUpstreamHandshake } from "./headers.ts";
import type { Upstream, UpstreamDelay } from "./upstream.ts";

/** WebSockets: the application's handshake first, then frames both ways (SPEC section 7). */

/** A longer message is answered with 1009 (RFC 6455 §7.4.1). */
export const MAX_MESSAGE = 64 * 1024 * 1024;
/** A reader this far behind is let go with 1013, "try again later" (IANA WebSocket close code registry). */
export const MAX_BEHIND = 16 * 1024 * 1024;
const GOING_AWAY = 1001;
const TOO_BIG = 1009;
const TOO_SLOW = 1013;
const POLICY = 1008;
const GONE_BAD = 1011;
/** For the closing handshake of a peer that does not read. */
const CLOSE_PATIENCE_MS = 5_000;

type Message = string | Buffer;

export type TunnelData = {
  readonly upstream: WebSocket;
  /** What the application said before the browser's side was open. */
  readonly early: Message[];
  readonly principal: Principal;
  readonly closed: () => void;
  /** Set by `open`. */
  browser: ServerWebSocket<TunnelData> | undefined;
  forget: (() => void) | undefined;
  used: boolean;
};

export type TunnelSettings = {
  readonly application: Application;
  readonly upstream: Upstream;
  readonly live: LiveConnections;
  readonly log: Logger;
};

export type Tunnel = {
  /** @returns a response if the upgrade is refused, or undefined once the connection is a WebSocket. */
  open(
    server: Server<TunnelData>,
    arrival: Arrival,
    principal: Principal,
    path: string,
    closed: () => void,
  ): Promise<Response | undefined>;
  readonly handler: WebSocketHandler<TunnelData>;
};

type Handshake =
  | { readonly outcome: "open" }
  | { readonly outcome: "refused"; readonly status: number }
  | { readonly outcome: "failed"; readonly reason: string; readonly delay: UpstreamDelay | undefined };

export function createTunnel({ application, upstream, live, log }: TunnelSettings): Tunnel {
  function dial(arrival: Arrival, principal: Principal, path: string): WebSocket {
    const { headers } = arrival.request;
    const offered = headers.get("sec-websocket-protocol");
    const options: Bun.WebSocketOptions = {
      headers: toUpstreamHandshake(headers, {
        client: arrival.client,
        cookie: arrival.cookies.rest,
        principal: application.identityHeaders ? principal : undefined,
      }),
      // Frames are passed on as messages; compressing them for the last hop, mostly loopback, would only cost.
      perMessageDeflate: false,
      ...(offered === null ? {} : { protocols: offered.split(",").map((name) => name.trim()) }),
    };
    return new WebSocket(upstream.webSocketOrigin + path + arrival.target.search, options);
  }

  function shakeHands(socket: WebSocket, signal: AbortSignal): Promise<Handshake> {
    return new Promise((resolve) => {
      const settle = (handshake: Handshake) => {
        waiting.settle();
        signal.removeEventListener("abort", leave);
        resolve(handshake);
      };
      const fail = (reason: string, delay?: UpstreamDelay) => {
        settle({ outcome: "failed", reason, delay });
        socket.terminate();
      };
      const waiting = upstream.await((delay) => fail(`${delay} timeout`, delay));
      const leave = () => fail("the client left");
      signal.addEventListener("abort", leave);
      socket.onopen = () => {
        // Nothing is lost: what the application sends at once waits until the browser's side is open.
        socket.pause();
        settle({ outcome: "open" });
      };
      socket.onerror = (event) => {
        const message = "message" in event ? String(event.message) : "";
        // The only place where the client says what the handshake was answered with.
        const status = Number(/Expected 101 status code: (\d{3})/.exec(message)?.[1]);
        if (status >= 300 && status <= 599) settle({ outcome: "refused", status });
        else settle({ outcome: "failed", reason: message, delay: undefined });
      };
    });
  }

  return {
    async open(server, arrival, principal, path, closed) {
      const { request } = arrival;
      let socket: WebSocket;
      const early: Message[] = [];
      try {
        socket = dial(arrival, principal, path);
        // The first messages can come in one piece with the handshake, before `pause` takes effect.
        socket.onmessage = ({ data }: MessageEvent<Message>) => early.push(data);
      } catch (error) {
        log.warn("the WebSocket handshake could not be made", { reason: reasonOf(error), id: arrival.id });
        return new Response(null, { status: 400 });
      }
      const handshake = await shakeHands(socket, request.signal);
      if (handshake.outcome === "refused") return new Response(null, { status: handshake.status });
      if (handshake.outcome === "failed") {
        const { reason, delay } = handshake;
        log.warn("the application did not take the WebSocket", { reason, path, id: arrival.id });
        return upstreamFailed(arrival, delay);
      }
      // With none chosen, `Bun.serve` would answer with the first that was offered.
      if (socket.protocol === "") request.headers.delete("sec-websocket-protocol");
      const headers = socket.protocol === "" ? {} : { "Sec-WebSocket-Protocol": socket.protocol };
      const data: TunnelData = {
        upstream: socket,
        early,
        principal,
        closed,
        browser: undefined,
        forget: undefined,
        used: false,
      };
      if (server.upgrade(request, { data, headers })) return undefined;
      socket.terminate();
      return new Response(null, { status: 400 });
    },

    handler: {
      maxPayloadLength: MAX_MESSAGE,
      // The limit is kept here, with a close code; Bun would drop the message without a word.
      backpressureLimit: MAX_BEHIND + MAX_MESSAGE,
      // Idle connections stay: the pings that Bun sends are answered by every peer that is still there.
      idleTimeout: 960,
      sendPings: true,
      perMessageDeflate: false,

      open(browser) {
        const { data } = browser;
        data.browser = browser;
        data.forget = live.add(data.principal.sessionId, {
          close: (why) =>
            why === "shutdown"
              ? closeBoth(browser, GOING_AWAY, "the server is stopping")
              : closeBoth(browser, POLICY, "session ended"),
          takeUsed: () => {
            const { used } = data;
            data.used = false;
            return used;
          },
        });
        joinUpstream(browser);
      },

      message(browser, message) {
        const { upstream } = browser.data;
        browser.data.used = true;
        if (upstream.readyState !== WebSocket.OPEN) return;
        upstream.send(message);
        if (upstream.bufferedAmount > MAX_BEHIND) closeBoth(browser, TOO_SLOW, "the application is too slow");
      },

      ping(browser, payload) {
        if (browser.data.upstream.readyState === WebSocket.OPEN) browser.data.upstream.ping(payload);
      },

      close(browser, code, reason) {
        const { data } = browser;
        data.forget?.();
        closeUpstream(data.upstream, code, reason);
        data.closed();
      },
    },
  };

  function joinUpstream(browser: ServerWebSocket<TunnelData>): void {
    const { upstream, early } = browser.data;
    const passOn = (message: Message) => {
      if (message.length > MAX_MESSAGE) {
        closeBoth(browser, TOO_BIG, "message too big");
        return;
      }
      browser.send(message);
      if (browser.getBufferedAmount() > MAX_BEHIND) closeBoth(browser, TOO_SLOW, "the reader is too slow");
    };
    for (const message of early.splice(0)) passOn(message);
    upstream.onmessage = ({ data }: MessageEvent<Message>) => passOn(data);
    upstream.addEventListener("ping", (event) => {
      browser.ping((event as MessageEvent<Buffer>).data);
    });
    upstream.onerror = () => {
      // `close` follows with what there is to know.
    };
    upstream.onclose = ({ code, reason }) => {
      // 1006 is never on the wire (RFC 6455 §7.1.5): the browser is told that the server side broke.
      if (code === 1006) closeBrowser(browser, GONE_BAD, "the application broke the connection");
      else closeBrowser(browser, code, reason);
    };
    if (upstream.readyState === WebSocket.OPEN) upstream.resume();
    else closeBrowser(browser, GONE_BAD, "the application broke the connection");
  }

  function closeBoth(browser: ServerWebSocket<TunnelData>, code: number, reason: string): void {
    log.info("WebSocket closed", { code, reason });
    closeUpstream(browser.data.upstream, code, reason);
    closeBrowser(browser, code, reason);
  }

  function closeBrowser(browser: ServerWebSocket<TunnelData>, code: number, reason: string): void {
    browser.close(code, reason);
    // A peer that does not read would never answer the close, and keep what it has not read in memory.
    setTimeout(() => browser.terminate(), CLOSE_PATIENCE_MS).unref();
  }
}

/** The WebSocket API refuses to send the codes that only ever stand for the lack of one (RFC 6455 §7.4.1). */
function closeUpstream(upstream: WebSocket, code: number, reason: string): void {
  if (upstream.readyState >= WebSocket.CLOSING) return;
  upstream.resume();
  if (code === 1006) upstream.terminate();
  else if (code === 1005 || code < 1000 || code === 1004 || code === 1015) upstream.close();
  else upstream.close(code, reason);
  setTimeout(() => upstream.terminate(), CLOSE_PATIENCE_MS).unref();
}
