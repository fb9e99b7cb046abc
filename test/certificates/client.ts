import { connect, type DetailedPeerCertificate } from "node:tls";

/** A client of TLS at a port of this machine, whatever name it says. */

export type Shown = {
  readonly names: string;
  /** SHA-256, in hexadecimal. */
  readonly fingerprint: string;
  readonly protocol: string | null;
  /** Whether the certificate is for the name, and of the authority that was given. */
  readonly trusted: boolean;
};

/** What it is shown when it says this name. @param more options of `node:tls` */
export function shown(port: number, servername: string | undefined, more: object = {}): Promise<Shown> {
  return new Promise((resolve, reject) => {
    const socket = connect(
      {
        host: "127.0.0.1",
        port,
        rejectUnauthorized: false,
        ...(servername === undefined ? {} : { servername }),
        ...more,
      },
      () => {
        const { subjectaltname = "", fingerprint256 = "" }: Partial<DetailedPeerCertificate> =
          socket.getPeerCertificate();
        resolve({
          names: subjectaltname,
          fingerprint: fingerprint256,
          protocol: socket.getProtocol(),
          trusted: socket.authorized,
        });
        socket.destroy();
      },
    );
    socket.on("error", reject);
  });
}

/** A request to an origin of ours, wherever its name leads. */
export const ask = (origin: string, path: string, init: BunFetchRequestInit = {}) =>
  fetch(origin.replace(/\/\/[^:]+/, "//127.0.0.1") + path, {
    redirect: "manual",
    keepalive: false,
    tls: { rejectUnauthorized: false },
    ...init,
    headers: { Host: new URL(origin).host, ...(init.headers as Record<string, string>) },
  });
