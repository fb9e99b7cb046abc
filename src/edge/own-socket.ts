import type { Server, ServerWebSocket, WebSocketHandler } from "bun";
import type { Arrival } from "./arrival.ts";

/** WebSockets that end here and not at an application. */

/** The data of one: what hears of it. */
export type OwnSocket = {
  readonly own: {
    open(socket: ServerWebSocket<unknown>): void;
    message(bytes: Uint8Array): void;
    drain(): void;
    close(): void;
    /** It was pinged, and the answer waits to be sent. */
    ping(): void;
  };
};

/** @returns a response if it is refused, or undefined once the connection is a WebSocket. */
export type OpenOwnSocket = (arrival: Arrival, server: Server<OwnSocket>) => Promise<Response | undefined>;

/** The one handler that `Bun.serve` takes, for both. */
export function withOwnSockets<T extends object>(
  others: WebSocketHandler<T>,
): WebSocketHandler<T | OwnSocket> {
  const ownOf = ({ data }: ServerWebSocket<T | OwnSocket>) => ("own" in data ? data.own : undefined);
  // One without `own` is the others'.
  const theirs = (socket: ServerWebSocket<T | OwnSocket>) => socket as ServerWebSocket<T>;
  return {
    ...others,
    open(socket) {
      const own = ownOf(socket);
      if (own === undefined) return others.open?.(theirs(socket));
      own.open(socket);
    },
    message(socket, message) {
      const own = ownOf(socket);
      if (own === undefined) return others.message?.(theirs(socket), message);
      if (typeof message === "string") socket.close(1003, "not for text");
      else own.message(message);
    },
    drain(socket) {
      const own = ownOf(socket);
      if (own === undefined) return others.drain?.(theirs(socket));
      own.drain();
    },
    close(socket, code, reason) {
      const own = ownOf(socket);
      if (own === undefined) return others.close?.(theirs(socket), code, reason);
      own.close();
    },
    ping(socket, payload) {
      const own = ownOf(socket);
      if (own === undefined) return others.ping?.(theirs(socket), payload);
      own.ping();
    },
  } as WebSocketHandler<T | OwnSocket>;
}
