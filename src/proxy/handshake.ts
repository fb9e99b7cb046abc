import type { Arrival } from "../edge/arrival.ts";
import type { Principal } from "../identity/principal.ts";
import { isFull, roomAgain } from "./full.ts";
import { withoutHandshake } from "./headers.ts";
import type { Rewriting } from "./rewriting.ts";
import { holderOf, type Targets } from "./targets.ts";
import type { Upstream, UpstreamDelay } from "./upstream.ts";

/** The WebSocket handshake with the application, which is made before the browser's is answered. */

export type Message = string | Buffer;

export type Handshake =
  /** Paused. `early` is what the application has said by then. */
  | { readonly outcome: "open"; readonly socket: WebSocket; readonly early: readonly Message[] }
  | { readonly outcome: "refused"; readonly status: number }
  | {
      readonly outcome: "failed";
      readonly reason: string;
      readonly delay: UpstreamDelay | undefined;
      readonly upstream: Upstream;
      /** It was not even connected to, because too many wanted that at once. */
      readonly full: boolean;
    }
  /** The client did not wait for the answer, or its session ended meanwhile. */
  | { readonly outcome: "left" };

/**
 * @param path the application's, without the query.
 * @param signal ends it.
 * @throws if what the browser sent cannot be said in a handshake.
 */
export type ShakeHands = (
  arrival: Arrival,
  /** Undefined where it is open to whoever comes. */
  principal: Principal | undefined,
  path: string,
  signal: AbortSignal,
) => Promise<Handshake>;

export function createHandshake(targets: Targets, rewriting: Rewriting | undefined): ShakeHands {
  function dial(
    upstream: Upstream,
    arrival: Arrival,
    principal: Principal | undefined,
    path: string,
    protocols: string[],
  ): WebSocket {
    const headers = upstream.toUpstream(arrival.headers, {
      client: arrival.client,
      cookie: arrival.cookies.rest,
      principal,
    });
    rewriting?.request(headers, principal);
    const options: Bun.WebSocketOptions = {
      headers: withoutHandshake(headers),
      // Frames are passed on as messages; compressing them for the last hop, mostly loopback, would only cost.
      perMessageDeflate: false,
      ...(upstream.tls === undefined ? {} : { tls: upstream.tls }),
      ...(protocols.length === 0 ? {} : { protocols }),
    };
    return new WebSocket(upstream.webSocketOrigin + path + arrival.target.search, options);
  }

  function attempt(
    upstream: Upstream,
    arrival: Arrival,
    principal: Principal | undefined,
    path: string,
    protocols: string[],
    signal: AbortSignal,
  ): Promise<Handshake> {
    // A signal tells of its abort once, and it may have been while it was asked who this is.
    if (signal.aborted) return Promise.resolve({ outcome: "left" });
    const socket = dial(upstream, arrival, principal, path, protocols);
    return new Promise((resolve) => {
      const settle = (handshake: Handshake) => {
        waiting.settle();
        signal.removeEventListener("abort", leave);
        resolve(handshake);
      };
      const stop = (handshake: Handshake) => {
        settle(handshake);
        socket.terminate();
      };
      // The connection to the browser is kept open from the start (`door.ts`).
      const waiting = upstream.await(
        (delay) => stop({ outcome: "failed", reason: `${delay} timeout`, delay, upstream, full: false }),
        () => {},
      );
      const leave = () => stop({ outcome: "left" });
      signal.addEventListener("abort", leave);
      const early: Message[] = [];
      // The first messages can come in one piece with the handshake, before `pause` takes effect.
      socket.onmessage = ({ data }: MessageEvent<Message>) => early.push(data);
      socket.onopen = () => {
        // Nothing is lost: what the application sends at once waits until the browser's side is open.
        socket.pause();
        waiting.answered();
        settle({ outcome: "open", socket, early });
      };
      socket.onerror = (event) => {
        const message = "message" in event ? String(event.message) : "";
        // The only place where the client says what the handshake was answered with.
        const status = Number(/Expected 101 status code: (\d{3})/.exec(message)?.[1]);
        if (status >= 300 && status <= 599) settle({ outcome: "refused", status });
        else {
          const full = "error" in event && isFull(event.error);
          settle({ outcome: "failed", reason: withoutUrl(message), delay: undefined, upstream, full });
        }
      };
    });
  }

  async function shakeHands(
    upstream: Upstream,
    ...[arrival, principal, path, signal]: Parameters<ShakeHands>
  ) {
    const offered = arrival.request.headers.get("sec-websocket-protocol")?.split(",") ?? [];
    const protocols = offered.map((name) => name.trim());
    let first = await attempt(upstream, arrival, principal, path, protocols, signal);
    for (let full = 1; first.outcome === "failed" && first.full && (await roomAgain(full)); full++) {
      first = await attempt(upstream, arrival, principal, path, protocols, signal);
    }
    if (protocols.length === 0 || first.outcome !== "failed") return first;
    // A server may choose none of what is offered (RFC 6455 §4.2.2), which this client takes for a failure.
    if (!first.reason.includes("Missing client protocol")) return first;
    return attempt(upstream, arrival, principal, path, [], signal);
  }

  return async (arrival, principal, ...rest) => {
    const [first, ...others] = targets.inOrder(holderOf(arrival, principal));
    let handshake = await shakeHands(first, arrival, principal, ...rest);
    let tried = first;
    for (const next of others) {
      if (handshake.outcome !== "failed" || handshake.delay === "response") break;
      targets.failed(tried);
      tried = next;
      handshake = await shakeHands(next, arrival, principal, ...rest);
    }
    return handshake;
  };
}

/** Bun's words for a failed handshake begin with the URL, whose query is the application's and may be a secret. */
function withoutUrl(message: string): string {
  return message.replace(/^WebSocket connection to .* failed: /s, "");
}
