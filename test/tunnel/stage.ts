import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock, systemRandom } from "../../src/clock.ts";
import { type Connector, createConnector } from "../../src/connect/connector.ts";
import { TUNNEL_PATH } from "../../src/connect/protocol.ts";
import { readServices } from "../../src/connect/target.ts";
import { OWN_PREFIX } from "../../src/pages/paths.ts";
import { createTunnelBook, type TunnelBook } from "../../src/tunnel/book.ts";
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
    settings?: { readonly connections?: number; readonly token?: string; readonly port?: number },
  ): Promise<Connector>;
  /** As somebody who is signed in. */
  get(path: string, init?: RequestInit): Promise<Response>;
  stop(): Promise<void>;
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
  return {
    ...{ gateway, book, token, cookie },
    async connect(to, { connections = 2, token: shown = token, port = gateway.port } = {}) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const connector = createConnector({
        url: `ws://127.0.0.1:${port}${OWN_PREFIX}${TUNNEL_PATH}?name=home`,
        headers: { Authorization: `Bearer ${shown}`, "User-Agent": "Runegate/1.2.3" },
        tls: undefined,
        ...{ services: readServices(to), connections, clock: systemClock, random: systemRandom },
        changed: (up) => up >= connections && resolve(),
      });
      connectors.push(connector);
      await promise;
      return connector;
    },
    get: (path, init) =>
      fetch(gateway.url + path, { ...init, headers: { Cookie: cookie, ...init?.headers } }),
    async stop() {
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
