import { TUNNEL_PATH } from "../connect/protocol.ts";
import type { House, Leave, Room } from "../house.ts";
import { atFirstUse } from "../late.ts";
import { OWN_PREFIX } from "../pages/paths.ts";
import type { Connectors } from "./connectors.ts";

/** Applications behind a router: their connectors come to us (`connect/`). All but this is loaded when the first does. */
export function tunnelRoom(house: House): Room {
  const book = atFirstUse(async () =>
    (await import("./book.ts")).createTunnelBook({ ...house, store: house.stores }),
  );
  let there: Connectors | undefined;
  let leaving: Leave = "stay";
  const connectors = atFirstUse(async () => {
    const { createConnectors } = await import("./connectors.ts");
    there = createConnectors(house, await book());
    there.leave(leaving);
    return there;
  });
  const leave = (how: Leave) => {
    leaving = how;
    there?.leave(how);
  };
  const isUsed = house.routes.all.some(({ targets }) =>
    targets.some(({ address }) => address.kind === "tunnel"),
  );
  const read = (of: "connections" | "streams") => () =>
    (there?.counts() ?? []).map((one) => [[one.tunnel], one[of]] as const);
  const { metrics } = house;
  metrics.gauge("runegate_tunnel_connections", "Connections of connectors.", ["tunnel"], read("connections"));
  metrics.gauge("runegate_tunnel_streams", "What goes through tunnels now.", ["tunnel"], read("streams"));
  return {
    name: "tunnel",
    ...(isUsed ? { admin: async () => (await import("./screen.ts")).tunnelScreen(house, await book()) } : {}),
    sockets: new Map([
      [OWN_PREFIX + TUNNEL_PATH, async (arrival, server) => (await connectors()).open(arrival, server)],
    ]),
    api: async () => (await import("./api.ts")).tunnelApi(house, await book()),
    renewSeals: async () => ({ what: "tunnels", renewed: await (await book()).renewSeals(), left: 0 }),
    leave,
    replaced: () => leave("retire"),
    stop: async () => there?.stop(),
  };
}
