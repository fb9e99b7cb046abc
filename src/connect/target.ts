import type { Socket } from "bun";
import { directAddress, TUNNEL_NAME } from "../net/endpoint.ts";
import { quote, ValueError } from "../option/value-error.ts";
import type { Stream } from "../yamux/session.ts";
import { attach, type Joined, joinStream, keep, PIPE } from "./pipe.ts";
import { readService } from "./protocol.ts";

/** What may be reached from the other end, and nothing else: by name, of which one may be empty. */
export type Services = ReadonlyMap<string, ReturnType<typeof directAddress>>;

/** `http://127.0.0.1:7860`, or with a name before it: `grafana=http://127.0.0.1:3000`. @throws {ValueError} */
export function readServices(written: readonly string[]): Services {
  const services = new Map<string, ReturnType<typeof directAddress>>();
  for (const one of written) {
    const [, name = "", address = one] = /^([^=:/]*)=(.*)$/.exec(one) ?? [];
    if (name !== "" && !TUNNEL_NAME.test(name))
      throw new ValueError(
        `has no name before the "=": ${quote(one)}`,
        "Write grafana=http://127.0.0.1:3000.",
      );
    if (services.has(name))
      throw new ValueError(`is there twice: ${quote(name)}`, "Give each target a name of its own.");
    services.set(name, directAddress(address));
  }
  return services;
}

/** Takes a stream: reads what it is to reach, and joins it with that. What was not offered is reset. */
export function takeStream(stream: Stream, services: Services): void {
  let head: Uint8Array = new Uint8Array();
  stream.listen({
    data(bytes) {
      head = head.byteLength === 0 ? new Uint8Array(bytes) : Buffer.concat([head, bytes]);
      const read = readService(head);
      if (read === undefined) return;
      stream.taken(read.took);
      const address = services.get(read.service);
      if (address === undefined) return stream.reset();
      const joined = joinStream(stream);
      if (head.byteLength > read.took) keep(joined.queue, head.subarray(read.took));
      void dial(address, joined);
    },
    end: () => stream.reset(),
    reset() {},
    drain() {},
  });
}

/** For a connection to the application: as long as a gateway waits for one. */
const DIAL_MS = 10_000;

async function dial(address: ReturnType<typeof directAddress>, joined: Joined): Promise<void> {
  const giveUp = () => {
    joined.closed = true;
    joined.stream.reset();
  };
  const patience = setTimeout(() => joined.socket === undefined && giveUp(), DIAL_MS);
  patience.unref();
  const socket = {
    ...PIPE,
    open(opened: Socket<Joined>) {
      // With TLS, there is nothing to write to yet.
      if (address.kind === "unix" || !address.tls) attach(opened);
    },
    handshake(opened: Socket<Joined>, success: boolean) {
      if (success) attach(opened);
      else opened.terminate();
    },
    connectError: giveUp,
  };
  try {
    if (address.kind === "unix") await Bun.connect<Joined>({ unix: address.path, data: joined, socket });
    else {
      const { hostname, port, tls } = address;
      await Bun.connect<Joined>({
        ...{ hostname, port, data: joined, socket },
        ...(tls ? { tls: { rejectUnauthorized: true, serverName: hostname } } : {}),
      });
    }
  } catch {
    giveUp();
  } finally {
    if (joined.socket !== undefined) clearTimeout(patience);
  }
}
