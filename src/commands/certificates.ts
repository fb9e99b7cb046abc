import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { connect } from "node:tls";
import { orderedNames } from "../certificates/names.ts";
import { loadAccess } from "../config/configuration.ts";
import { ControlError, connectControl } from "../control/client.ts";
import { EXIT } from "../exit.ts";
import type { ListenAddress } from "../net/endpoint.ts";
import { messageOf } from "../observe/message-of.ts";
import { SECOND } from "../option/values.ts";
import { hostsOf } from "../process/hosts.ts";
import type { Io } from "../process/io.ts";
import { type Command, failed, type Outcome, UsageError } from "./command.ts";
import { minutes, table } from "./table.ts";

const WITHIN_MS = 5 * SECOND;

/** `runegate certificates`: what visitors are shown, and ordering it anew. */
export const certificates: Command = {
  name: "certificates",
  summary: "list the certificates that are served, or order them anew",
  help: `Usage: runegate certificates [list]
       runegate certificates renew

  list    asks the gateway that listens at RUNEGATE_LISTEN on this machine for each
          of its hosts, as a browser would, and says what it is shown (the default)
  renew   has the running instance order a certificate for each host now, whether
          or not it is time, where RUNEGATE_TLS is acme: after a key got out, or
          when what kept them from being given is mended. How it went is in the
          log and in the list. Authorities give only so many in a week.

Exit codes: ${EXIT.done} done, ${EXIT.failed} a host has no certificate that is good now, or the running
instance was not reached.

Example: runegate certificates`,

  readsOptions: true,
  words: ["list", "renew"],
  takes: { least: 0, most: 1, what: "list or renew" },

  async run({ words: [verb = "list"] }, io) {
    if (verb !== "list" && verb !== "renew")
      throw new UsageError(`certificates takes list or renew, not ${verb}.`);
    const access = loadAccess(io);
    const { tls, listen, controlSocket } = access.options;
    if (tls === "off" || listen.kind === "unix")
      return failed(io, "RUNEGATE_TLS is off: whatever is in front has the certificates.");
    if (verb === "list") return list(hostsOf(access), listen, io);
    if (tls !== "acme") return failed(io, `RUNEGATE_TLS is ${tls}: nothing is ordered.`);
    if (controlSocket === undefined)
      return failed(io, "RUNEGATE_CONTROL_SOCKET is off, so the running instance cannot be reached.");
    try {
      await connectControl(controlSocket).renewCertificates();
    } catch (error) {
      if (!(error instanceof ControlError)) throw error;
      return failed(io, error.message);
    }
    io.out("They are being ordered: the log and `runegate certificates` say how it goes.");
    return { data: { ordered: orderedNames(hostsOf(access), access.options.acmeWildcards) } };
  },
};

/** As a visitor sees it. `problem` is why a browser would warn. */
export type Served = {
  readonly host: string;
  readonly issuer?: string;
  /** RFC 3339. */
  readonly from?: string;
  readonly until?: string;
  readonly problem?: string;
};

async function list(
  hosts: readonly string[],
  listen: ListenAddress & { readonly kind: "tcp" },
  io: Io,
): Promise<Outcome> {
  const served = await Promise.all(hosts.map((host) => look(host, listen)));
  const rows = served.map(({ host, issuer = "", until, problem = "" }) => [
    ...[host, until === undefined ? "" : minutes(until), issuer, problem],
  ]);
  io.out(table([["HOST", "UNTIL", "FROM", "PROBLEM"], ...rows]));
  const isGood = served.every(({ problem }) => problem === undefined);
  return { code: isGood ? EXIT.done : EXIT.failed, data: { certificates: served } };
}

/** Asks as a visitor's browser would, from this machine. */
export function look(
  host: string,
  { hostname, port }: ListenAddress & { readonly kind: "tcp" },
): Promise<Served> {
  const { promise, resolve } = Promise.withResolvers<Served>();
  // Of a wildcard, one of its names.
  const name = host.replace("*", "www");
  const socket = connect({
    ...{ host: HERE[hostname] ?? hostname, port, timeout: WITHIN_MS, rejectUnauthorized: false },
    ...(isIP(name) === 0 ? { servername: name } : {}),
  });
  const fail = (problem: string) => {
    resolve({ host, problem });
    socket.destroy();
  };
  socket.on("timeout", () => fail(`no answer within ${WITHIN_MS / SECOND} seconds`));
  socket.on("error", (error) => fail(messageOf(error)));
  socket.on("secureConnect", () => {
    const { raw } = socket.getPeerCertificate();
    resolve({ host, ...factsOf(new X509Certificate(raw), name, socket.authorizationError) });
    socket.destroy();
  });
  return promise;
}

/** Where a gateway that listens everywhere is reached from its own machine. */
const HERE: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };

function factsOf(certificate: X509Certificate, name: string, untrusted: Error | string | undefined) {
  const { issuer, validFrom, validTo } = certificate;
  const lines = issuer.split("\n").flatMap((line) => /^(?:O|CN)=(.*)$/.exec(line)?.[1] ?? []);
  const isFor = isIP(name) === 0 ? certificate.checkHost(name) : certificate.checkIP(name);
  const problem = isFor === undefined ? "is for other names" : problemIn(untrusted);
  return {
    issuer: lines.join(", "),
    from: new Date(validFrom).toISOString(),
    until: new Date(validTo).toISOString(),
    ...(problem === undefined ? {} : { problem }),
  };
}

/** In the words of OpenSSL (openssl-verification-options(1)), where there are no better ones. */
function problemIn(untrusted: Error | string | undefined): string | undefined {
  if (untrusted == null) return undefined;
  const code = typeof untrusted === "string" ? untrusted : "code" in untrusted ? String(untrusted.code) : "";
  if (code === "CERT_HAS_EXPIRED") return "has expired";
  if (code === "CERT_NOT_YET_VALID") return "is not valid yet";
  return `no browser knows whom it is from (${code || messageOf(untrusted)})`;
}
