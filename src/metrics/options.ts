import { type ListenAddress, listenAddress } from "../net/endpoint.ts";
import { type Declaration, unset } from "../option/option.ts";
import { ValueError } from "../option/value-error.ts";

export const METRICS_OPTIONS = {
  metricsListen: {
    name: "RUNEGATE_METRICS_LISTEN",
    parse: tcpAddress,
    default: unset("unset: there are none"),
    help:
      "An address and port where Prometheus reads `/_runegate/metrics`, of all workers together. Nobody is asked who they are " +
      "there, so an address of this machine or of a private network.",
  },
} satisfies Declaration;

function tcpAddress(text: string): Extract<ListenAddress, { kind: "tcp" }> {
  const address = listenAddress(text);
  if (address.kind === "tcp") return address;
  throw new ValueError(
    "is a unix socket, which Prometheus does not read",
    "Write address:port such as 127.0.0.1:9870.",
  );
}
