import { listenAddress } from "../net/endpoint.ts";
import type { Declaration, Known } from "../option/option.ts";
import { socketPath } from "../option/values.ts";

export const CONTROL_OPTIONS = {
  /** Undefined if the command line shall not reach the instance. Its directory may not exist yet. */
  controlSocket: {
    name: "RUNEGATE_CONTROL_SOCKET",
    parse: (text) => (text === "off" ? undefined : socketPath(text)),
    default: {
      described: "in the runtime directory",
      text: (known) => `${known.runtimeDirectory}/control-${instanceName(known)}.sock`,
    },
    help: "Unix socket on which `runegate sessions` reaches the running instance; `off` for none.",
    words: ["off"],
  },
} satisfies Declaration;

/** Tells apart the instances of one machine that share a runtime directory. */
function instanceName(known: Known): string {
  const listen = listenAddress(known.textOf("listen"));
  return listen.kind === "tcp" ? String(listen.port) : Bun.hash(listen.path).toString(36);
}
