import type { Socket, SocketHandler } from "bun";
import type { Stream } from "../yamux/session.ts";

/** A stream of a tunnel and a socket, joined: each is read only as fast as the other takes it. */

/** What belongs to a socket that is joined, or is to be. */
export type Joined = {
  readonly stream: Stream;
  /** Of the stream, on its way to the socket. */
  readonly queue: Uint8Array[];
  socket: Socket<Joined> | undefined;
  /** The other end of the tunnel sends no more. */
  theyEnded: boolean;
  /** The socket's peer has ended in good order. */
  ended: boolean;
  /** The socket is gone. */
  closed: boolean;
};

/** A program that has been told that nobody listens has so long to end. */
const ORPHAN_MS = 60_000;
/** Bytes of a piece that waits, before the next is another one. */
const SMALL = 4_096;

/** Listens to the stream from now on; what comes before there is a socket waits, up to a window. */
export function joinStream(stream: Stream): Joined {
  const joined: Joined = {
    stream,
    queue: [],
    socket: undefined,
    theyEnded: false,
    ended: false,
    closed: false,
  };
  stream.listen({
    data(bytes) {
      // Nobody reads it any more: the other end is told so, as TCP tells it.
      if (joined.closed) return stream.reset();
      const rest = joined.queue.length === 0 ? send(joined, bytes) : bytes;
      if (rest.byteLength > 0 && !joined.closed) keep(joined.queue, rest);
    },
    end() {
      joined.theyEnded = true;
      flush(joined);
    },
    reset() {
      joined.closed = true;
      joined.queue.length = 0;
      joined.socket?.terminate();
    },
    drain: () => joined.socket?.resume(),
  });
  return joined;
}

/** @returns what the socket did not take. */
function send({ socket, stream }: Joined, bytes: Uint8Array): Uint8Array {
  const written = socket === undefined ? 0 : Math.max(0, socket.write(bytes));
  if (written > 0) stream.taken(written);
  return bytes.subarray(written);
}

/** What waits is a copy, since a part of a message keeps all of it; and small pieces become one, since each costs more than it holds. */
export function keep(queue: Uint8Array[], bytes: Uint8Array): void {
  const last = queue.at(-1);
  if (last === undefined || last.byteLength + bytes.byteLength > SMALL) {
    queue.push(new Uint8Array(bytes));
    return;
  }
  const both = new Uint8Array(last.byteLength + bytes.byteLength);
  both.set(last);
  both.set(bytes, last.byteLength);
  queue[queue.length - 1] = both;
}

function flush(joined: Joined): void {
  const { socket, queue } = joined;
  if (socket === undefined || joined.closed) return;
  for (let first = queue[0]; first !== undefined; first = queue[0]) {
    const rest = send(joined, first);
    if (joined.closed) return;
    if (rest.byteLength > 0) {
      queue[0] = rest;
      return;
    }
    queue.shift();
  }
  if (joined.theyEnded) socket.end();
}

/** The socket's side of it, for `Bun.listen` and `Bun.connect`, whose sockets have a {@link Joined} as their data. */
export const PIPE: Pick<SocketHandler<Joined>, "data" | "drain" | "end" | "close" | "error"> = {
  data(socket, bytes) {
    if (!socket.data.stream.write(bytes)) socket.pause();
  },
  drain: (socket) => flush(socket.data),
  end(socket) {
    socket.data.ended = true;
  },
  close(socket, error) {
    const joined = socket.data;
    if (joined.closed) return;
    joined.closed = true;
    joined.queue.length = 0;
    // What broke off must not look as if it were whole.
    if (error != null || !(joined.ended || joined.theyEnded)) return joined.stream.reset();
    joined.stream.end();
    if (!joined.theyEnded) setTimeout(() => joined.stream.reset(), ORPHAN_MS).unref();
  },
  error(socket) {
    socket.terminate();
  },
};

/** Once there is a socket. */
export function attach(socket: Socket<Joined>): void {
  const joined = socket.data;
  joined.socket = socket;
  if (joined.closed) socket.terminate();
  else flush(joined);
}
