import { mkdirSync, rmSync } from "node:fs";
import type { ServerWebSocket } from "bun";
import { attach, type Joined, joinStream, PIPE } from "../connect/pipe.ts";
import {
  BEAT_MS,
  DEAD_MS,
  HIGH_WATER,
  MOST_MESSAGE,
  MOST_STREAMS,
  PROTOCOL,
  writeService,
} from "../connect/protocol.ts";
import { failure } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import type { OpenOwnSocket } from "../edge/own-socket.ts";
import type { House, Leave } from "../house.ts";
import { checkPlace } from "../net/directory.ts";
import type { TunnelAddress } from "../net/endpoint.ts";
import { bindUnixSocket } from "../net/unix-socket.ts";
import { messageOf } from "../observe/message-of.ts";
import { createBucket } from "../yamux/bucket.ts";
import { createSession, MOST_WAITING, type Session } from "../yamux/session.ts";
import { TUNNEL_CONNECTED, TUNNEL_REFUSED } from "./audit.ts";
import type { TunnelBook } from "./book.ts";
import { LINKS, type LinkRecord } from "./record.ts";
import { removeDead, socketKey } from "./sockets.ts";

/** The connectors that are connected to this process, and the sockets by which all processes reach them. */
export type Connectors = {
  readonly open: OpenOwnSocket;
  /** See `Room.leave`. What goes through those that are here goes on. */
  leave(how: Leave): void;
  /** Ends what is left. */
  stop(): void;
  /** Of those in this process, by tunnel. */
  counts(): readonly TunnelCounts[];
};

export type TunnelCounts = {
  readonly tunnel: string;
  readonly connections: number;
  readonly streams: number;
};

type Connector = {
  readonly name: string;
  readonly id: string;
  readonly since: number;
  readonly from: string;
  readonly version: string;
  readonly holds: () => Promise<boolean>;
  session: Session;
  socket: ServerWebSocket<unknown> | undefined;
  /** It has another connection up. */
  draining: boolean;
  roundTrip: number | null;
  /** When it was last heard, on the monotonic clock. */
  heardAt: number;
  /** When the store last said that its token holds. */
  heldAt: number;
};

/** A token that is revoked ends what goes on with it within five seconds. */
const SWEEP_MS = 2_000;
/** How often connectors are looked at that are to end. */
const LOOK_MS = 100;
const STOPPING = "the server is stopping";
/** For so long a store that does not answer is waited for. */
const UNANSWERED_MS = 3_000;
/** Of one tunnel, at one process. */
const MOST_CONNECTORS = 16;
/** How often one tunnel's connectors may come at once, and each second: each time is noted in the audit and in the store. */
const COMINGS = [60, 1] as const;
/** Milliseconds that a connector is shown after its last heart-beat. */
const SHOWN_MS = DEAD_MS;

type TunnelHouse = Pick<
  House,
  "options" | "routes" | "tunnels" | "stores" | "limiter" | "audit" | "loggers" | "clock" | "random"
>;

export function createConnectors(house: TunnelHouse, book: TunnelBook): Connectors {
  const { clock, audit, options } = house;
  const { sockets } = house.tunnels;
  const log = house.loggers("proxy");
  const links = house.stores.records(LINKS);
  const all = new Set<Connector>();
  /** By their key, what listens for each target behind a tunnel that is up here. */
  const listening = new Map<
    string,
    { readonly path: string; found: boolean; release(): void; close(): void }
  >();
  const targets = house.routes.all
    .flatMap((route) => route.targets)
    .flatMap(({ address }) => (address.kind === "tunnel" ? [address] : []));
  const comings = new Map<string, () => boolean>();
  let leaving = false;
  let looks: ReturnType<typeof setInterval> | undefined;
  let beats: ReturnType<typeof setInterval> | undefined;
  let sweeps: ReturnType<typeof setInterval> | undefined;

  /** Of those that are there, the one with the least to do; of those that are about to go, only where there is no other. */
  function choose(name: string): Connector | undefined {
    const rank = ({ draining, session }: Connector) => session.size + (draining ? MOST_STREAMS : 0);
    const there = [...all].filter((one) => one.name === name && one.socket !== undefined);
    return there.sort((a, b) => rank(a) - rank(b))[0];
  }

  function listenFor(address: TunnelAddress): void {
    const key = socketKey(address);
    if (listening.get(key)?.found === true) return;
    listening.get(key)?.close();
    mkdirSync(options.tunnelDirectory, { recursive: true, mode: 0o700 });
    checkPlace(options.tunnelDirectory);
    removeDead(options.tunnelDirectory);
    const path = sockets.ownPath(address);
    // Left behind by a process that had the same id.
    rmSync(path, { force: true });
    const { server, release } = bindUnixSocket(path, { mode: 0o600 }, (unix) =>
      Bun.listen<Joined>({
        unix,
        socket: {
          ...PIPE,
          open(socket) {
            const stream = choose(address.name)?.session.open();
            if (stream === undefined) return void socket.terminate();
            socket.data = joinStream(stream);
            stream.write(writeService(address.service));
            attach(socket);
          },
        },
      }),
    );
    listening.set(key, {
      path,
      found: true,
      release() {
        this.found = false;
        release();
      },
      close() {
        release();
        server.stop();
      },
    });
  }

  /**
   * Listens for what is up, and for nothing else. Where all are about to go, which have other connections by then, nobody finds
   * the socket any more, and whoever has found it is served.
   */
  function listenForAll(): void {
    const there = [...all].filter((one) => one.socket !== undefined);
    const found = new Map<string, string>();
    for (const address of targets) {
      const key = socketKey(address);
      const ours = there.filter(({ name }) => name === address.name);
      if (ours.some(({ draining }) => !draining)) {
        listenFor(address);
        found.set(key, listening.get(key)?.path ?? "");
      } else if (ours.length > 0) listening.get(key)?.release();
      else {
        listening.get(key)?.close();
        listening.delete(key);
      }
    }
    sockets.changed(found);
  }

  function linkOf(one: Connector): LinkRecord {
    const { name: tunnel, since, from, version, roundTrip, session } = one;
    const { size: streams, sent, received } = session;
    return { ...{ tunnel, since, from, version, roundTrip, streams, sent, received } };
  }

  async function show(one: Connector): Promise<void> {
    try {
      await links.take(one.id, "light");
      if (all.has(one)) await links.add(one.id, linkOf(one), clock.now() + SHOWN_MS, "light");
      await book.see(one.name);
    } catch (error) {
      log.debug("a connector could not be noted", { tunnel: one.name, reason: messageOf(error) });
    }
  }

  function beat(): void {
    for (const one of all) {
      ask(one);
      void show(one);
    }
  }

  function ask(one: Connector): void {
    void one.session.ping().then((ms) => {
      one.roundTrip = ms;
    });
  }

  function sweep(): void {
    const now = clock.monotonic();
    for (const one of all) {
      if (now - one.heardAt >= DEAD_MS) {
        end(one, "says nothing any more");
        continue;
      }
      one.holds().then(
        (holds) => {
          if (holds) one.heldAt = clock.monotonic();
          else end(one, "its token was revoked");
        },
        () => now - one.heldAt >= UNANSWERED_MS && end(one, "its token cannot be verified"),
      );
    }
  }

  book.onRevoked((name) => {
    for (const one of all) if (one.name === name) end(one, "its token was revoked");
  });

  function end(one: Connector, why: string | undefined): void {
    if (!all.delete(one)) return;
    one.session.close();
    one.socket?.terminate();
    one.socket = undefined;
    listenForAll();
    void show(one);
    log.info("a connector has left", { tunnel: one.name, client: one.from, reason: why ?? "by itself" });
    if (all.size > 0) return;
    clearInterval(beats);
    clearInterval(sweeps);
    beats = undefined;
    sweeps = undefined;
  }

  function endIdle(): void {
    for (const one of all) if (one.session.size === 0) end(one, STOPPING);
  }

  function begin(one: Connector, socket: ServerWebSocket<unknown>): void {
    one.socket = socket;
    all.add(one);
    beats ??= setInterval(beat, BEAT_MS).unref();
    sweeps ??= setInterval(sweep, SWEEP_MS).unref();
    try {
      listenForAll();
    } catch (error) {
      log.error("a tunnel has no socket", { tunnel: one.name, reason: messageOf(error) });
      end(one, "no socket");
      return;
    }
    audit(TUNNEL_CONNECTED, { of: one.name, client: one.from, version: one.version });
    void show(one);
    ask(one);
    if (leaving) one.session.goAway();
  }

  function make(name: string, arrival: Arrival, holds: () => Promise<boolean>): Connector {
    const [, version = "unknown"] =
      /^Runegate\/([\w.+-]{1,32})/.exec(arrival.headers["user-agent"] ?? "") ?? [];
    const waiting = () => one.socket?.getBufferedAmount() ?? 0;
    const session = createSession({
      role: "server",
      transport: {
        send: (bytes) => void one.socket?.sendBinary(bytes),
        full: () => waiting() > HIGH_WATER,
        waiting,
      },
      goAway() {
        one.draining = true;
        listenForAll();
      },
      closed: (why) => end(one, why),
      most: MOST_STREAMS,
      clock,
    });
    const now = clock.monotonic();
    const one: Connector = {
      ...{ name, holds, session, version, from: arrival.client.ip, since: clock.now() },
      id: Buffer.from(house.random.bytes(12)).toString("base64url"),
      ...{ socket: undefined, draining: false, roundTrip: null, heardAt: now, heldAt: now },
    };
    return one;
  }

  function mayCome(name: string): boolean {
    const one = comings.get(name) ?? createBucket(...COMINGS, clock);
    comings.set(name, one);
    return one();
  }

  const open: OpenOwnSocket = async (arrival, server) => {
    const { headers, client } = arrival;
    if (headers.upgrade?.toLowerCase() !== "websocket" || headers["sec-websocket-protocol"] !== PROTOCOL)
      return failure(arrival, NO_CONNECTOR);
    if (leaving) return failure(arrival, LEAVING);
    const name = new URLSearchParams(arrival.target.search).get("name") ?? "";
    const [, token = ""] = /^Bearer (\S+)$/.exec(headers.authorization ?? "") ?? [];
    const verified = await book.verify(name, token);
    if (typeof verified === "string") {
      audit(TUNNEL_REFUSED, { client: client.ip, reason: verified });
      const limited = await house.limiter.failedKey(client);
      return failure(arrival, limited.allowed ? NO_TOKEN : TOO_MANY_TRIES);
    }
    if ([...all].filter((one) => one.name === name).length >= MOST_CONNECTORS)
      return failure(arrival, TOO_MANY);
    if (!mayCome(name)) return failure(arrival, TOO_MANY_TRIES);
    const one = make(name, arrival, verified.holds);
    const data = {
      own: {
        open: (socket: ServerWebSocket<unknown>) => begin(one, socket),
        message(bytes: Uint8Array) {
          if (bytes.byteLength > MOST_MESSAGE) return end(one, "sends too large a message");
          one.heardAt = clock.monotonic();
          one.session.receive(bytes);
        },
        drain: () => one.session.resume(),
        ping() {
          if ((one.socket?.getBufferedAmount() ?? 0) > MOST_WAITING) end(one, "reads nothing");
        },
        close() {
          end(one, undefined);
        },
      },
    };
    // What is small may be long when it is taken apart, and that costs us more than whoever sends it.
    arrival.request.headers.delete("sec-websocket-extensions");
    const upgraded = server.upgrade(arrival.request, {
      data,
      headers: { "Sec-WebSocket-Protocol": PROTOCOL },
    });
    return upgraded ? undefined : failure(arrival, NO_CONNECTOR);
  };

  return {
    open,
    leave(how) {
      leaving = how !== "stay";
      if (leaving) for (const one of all) one.session.goAway();
      clearInterval(looks);
      // The server ends with its last WebSocket, and those of connectors have no end of their own.
      if (how === "stop") looks = setInterval(endIdle, LOOK_MS).unref();
    },
    counts: () =>
      [...Map.groupBy(all, ({ name }) => name)].map(([tunnel, ones]) => ({
        ...{ tunnel, connections: ones.length },
        streams: ones.reduce((sum, { session }) => sum + session.size, 0),
      })),
    stop() {
      clearInterval(looks);
      for (const one of all) end(one, STOPPING);
    },
  };
}

const NO_CONNECTOR = {
  status: 426,
  error: "no_connector",
  title: "For connectors alone",
  message: "Connectors come here by a WebSocket: `runegate connect`.",
  headers: [
    ["Connection", "Upgrade"],
    ["Upgrade", "websocket"],
  ],
} as const;
const NO_TOKEN = {
  status: 401,
  error: "invalid_token",
  title: "Not a token of this tunnel",
  message: "This token is not good for this tunnel.",
  headers: [["WWW-Authenticate", 'Bearer realm="runegate", error="invalid_token"']],
} as const;
const TOO_MANY_TRIES = {
  status: 429,
  error: "rate_limited",
  title: "Too many tries",
  message: "Try again in a minute.",
  headers: [["Retry-After", "60"]],
} as const;
const TOO_MANY = {
  status: 429,
  error: "too_many_connectors",
  title: "Too many connectors",
  message: `A tunnel has at most ${MOST_CONNECTORS} connections to one process.`,
} as const;
const LEAVING = {
  status: 503,
  error: "stopping",
  title: "Stopping",
  message: "Another process takes over; connect again.",
  headers: [
    ["Connection", "close"],
    ["Retry-After", "1"],
  ],
} as const;
