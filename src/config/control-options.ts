import { instanceName } from "../net/instance.ts";
import type { Declaration } from "../option/option.ts";
import { socketPath } from "../option/values.ts";

export const CONTROL_OPTIONS = {
  /** Undefined if the command line shall not reach the instance. Its directory may not exist yet. */
  controlSocket: {
    name: "RUNEGATE_CONTROL_SOCKET",
    parse: (text) => (text === "off" ? undefined : socketPath(text)),
    default: {
      described: "in the runtime directory",
      text: (known) => `${known.runtimeDirectory}/control-${instanceName(known.textOf("listen"))}.sock`,
    },
    help: "Unix socket on which `runegate sessions` reaches the running instance; `off` for none.",
    words: ["off"],
  },
} satisfies Declaration;
