import { isIPv4 } from "node:net";

/**
 * Whether a host name can only mean this machine: `localhost` and names under it (RFC 6761 §6.3), 127.0.0.0/8, ::1.
 * Takes IPv6 addresses with or without brackets.
 */
export function isLoopbackHost(hostname: string): boolean {
  const host = hostname.toLowerCase();
  if (host === "localhost" || host.endsWith(".localhost")) return true;
  if (host === "::1" || host === "[::1]") return true;
  return isIPv4(host) && host.startsWith("127.");
}
