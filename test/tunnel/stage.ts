import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Connector } from "../../src/connect/connector.ts";
import { PROTOCOL, TUNNEL_PATH } from "../../src/connect/protocol.ts";
import { OWN_PREFIX } from "../../src/pages/paths.ts";
import { createTunnelBook, type TunnelBook } from "../../src/tunnel/book.ts";
import { connectTo } from "../support/connector.ts";
import { startGateway, type TestGateway, type TestGatewaySettings } from "../support/gateway.ts";

/** A gateway whose application is behind a tunnel, and connectors for it. */
export type TunnelStage = {
  readonly gateway: TestGateway;
  readonly book: TunnelBook;
  /** For the tunnel `home`. */
  readonly token: string;
  readonly cookie: string;
  /** Resolves once all its connections are up. */
  connect(
    to: readonly string[],
    settings?: { readonly connections?: number; readonly token?: string },
  ): Promise<Connector>;
  /** A connection with its token, in the test's hands. */
  knock(): Knock;
  /** As somebody who is signed in. */
  get(path: string, init?: RequestInit): Promise<Response>;
  stop(): Promise<void>;
};

export type Knock = {
  readonly socket: WebSocket;
  readonly opened: Promise<unknown>;
  readonly closed: Promise<unknown>;
};

export async function openStage(settings: TestGatewaySettings = {}): Promise<TunnelStage> {
  const directory = mkdtempSync(join(tmpdir(), "tunnel-"));
  const gateway = await startGateway({
    target: "tunnel:home",
    ...settings,
    env: { RUNEGATE_TUNNEL_DIRECTORY: join(directory, "sockets"), ...settings.env },
  });
  const book = createTunnelBook({ ...gateway.gateway, store: gateway.stores });
  const token = (await book.create("home", "operator")) ?? "";
  const cookie = await gateway.signIn();
  const connectors: Connector[] = [];
  const knocks: WebSocket[] = [];
  return {
    ...{ gateway, book, token, cookie },
    async connect(to, { connections, token: shown = token } = {}) {
      const connector = await connectTo(gateway.url, shown, to, connections);
      connectors.push(connector);
      return connector;
    },
    knock() {
      const socket = new WebSocket(
        `${gateway.url.replace(/^http/, "ws")}${OWN_PREFIX}${TUNNEL_PATH}?name=home`,
        { headers: { Authorization: `Bearer ${token}` }, protocols: [PROTOCOL] } as Bun.WebSocketOptions,
      );
      knocks.push(socket);
      const event = (name: "open" | "close") =>
        new Promise((resolve) => socket.addEventListener(name, resolve, { once: true }));
      return { socket, opened: event("open"), closed: event("close") };
    },
    get: (path, init) =>
      fetch(gateway.url + path, { ...init, headers: { Cookie: cookie, ...init?.headers } }),
    async stop() {
      for (const socket of knocks) socket.terminate();
      for (const connector of connectors) await connector.stop(0);
      await gateway.stop();
      rmSync(directory, { recursive: true });
    },
  };
}

/** Until it is so; a test that waits in vain ends by its time-out. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await Bun.sleep(5);
}
