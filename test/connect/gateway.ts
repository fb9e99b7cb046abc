import { jest } from "bun:test";
import { type Connector, type ConnectorSettings, createConnector } from "../../src/connect/connector.ts";
import { PROTOCOL } from "../../src/connect/protocol.ts";
import { readServices } from "../../src/connect/target.ts";
import { createSession, type Session } from "../../src/yamux/session.ts";
import { type TestClock, testClock, testRandom } from "../support/clock.ts";

/** A gateway of a connector, good or bad as the test has it; time is the test's, the connections between them are real. */
export type Gateway = {
  readonly clock: TestClock;
  readonly connections: Connection[];
  /** When each handshake came, in milliseconds since the start. */
  readonly asked: number[];
  /** What the connector said of itself. */
  readonly problems: (string | undefined)[];
  refuses: boolean;
  /** Says nothing at all. */
  mute: boolean;
  opened: (one: Connection) => void;
  readonly url: string;
  connect(settings?: Partial<ConnectorSettings>): Connector;
  /** Lets time go by in small steps, and what is under way arrive. */
  pass(milliseconds: number, step?: number): Promise<void>;
  stop(): Promise<void>;
};

export type Connection = {
  readonly socket: Bun.ServerWebSocket<{ connection: Connection | undefined }>;
  readonly session: Session;
  closed: boolean;
};

/** As long as sockets of one machine take to hear of each other; timers are the test's and do not help. */
export async function settle(rounds = 60): Promise<void> {
  for (let round = 0; round < rounds; round++) await new Promise((resolve) => setImmediate(resolve));
}

export function startGateway(): Gateway {
  jest.useFakeTimers();
  const clock = testClock();
  const begun = clock.monotonic();
  const connectors: Connector[] = [];
  const server = Bun.serve<{ connection: Connection | undefined }>({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request, self) {
      gateway.asked.push(clock.monotonic() - begun);
      if (gateway.refuses) return new Response(null, { status: 503 });
      const upgraded = self.upgrade(request, {
        data: { connection: undefined },
        headers: { "Sec-WebSocket-Protocol": PROTOCOL },
      });
      return upgraded ? undefined : new Response(null, { status: 400 });
    },
    websocket: {
      sendPings: false,
      maxPayloadLength: 1024 * 1024,
      open(socket) {
        const session = createSession({
          role: "server",
          transport: {
            send: (bytes) => void (gateway.mute || socket.sendBinary(bytes)),
            full: () => false,
            waiting: () => 0,
          },
          closed: () => {},
          most: 10_000,
          clock,
        });
        const connection = { socket, session, closed: false };
        socket.data.connection = connection;
        gateway.connections.push(connection);
        gateway.opened(connection);
      },
      message: (socket, message) => socket.data.connection?.session.receive(message as Buffer),
      close(socket) {
        if (socket.data.connection !== undefined) socket.data.connection.closed = true;
      },
    },
  });
  const gateway: Gateway = {
    ...{ clock, connections: [], asked: [], problems: [], refuses: false, mute: false, opened: () => {} },
    url: `ws://127.0.0.1:${server.port}`,
    connect(settings = {}) {
      const connector = createConnector({
        ...{ url: gateway.url, headers: {}, tls: undefined, services: readServices(["http://127.0.0.1:9"]) },
        ...{ clock, random: testRandom(), connections: 1, network: () => "home" },
        changed: (_, problem) => void gateway.problems.push(problem),
        ...settings,
      });
      connectors.push(connector);
      return connector;
    },
    async pass(milliseconds, step = 1_000) {
      for (let left = milliseconds; left > 0; left -= step) {
        clock.advance(Math.min(step, left));
        jest.advanceTimersByTime(Math.min(step, left));
        await settle();
      }
    },
    async stop() {
      for (const connector of connectors) await connector.stop(0);
      await server.stop(true);
      jest.useRealTimers();
    },
  };
  return gateway;
}
