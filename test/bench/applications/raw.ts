import type { Socket } from "bun";

/**
 * An application that costs as little as possible, so that the proxy in front of it is what is measured: hardly any HTTP over
 * plain sockets. `GET /bytes/N` sends N bytes, `GET /events` an event and then nothing, for ever; of any other request the body
 * is read and thrown away. Bodies need a `Content-Length`. Argument: the port to listen on.
 */

type Connection = {
  /** Of a request whose head is not complete yet. */
  head: string;
  /** Bytes of the request's body still to come. */
  incoming: number;
  /** Bytes of the response's body still to be sent. */
  outgoing: number;
};

const HEAD_END = "\r\n\r\n";
const PIECE = new Uint8Array(1 << 20).fill(120);

Bun.listen<Connection>({
  hostname: "127.0.0.1",
  port: Number(process.argv[2]),
  socket: {
    open(socket) {
      socket.data = { head: "", incoming: 0, outgoing: 0 };
    },
    data(socket, bytes) {
      const { data } = socket;
      if (data.incoming > 0) {
        received(socket, bytes.byteLength);
        return;
      }
      data.head += bytes.toString("latin1");
      const end = data.head.indexOf(HEAD_END);
      if (end === -1) return;
      const head = data.head.slice(0, end);
      const rest = data.head.length - end - HEAD_END.length;
      data.head = "";
      begin(socket, head, rest);
    },
    drain: send,
  },
});

function begin(socket: Socket<Connection>, head: string, rest: number): void {
  const { data } = socket;
  const path = head.split(" ", 2)[1] ?? "";
  const size = /^\/bytes\/(\d+)$/.exec(path)?.[1];
  if (size !== undefined) {
    socket.write(
      `HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: ${size}${HEAD_END}`,
    );
    data.outgoing = Number(size);
    send(socket);
  } else if (path === "/events") {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Type: text/event-stream${HEAD_END}data: hello\n\n`);
  } else if (/^transfer-encoding:/im.test(head)) {
    socket.end(`HTTP/1.1 411 Length Required\r\nContent-Length: 0${HEAD_END}`);
  } else {
    data.incoming = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
    received(socket, rest);
  }
}

function received(socket: Socket<Connection>, bytes: number): void {
  const { data } = socket;
  data.incoming -= bytes;
  if (data.incoming > 0) return;
  socket.write(`HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3${HEAD_END}ok\n`);
}

function send(socket: Socket<Connection>): void {
  const { data } = socket;
  while (data.outgoing > 0) {
    const wanted = Math.min(data.outgoing, PIECE.byteLength);
    const sent = socket.write(PIECE, 0, wanted);
    if (sent > 0) data.outgoing -= sent;
    if (sent < wanted) return;
  }
}
