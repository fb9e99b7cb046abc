import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { TargetTls } from "../access/route.ts";
import { describeTarget, type TargetAddress, type TunnelAddress } from "../net/endpoint.ts";
import { formatDuration } from "../option/values.ts";

/**
 * Opens a connection to the application, TLS handshake included, and closes it again without a request.
 * @param timeout milliseconds for the whole attempt.
 * @param tls how the two prove themselves, where that is said.
 */
export async function probeTarget(
  target: TargetAddress,
  timeout: number,
  tls?: TargetTls,
): Promise<{ ok: boolean; lines: string[] }> {
  const where = describeTarget(target);
  if (target.kind === "tunnel")
    return { ok: true, lines: [`${where} is reached while it runs: \`runegate tunnels status\` says how.`] };
  const { promise, resolve } = Promise.withResolvers<{ ok: boolean; lines: string[] }>();
  const socket = open(target, tls);
  const timer = setTimeout(
    () =>
      resolve({ ok: false, lines: [`${where} did not answer within ${formatDuration(timeout)}.`, ADVICE] }),
    timeout,
  );
  socket.once(target.kind === "tcp" && target.tls ? "secureConnect" : "connect", () =>
    resolve({ ok: true, lines: [`${where} accepts connections.`] }),
  );
  // Stays for good: a socket that is being destroyed may still report an error.
  socket.on("error", (error: Error & { code?: string }) =>
    resolve({ ok: false, lines: [`${where} cannot be reached: ${reason(error)}.`, ADVICE] }),
  );
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}

const ADVICE =
  "Check that the application is running, and its address: RUNEGATE_TARGET_SERVICE, or target in routes.toml.";

function open(target: Exclude<TargetAddress, TunnelAddress>, tls: TargetTls | undefined): Socket {
  if (target.kind === "unix") return connect({ path: target.path });
  const { hostname, port } = target;
  if (!target.tls) return connect({ host: hostname, port });
  // An IP address is no server name (RFC 6066 §3).
  const servername = tls?.serverName ?? (isIP(hostname) === 0 ? hostname : undefined);
  return connectTls({
    ...{ host: hostname, port, ca: tls?.ca, cert: tls?.clientCert, key: tls?.clientKey },
    rejectUnauthorized: tls?.verify ?? true,
    ...(servername === undefined ? {} : { servername }),
  });
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there",
  ECONNRESET: "the connection was reset",
  ENOENT: "there is no such socket",
  EACCES: "permission denied",
  ENOTFOUND: "the host name does not resolve",
  EHOSTUNREACH: "there is no route to the host",
  ENETUNREACH: "there is no route to the network",
};

function reason(error: Error & { code?: string }): string {
  return REASONS[error.code ?? ""] ?? error.message;
}
