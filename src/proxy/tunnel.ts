import type { Server, ServerWebSocket, WebSocketHandler } from "bun";
import type { CloseReason, LiveConnections } from "../access/live.ts";
import type { Route } from "../access/route.ts";
import type { Clock } from "../clock.ts";
import { type Failure, failure } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import type { OwnSocket } from "../edge/own-socket.ts";
import type { Principal } from "../identity/principal.ts";
import type { RouteCounts, UpstreamError } from "../metrics/requests.ts";
import type { Logger } from "../observe/logger.ts";
import { KIB, MIB } from "../option/values.ts";
import { said } from "../pages/language.ts";
import { createSendToBrowser } from "./compression.ts";
import { upstreamFailed } from "./failure.ts";
import { createFlows, type Flow } from "./flow.ts";
import type { Handshake, Message, ShakeHands } from "./handshake.ts";
import type { ProxyOptions } from "./options.ts";
import type { UpstreamDelay } from "./upstream.ts";

/** WebSockets: the application's handshake first, then messages both ways. */

const GOING_AWAY = 1001;
const POLICY = 1008;
const TOO_BIG = 1009;
const GONE_BAD = 1011;
const TRY_AGAIN = 1013;
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
/** A process that takes half of what memory the machine or its control group has lets WebSockets go, but not below this. */
const LEAST_MEMORY = 256 * MIB;
/** The same server takes the messages of connectors (`connect/`), which are no longer than this. */
const LEAST_PAYLOAD = 64 * KIB;
/** Of a frame that answers a ping, besides its payload. */
const PONG_HEAD = 2;

export type Proxied = {
  readonly upstream: WebSocket;
  /** What the application said before the browser's side was open. */
  readonly early: readonly Message[];
  /** Undefined where it is open to whoever comes. */
  readonly principal: Principal | undefined;
  /** Name of the application. */
  readonly route: string;
  readonly counts: RouteCounts;
  readonly flow: Flow;
  readonly closed: () => void;
  /** Set by `open`. */
  forget: (() => void) | undefined;
  used: boolean;
};

export type TunnelSettings = Pick<ProxyOptions, "maxMessage"> & {
  readonly workers: number;
  readonly live: LiveConnections;
  readonly clock: Clock;
  readonly log: Logger;
};

/** The application that a WebSocket leads to. */
/** What all WebSockets of the server have. */
export type TunnelData = Proxied | OwnSocket;

export type TunnelTo = {
  readonly route: Route;
  readonly shakeHands: ShakeHands;
  readonly counts: RouteCounts;
};

export type Tunnel = {
  /** @returns a response if the upgrade is refused, or undefined once the connection is a WebSocket. */
  open(
    server: Server<TunnelData>,
    arrival: Arrival,
    application: TunnelTo,
    principal: Principal | undefined,
    path: string,
    /** Ends the handshake: the client left, or its session has ended. */
    signal: AbortSignal,
    closed: () => void,
  ): Promise<Response | undefined>;
  readonly handler: WebSocketHandler<Proxied>;
};

export function createTunnel(settings: TunnelSettings): Tunnel {
  const { live, maxMessage, workers, clock, log } = settings;
  const memoryLimit = Math.max(LEAST_MEMORY, process.constrainedMemory() / 2 / workers);
  const flows = createFlows({ clock, memoryLimit, log });
  const sendToBrowser = createSendToBrowser(clock);

  /** As `Tunnel.open`, for a WebSocket that has been counted. */
  async function open(
    server: Server<TunnelData>,
    arrival: Arrival,
    { route, shakeHands, counts }: TunnelTo,
    path: string,
    signal: AbortSignal,
    use: Pick<Proxied, "principal" | "flow" | "closed">,
  ): Promise<Response | undefined> {
    const { request } = arrival;
    let handshake: Handshake;
    try {
      handshake = await shakeHands(arrival, use.principal, path, signal);
    } catch (error) {
      // Only the kind of error: its words may hold the URL.
      const reason = error instanceof Error ? error.name : "unknown";
      log.warn("the WebSocket handshake could not be made", { reason, id: arrival.id });
      return new Response(null, { status: 400 });
    }
    if (handshake.outcome === "refused") return new Response(null, { status: handshake.status });
    if (handshake.outcome === "left") return new Response(null, { status: 499 });
    if (handshake.outcome === "failed") {
      const { reason, delay, upstream } = handshake;
      counts.errors[handshakeError(delay)].value++;
      log.warn("the application did not take the WebSocket", { reason, path, id: arrival.id });
      return upstreamFailed(arrival, delay, await upstream.away());
    }
    const { socket, early } = handshake;
    // With none chosen, `Bun.serve` would answer with the first that was offered.
    if (socket.protocol === "") request.headers.delete("sec-websocket-protocol");
    const headers = socket.protocol === "" ? {} : { "Sec-WebSocket-Protocol": socket.protocol };
    const data: Proxied = {
      upstream: socket,
      early,
      ...use,
      route: route.name,
      counts,
      forget: undefined,
      used: false,
    };
    log.debug("WebSocket opened", { path, protocol: socket.protocol, id: arrival.id });
    if (server.upgrade(request, { data, headers })) return undefined;
    socket.terminate();
    return new Response(null, { status: 400 });
  }

  function joinUpstream(browser: ServerWebSocket<Proxied>): void {
    const { upstream, early, flow, counts } = browser.data;
    const passOn = (message: Message) => {
      const bytes = typeof message === "string" ? Buffer.byteLength(message) : message.byteLength;
      if (bytes > maxMessage) {
        refuseMessage(browser);
        return;
      }
      counts.sent.value += bytes;
      flow.sent("browser", bytes, sendToBrowser(browser, message, bytes, flow.slowLine));
    };
    flow.join({
      browser,
      application: upstream,
      letGo() {
        upstream.terminate();
        // Not closed, which would leave what it holds until the browser agrees.
        browser.terminate();
      },
    });
    for (const message of early) passOn(message);
    upstream.onmessage = ({ data }: MessageEvent<Message>) => passOn(data);
    upstream.addEventListener("ping", (event) => {
      const { data } = event as MessageEvent<Buffer>;
      browser.ping(data);
      flow.ponged("application", PONG_HEAD + data.byteLength);
      flow.settle();
    });
    upstream.onerror = () => {
      // `close` follows with what there is to know.
    };
    upstream.onclose = ({ code, reason }) => {
      // 1006 is never on the wire (RFC 6455 §7.1.5): the browser is told that the server side broke.
      if (code === 1006) endBrowser(browser, GONE_BAD, "the application broke the connection");
      else endBrowser(browser, code, reason);
    };
    if (upstream.readyState !== WebSocket.OPEN) {
      endBrowser(browser, GONE_BAD, "the application broke the connection");
    }
  }

  function refuseMessage(browser: ServerWebSocket<Proxied>): void {
    const { upstream } = browser.data;
    upstream.onmessage = null;
    closeUpstream(upstream, TOO_BIG, "message too big");
    endBrowser(browser, TOO_BIG, "message too big");
  }

  /** For an end that is ours: what waits for either side has a few seconds, and nothing is added to it. */
  function closeBoth(browser: ServerWebSocket<Proxied>, code: number, reason: string): void {
    const { upstream } = browser.data;
    log.info("WebSocket closed", { code, reason });
    upstream.onmessage = null;
    upstream.onclose = null;
    closeUpstream(upstream, code, reason);
    endBrowser(browser, code, reason);
    // Does nothing where it has been closed by then.
    setTimeout(() => browser.terminate(), CLOSE_PATIENCE_MS).unref();
  }

  return {
    async open(server, arrival, application, principal, path, signal, closed) {
      const flow = flows.admit(holderOf(arrival, principal));
      if (flow === undefined) {
        log.info("the session has too many WebSockets open", { path, id: arrival.id });
        return failure(arrival, TOO_MANY);
      }
      const response = await open(server, arrival, application, path, signal, { principal, flow, closed });
      if (response !== undefined) flow.leave();
      return response;
    },

    handler: {
      maxPayloadLength: Math.max(maxMessage, LEAST_PAYLOAD),
      // What waits is limited by pausing who sends it (`flow.ts`); here it would be dropped.
      backpressureLimit: 0,
      // Idle connections stay: the pings that Bun sends are answered by every peer that is still there.
      idleTimeout: 960,
      sendPings: true,
      // Nothing is kept from message to message: 0.1 KiB a socket instead of up to 280, and one message tells nothing of
      // another by its length.
      perMessageDeflate: { compress: "shared", decompress: "shared" },

      open(browser) {
        const { data } = browser;
        data.counts.open.websocket.value++;
        data.forget =
          data.principal &&
          live.add(data.principal, data.route, {
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
        const { upstream, flow, counts } = browser.data;
        browser.data.used = true;
        if (upstream.readyState !== WebSocket.OPEN) return;
        if (maxMessage < LEAST_PAYLOAD && Buffer.byteLength(message) > maxMessage)
          return refuseMessage(browser);
        upstream.send(message);
        // Of text, the characters: near enough for what is reckoned with it.
        counts.received.value += message.length;
        flow.sent("application", message.length, false);
      },

      ping(browser, payload) {
        const { upstream, flow } = browser.data;
        if (upstream.readyState === WebSocket.OPEN) upstream.ping(payload);
        flow.ponged("browser", PONG_HEAD + payload.byteLength);
        flow.settle();
      },

      drain(browser) {
        browser.data.flow.settle();
      },

      close(browser, code, reason) {
        const { upstream, flow, forget, counts, closed } = browser.data;
        counts.open.websocket.value--;
        forget?.();
        // There is nobody left to tell; and what is waited for here must not give way to an end of the browser's side.
        upstream.onmessage = null;
        upstream.onclose = null;
        flow.afterLast("application", () => {
          if (reason === SAID_TOO_BIG) closeUpstream(upstream, TOO_BIG, "message too big");
          else closeUpstream(upstream, code, reason);
          flow.leave();
        });
        closed();
      },
    },
  };
}

/** On whom WebSockets are counted. */
function holderOf({ client }: Arrival, principal: Principal | undefined): string {
  return principal === undefined ? `client:${client.ip}` : `${principal.proof.kind}:${principal.proof.id}`;
}

function handshakeError(delay: UpstreamDelay | undefined): UpstreamError {
  return delay === undefined ? "handshake" : `${delay}_timeout`;
}

const TOO_MANY: Failure = {
  status: 429,
  error: "too_many_websockets",
  title: said("webSockets.title"),
  message: said("webSockets.message"),
};

/** Closes the browser's side after what waits for it, which could not be cut off any more once it is closed. */
function endBrowser(browser: ServerWebSocket<Proxied>, code: number, reason: string): void {
  browser.data.flow.afterLast("browser", () => browser.close(code, reason));
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
