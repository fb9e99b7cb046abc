import type { Clock, Pause } from "../clock.ts";
import type { SinkAddress } from "./address.ts";
import { createFileTransport } from "./file.ts";
import { createHttpTransport } from "./http.ts";
import {
  createStreamSyslog,
  createUdpSyslog,
  createUnixSyslog,
  type SendDatagram,
} from "./syslog-transports.ts";
import type { Transport } from "./transport.ts";

/** What takes lines to a sink. */
export function openTransport(
  address: SinkAddress,
  audience: "log" | "audit",
  settings: {
    readonly clock: Clock;
    readonly pause: Pause;
    readonly sendDatagram: SendDatagram;
    /** Hears of what does not keep lines from being written. */
    readonly onTrouble: (reason: string) => void;
  },
): Transport {
  switch (address.kind) {
    case "file":
      return createFileTransport(address, settings);
    case "syslog-unix":
      return createUnixSyslog(address.path, audience, settings);
    case "syslog-udp":
      return createUdpSyslog(address, audience);
    case "syslog-tcp":
    case "syslog-tls":
      return createStreamSyslog(address, audience);
    case "otlp":
    case "ndjson":
      return createHttpTransport(address, settings.clock);
  }
}
