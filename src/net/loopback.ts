import { parseIp } from "./ip.ts";

/**
 * Whether a host name can only mean this machine: `localhost` and names under it (RFC 6761 §6.3), 127.0.0.0/8, ::1.
 * Takes IPv6 addresses with or without brackets.
 */
export function isLoopbackHost(hostname: string): boolean {
  const host = hostname.toLowerCase();
  if (host === "localhost" || host.endsWith(".localhost")) return true;
  const ip = parseIp(host.replace(/^\[(.*)\]$/, "$1"))?.text;
  return ip === "::1" || ip?.startsWith("127.") === true;
}
