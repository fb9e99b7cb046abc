import { listenAddress } from "./endpoint.ts";

/** Tells apart the instances of one machine that share a runtime directory. @param listen where it listens, as the option says it. */
export function instanceName(listen: string): string {
  const address = listenAddress(listen);
  return address.kind === "tcp" ? String(address.port) : Bun.hash(address.path).toString(36);
}
