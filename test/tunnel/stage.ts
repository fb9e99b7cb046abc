import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Connector } from "../../src/connect/connector.ts";
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
    async connect(to, { connections, token: shown = token } = {}) {
      const connector = await connectTo(gateway.url, shown, to, connections);
      connectors.push(connector);
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
