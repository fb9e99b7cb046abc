import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Pause } from "../clock.ts";
import type { HostPlace } from "./address.ts";
import { createSyslogFormat } from "./syslog.ts";
import type { Transport } from "./transport.ts";

type Audience = Parameters<typeof createSyslogFormat>[0];

/** What fits into one packet of any network, and what receivers take unless told otherwise. */
const UDP_BYTES = 1_400;
const OTHER_BYTES = 8_000;

/** Sends one datagram to a unix socket, without waiting. @returns whether it was sent. */
export type SendDatagram = (path: string, message: Uint8Array) => boolean;

/** For a daemon that is behind: its socket takes a few messages at a time (unix(7)). */
const BUSY_MS = 10;
const MOST_AT_ONCE = 50;

/** To the daemon of this machine, by a socket of datagrams such as `/dev/log`. */
export function createUnixSyslog(
  path: string,
  audience: Audience,
  { sendDatagram, pause }: { readonly sendDatagram: SendDatagram; readonly pause: Pause },
): Transport {
  const format = createSyslogFormat(audience, OTHER_BYTES);
  return {
    async send(lines, signal) {
      let tries = 0;
      for (const [at, message] of lines.map(format).entries()) {
        while (!sendDatagram(path, message)) {
          signal.throwIfAborted();
          if (++tries > 100) throw new Error(`nobody takes messages at ${path}`);
          await pause(BUSY_MS);
        }
        if (at % MOST_AT_ONCE === MOST_AT_ONCE - 1) await pause(0);
      }
      return 0;
    },
    close() {},
  };
}

/** RFC 5426: one message a datagram, of which nobody says whether it arrives. */
export function createUdpSyslog({ host, port }: HostPlace, audience: Audience): Transport {
  const format = createSyslogFormat(audience, UDP_BYTES);
  return {
    async send(lines) {
      // The name is looked up anew for each batch.
      const socket = await Bun.udpSocket({ connect: { hostname: host, port } });
      try {
        for (const message of lines.map(format)) socket.send(message);
      } finally {
        socket.close();
      }
      return 0;
    },
    close() {},
  };
}

/** RFC 6587 §3.4.1, over TLS RFC 5425: each message after its length. The connection stays open. */
export function createStreamSyslog({ kind, host, port }: HostPlace, audience: Audience): Transport {
  const format = createSyslogFormat(audience, OTHER_BYTES);
  let socket: Socket | undefined;

  async function connected(signal: AbortSignal): Promise<Socket> {
    if (socket?.writable) return socket;
    const servername = isIP(host) ? undefined : host;
    // A certificate that nobody trusts, or of another name, is refused by both defaults.
    const made: Socket =
      kind === "syslog-tls"
        ? connectTls({ host, port, ...(servername === undefined ? {} : { servername }) })
        : connectTcp({ host, port });
    made.on("error", () => made.destroy());
    await settled(made, signal, (done) =>
      made.once(kind === "syslog-tls" ? "secureConnect" : "connect", () => done()),
    );
    // Nothing is ever said to us; what is not read would keep the end of the connection from being seen.
    made.resume();
    made.unref();
    socket = made;
    return made;
  }

  return {
    async send(lines, signal) {
      const to = await connected(signal);
      const frames = lines.map(format).flatMap((message) => [Buffer.from(`${message.length} `), message]);
      await settled(to, signal, (done) => to.write(Buffer.concat(frames), done));
      return 0;
    },
    close() {
      socket?.end();
    },
  };
}

/** Waits for one step on a socket, which is given up where the step fails or takes too long. */
async function settled(
  socket: Socket,
  signal: AbortSignal,
  step: (done: (error?: Error | null) => void) => void,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const closed = () => reject(new Error("the connection was closed"));
  const late = () => reject(signal.reason);
  socket.once("error", reject).once("close", closed);
  signal.addEventListener("abort", late, { once: true });
  step((error) => (error ? reject(error) : resolve()));
  try {
    await promise;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    signal.removeEventListener("abort", late);
    socket.off("close", closed);
    socket.off("error", reject);
  }
}
