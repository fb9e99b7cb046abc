import type { Server, ServerWebSocket, WebSocketHandler } from "bun";
import type { CloseReason, LiveConnections } from "../access/live.ts";
import type { Route } from "../access/route.ts";
import type { Arrival } from "../edge/arrival.ts";
import type { Principal } from "../identity/principal.ts";
import type { Logger } from "../observe/logger.ts";
import { upstreamFailed } from "./failure.ts";
import { createToUpstream, withoutHandshake } from "./headers.ts";
import type { Upstream, UpstreamDelay } from "./upstream.ts";

/** WebSockets: the application's handshake first, then frames both ways (CONTRACT section 7). */

/** A longer message is answered with 1009 (RFC 6455 §7.4.1). */
export const MAX_MESSAGE = 64 * 1024 * 1024;
/** A reader this far behind is let go with 1013, "try again later" (IANA WebSocket close code registry). */
export const MAX_BEHIND = 16 * 1024 * 1024;
const GOING_AWAY = 1001;
const TOO_BIG = 1009;
const TRY_AGAIN = 1013;
const POLICY = 1008;
const GONE_BAD = 1011;
/** RFC 6455 §7.4.1, and 1013 of the registry for what may come back as soon as the store answers. */
const CLOSINGS: Readonly<Record<CloseReason, readonly [code: number, reason: string]>> = {
  shutdown: [GOING_AWAY, "the server is stopping"],
  session_ended: [POLICY, "session ended"],
  unverified: [TRY_AGAIN, "the session cannot be verified"],
};

/** With this, `Bun.serve` tells of 1006 where it has told the browser 1009. */
const SAID_TOO_BIG = "Received too big message";
/** For the closing handshake of a peer that does not read. */
const CLOSE_PATIENCE_MS = 5_000;

type Message = string | Buffer;

function sizeOf(message: Message): number {
  return typeof message === "string" ? Buffer.byteLength(message) : message.byteLength;
}

/** What waits to be sent one way. */
type Backlog = { longest: number };

/**
 * Whether the reader is too far behind, asked after each message. The longest message that waits does not count: however
 * long it is, it may be on its way, and what follows it must not end the connection.
 * @param waiting bytes not sent yet, the message included.
 */
function isBehind(backlog: Backlog, waiting: number, message: number): boolean {
  backlog.longest = waiting <= message ? message : Math.max(backlog.longest, message);
  return waiting - backlog.longest > MAX_BEHIND;
}

export type TunnelData = {
  readonly upstream: WebSocket;
  /** What the application said before the browser's side was open. */
  readonly early: Message[];
  readonly principal: Principal;
  readonly closed: () => void;
  readonly toBrowser: Backlog;
  readonly toUpstream: Backlog;
  /** Set by `open`. */
  forget: (() => void) | undefined;
  used: boolean;
};

export type TunnelSettings = {
  readonly route: Route;
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
    /** Ends the handshake: the client left, or its session has ended. */
    signal: AbortSignal,
    closed: () => void,
  ): Promise<Response | undefined>;
  readonly handler: WebSocketHandler<TunnelData>;
};

type Handshake =
  | { readonly outcome: "open" }
  | { readonly outcome: "refused"; readonly status: number }
  | { readonly outcome: "failed"; readonly reason: string; readonly delay: UpstreamDelay | undefined };

type Attempt = { readonly socket: WebSocket; readonly early: Message[]; readonly handshake: Handshake };

export function createTunnel({ route, upstream, live, log }: TunnelSettings): Tunnel {
  const toUpstream = createToUpstream(upstream.name);

  function dial(arrival: Arrival, principal: Principal, path: string, protocols: string[]): WebSocket {
    const options: Bun.WebSocketOptions = {
      headers: withoutHandshake(
        toUpstream(arrival.headers, {
          client: arrival.client,
          cookie: arrival.cookies.rest,
          principal: route.identityHeaders ? principal : undefined,
        }),
      ),
      // Frames are passed on as messages; compressing them for the last hop, mostly loopback, would only cost.
      perMessageDeflate: false,
      ...(protocols.length === 0 ? {} : { protocols }),
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
      // The connection to the browser is kept open from the start (`door.ts`).
      const waiting = upstream.await(
        (delay) => fail(`${delay} timeout`, delay),
        () => {},
      );
      const leave = () => fail("the client left");
      signal.addEventListener("abort", leave);
      socket.onopen = () => {
        // Nothing is lost: what the application sends at once waits until the browser's side is open.
        socket.pause();
        waiting.answered();
        settle({ outcome: "open" });
      };
      socket.onerror = (event) => {
        const message = "message" in event ? String(event.message) : "";
        // The only place where the client says what the handshake was answered with.
        const status = Number(/Expected 101 status code: (\d{3})/.exec(message)?.[1]);
        if (status >= 300 && status <= 599) settle({ outcome: "refused", status });
        else settle({ outcome: "failed", reason: withoutUrl(message), delay: undefined });
      };
    });
  }

  async function attempt(
    arrival: Arrival,
    principal: Principal,
    path: string,
    protocols: string[],
    signal: AbortSignal,
  ): Promise<Attempt> {
    const socket = dial(arrival, principal, path, protocols);
    const early: Message[] = [];
    // The first messages can come in one piece with the handshake, before `pause` takes effect.
    socket.onmessage = ({ data }: MessageEvent<Message>) => early.push(data);
    return { socket, early, handshake: await shakeHands(socket, signal) };
  }

  async function reach(
    arrival: Arrival,
    principal: Principal,
    path: string,
    signal: AbortSignal,
  ): Promise<Attempt> {
    const offered = arrival.request.headers.get("sec-websocket-protocol")?.split(",") ?? [];
    const protocols = offered.map((name) => name.trim());
    const first = await attempt(arrival, principal, path, protocols, signal);
    if (protocols.length === 0 || first.handshake.outcome !== "failed") return first;
    // A server may choose none of what is offered (RFC 6455 §4.2.2), which this client takes for a failure.
    if (!first.handshake.reason.includes("Missing client protocol")) return first;
    return attempt(arrival, principal, path, [], signal);
  }

  return {
    async open(server, arrival, principal, path, signal, closed) {
      const { request } = arrival;
      let attempted: Attempt;
      try {
        attempted = await reach(arrival, principal, path, signal);
      } catch (error) {
        // Only the kind of error: its words may hold the URL.
        const reason = error instanceof Error ? error.name : "unknown";
        log.warn("the WebSocket handshake could not be made", { reason, id: arrival.id });
        return new Response(null, { status: 400 });
      }
      const { socket, early, handshake } = attempted;
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
        toBrowser: { longest: 0 },
        toUpstream: { longest: 0 },
        forget: undefined,
        used: false,
      };
      log.debug("WebSocket opened", { path, protocol: socket.protocol, id: arrival.id });
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
        data.forget = live.add(data.principal.proof, {
          close: (why) => closeBoth(browser, ...CLOSINGS[why]),
          takeUsed: () => {
            const { used } = data;
            data.used = false;
            return used;
          },
        });
        joinUpstream(browser);
      },

      message(browser, message) {
        const { upstream, toUpstream } = browser.data;
        browser.data.used = true;
        if (upstream.readyState !== WebSocket.OPEN) return;
        upstream.send(message);
        if (isBehind(toUpstream, upstream.bufferedAmount, sizeOf(message))) {
          closeBoth(browser, TRY_AGAIN, "the application is too slow");
        }
      },

      ping(browser, payload) {
        const { upstream, toUpstream, toBrowser } = browser.data;
        if (upstream.readyState !== WebSocket.OPEN) return;
        upstream.ping(payload);
        if (isBehind(toUpstream, upstream.bufferedAmount, payload.byteLength)) {
          closeBoth(browser, TRY_AGAIN, "the application is too slow");
        } else if (isBehind(toBrowser, browser.getBufferedAmount(), payload.byteLength)) {
          // Bun has answered the ping, and nobody reads the answers.
          closeBoth(browser, TRY_AGAIN, "the reader is too slow");
        }
      },

      close(browser, code, reason) {
        const { data } = browser;
        data.forget?.();
        if (reason === SAID_TOO_BIG) closeUpstream(data.upstream, TOO_BIG, "message too big");
        else closeUpstream(data.upstream, code, reason);
        data.closed();
      },
    },
  };

  function joinUpstream(browser: ServerWebSocket<TunnelData>): void {
    const { upstream, early, toBrowser } = browser.data;
    const passOn = (message: Message) => {
      const size = sizeOf(message);
      if (size > MAX_MESSAGE) {
        closeBoth(browser, TOO_BIG, "message too big");
        return;
      }
      browser.send(message);
      if (isBehind(toBrowser, browser.getBufferedAmount(), size)) {
        closeBoth(browser, TRY_AGAIN, "the reader is too slow");
      }
    };
    for (const message of early.splice(0)) passOn(message);
    upstream.onmessage = ({ data }: MessageEvent<Message>) => passOn(data);
    upstream.addEventListener("ping", (event) => {
      const { data } = event as MessageEvent<Buffer>;
      browser.ping(data);
      if (isBehind(toBrowser, browser.getBufferedAmount(), data.byteLength)) {
        closeBoth(browser, TRY_AGAIN, "the reader is too slow");
      }
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

/** Bun's words for a failed handshake begin with the URL, whose query is the application's and may be a secret. */
function withoutUrl(message: string): string {
  return message.replace(/^WebSocket connection to .* failed: /s, "");
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
