import type { Clock } from "../clock.ts";
import type { RecordStore } from "../store/records.ts";
import type { TunnelOptions } from "./options.ts";
import { TUNNELS } from "./record.ts";
import { createTunnelSockets, type TunnelSockets } from "./sockets.ts";

/** What the way to applications needs of tunnels. All else is loaded when it is first asked for. */
export type Tunnels = {
  readonly sockets: TunnelSockets;
  /** When a connector of it was last there; undefined where none ever was. @throws {StoreUnavailable} */
  seenAt(name: string): Promise<number | undefined>;
};

export function createTunnels(
  { tunnelDirectory }: TunnelOptions,
  { store, clock }: { readonly store: RecordStore; readonly clock: Clock },
): Tunnels {
  const records = store.records(TUNNELS);
  return {
    sockets: createTunnelSockets(tunnelDirectory, clock),
    seenAt: async (name) => (await records.get(name))?.record.seenAt ?? undefined,
  };
}
