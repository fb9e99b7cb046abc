import { connect, type DetailedPeerCertificate } from "node:tls";
import type { Stage } from "../process/stage.ts";

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

/** Signs in with a link as an operator prints it. @returns the session's cookie as it was set. */
export async function signIn(stage: Stage, origin: string): Promise<string> {
  const { output } = await stage.command("link", "ada@example.org", "--json");
  const { pathname, search } = new URL((JSON.parse(output) as { link: string }).link);
  const opened = await ask(origin, pathname + search);
  const token = /name="token" value="([^"]+)"/.exec(await opened.text())?.[1] ?? "";
  const headers = {
    Origin: origin,
    "Content-Type": "application/x-www-form-urlencoded",
    "Sec-Fetch-Site": "same-origin",
  };
  const body = new URLSearchParams({ token }).toString();
  const signedIn = await ask(origin, "/_runegate/auth", { method: "POST", headers, body });
  const cookie = signedIn.headers.getSetCookie().find((line) => line.includes("runegate_id"));
  if (cookie === undefined) throw new Error(`not signed in: ${signedIn.status}`);
  return cookie;
}
