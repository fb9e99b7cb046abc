import { instanceName } from "../net/instance.ts";
import type { Declaration, OptionsOf } from "../option/option.ts";
import { socketPath } from "../option/values.ts";

export type TunnelOptions = OptionsOf<typeof TUNNEL_OPTIONS>;

export const TUNNEL_OPTIONS = {
  /** May not exist yet. */
  tunnelDirectory: {
    name: "RUNEGATE_TUNNEL_DIRECTORY",
    parse: socketPath,
    default: {
      described: "in the runtime directory",
      text: (known) => `${known.runtimeDirectory}/tunnels-${instanceName(known.textOf("listen"))}`,
    },
    help: 'Where the processes of one instance have the sockets of their tunnels (`target = "tunnel:…"`); nobody else may read it.',
  },
} satisfies Declaration;
