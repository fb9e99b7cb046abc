import { systemClock, systemRandom } from "../../src/clock.ts";
import { type Connector, createConnector } from "../../src/connect/connector.ts";
import { TUNNEL_PATH } from "../../src/connect/protocol.ts";
import { readServices } from "../../src/connect/target.ts";
import { OWN_PREFIX } from "../../src/pages/paths.ts";
import { createTunnelBook } from "../../src/tunnel/book.ts";

/** A connector of the tunnel `home` in this process. @param url where the gateway is. Resolves once all its connections are up. */
export async function connectTo(
  url: string,
  token: string,
  to: readonly string[],
  connections = 2,
): Promise<Connector> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const connector = createConnector({
    url: `${url.replace(/^http/, "ws")}${OWN_PREFIX}${TUNNEL_PATH}?name=home`,
    headers: { Authorization: `Bearer ${token}`, "User-Agent": "Runegate/1.2.3" },
    tls: undefined,
    ...{ services: readServices(to), connections, clock: systemClock, random: systemRandom },
    changed: (up) => up >= connections && resolve(),
  });
  await promise;
  return connector;
}

/** The same, with a tunnel that is made for it. */
export async function connectHome(
  house: Parameters<typeof createTunnelBook>[0],
  port: number,
  to: readonly string[],
): Promise<Connector> {
  const token = await createTunnelBook(house).create("home", "a test");
  return connectTo(`http://127.0.0.1:${port}`, token ?? "", to);
}
