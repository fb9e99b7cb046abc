import type { Socket } from "bun";

/**
 * People, or somebody who plays them, that all ask for login links at once: each sends its next request as soon as it has its
 * answer, from another /48 and for another address every time, so that no limit stops any of them. Arguments: the gateway's
 * port, how many, for how many seconds, the domain. Prints how often which status came, as JSON.
 */

const [port = 0, count = 0, seconds = 0] = process.argv.slice(2, 5).map(Number);
const domain = process.argv[5] ?? "";
const statuses: Record<string, number> = {};
let asked = 0;
let over = false;

function ask(): string {
  const number = ++asked;
  const body = JSON.stringify({ email: `asker-${process.pid}-${number}@${domain}` });
  const client = `2a0${(number >> 16) & 15}:${(number & 0xffff).toString(16)}:1::1`;
  return [
    "POST /_runegate/login HTTP/1.1",
    `Host: 127.0.0.1:${port}`,
    "Content-Type: application/json",
    `X-Forwarded-For: ${client}`,
    `Content-Length: ${body.length}`,
    "",
    body,
  ].join("\r\n");
}

type Answer = { received: string };

const handler: Bun.SocketHandler<Answer> = {
  open(socket) {
    socket.write(ask());
  },
  data(socket, bytes) {
    socket.data.received += bytes.toString("latin1");
    const { received } = socket.data;
    const head = received.indexOf("\r\n\r\n");
    if (head === -1) return;
    const length = Number(/^content-length: *(\d+)/im.exec(received.slice(0, head))?.[1] ?? 0);
    if (received.length < head + 4 + length) return;
    const status = received.slice(9, 12);
    statuses[status] = (statuses[status] ?? 0) + 1;
    socket.data.received = "";
    next(socket);
  },
  close() {
    if (!over) void connect();
  },
  error() {
    // `close` follows.
  },
};

function next(socket: Socket<Answer>): void {
  if (over) socket.end();
  else socket.write(ask());
}

async function connect(): Promise<void> {
  try {
    await Bun.connect<Answer>({ hostname: "127.0.0.1", port, data: { received: "" }, socket: handler });
  } catch {
    statuses.failed = (statuses.failed ?? 0) + 1;
  }
}

for (let asker = 0; asker < count; asker++) void connect();
setTimeout(() => {
  over = true;
  console.log(JSON.stringify(statuses));
  process.exit(0);
}, seconds * 1000);
