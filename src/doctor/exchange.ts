import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

/** One request as it is written, spelling and all, which `fetch` would put right. */
export type Sent = {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  /** Header lines beside `Host`. */
  readonly lines: readonly string[];
  /** As it goes over the wire, framing included. */
  readonly body?: string;
};

export type Answer = {
  readonly status: number;
  readonly location: string | undefined;
};

export type Exchange = (origin: URL, sent: Sent) => Promise<Answer>;

const WITHIN_MS = 10_000;
const LONGEST_HEAD = 64 * 1024;

/**
 * Sends a request on a connection of its own, and reads the head of the answer (HTTP/1.1, RFC 9112).
 * @throws with the reason, where the server cannot be reached, is not whom its certificate should name, or gives no answer.
 */
export const exchange: Exchange = async (origin, { method, target, lines, body = "" }) => {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const socket = open(origin);
  const timer = setTimeout(() => reject(new Error("no answer within 10 seconds")), WITHIN_MS);
  let received = "";
  socket.setEncoding("latin1");
  socket.once(origin.protocol === "https:" ? "secureConnect" : "connect", () => {
    // No `Connection: close`: no browser sends that.
    const head = [`${method} ${target} HTTP/1.1`, `Host: ${origin.host}`, ...lines];
    socket.write(`${head.join("\r\n")}\r\n\r\n${body}`, "latin1");
  });
  socket.on("data", (text: string) => {
    received += text;
    if (!"HTTP/1.".startsWith(received.slice(0, 7)))
      reject(new Error("what answers does not speak HTTP/1.1"));
    const answer = answerIn(received);
    if (answer !== undefined) resolve(answer);
    else if (received.length > LONGEST_HEAD) reject(new Error("the answer has no end to its head"));
  });
  // Stays for good: a socket that is being destroyed may still report an error.
  socket.on("error", reject);
  socket.on("close", () => reject(new Error("the connection was closed without an answer")));
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
};

function open({ protocol, hostname, port }: URL): Socket {
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  if (protocol === "http:") return connect({ host, port: Number(port || 80) });
  // An IP address is no server name (RFC 6066 §3).
  const name = isIP(host) === 0 ? { servername: host } : {};
  return connectTls({ host, port: Number(port || 443), rejectUnauthorized: true, ...name });
}

/** Passes over interim answers (RFC 9110 §15.2), but for the one that ends HTTP. */
function answerIn(received: string): Answer | undefined {
  const end = received.indexOf("\r\n\r\n");
  if (end === -1) return undefined;
  const head = received.slice(0, end);
  const status = Number(/^\S+ (\d{3})/.exec(head)?.[1] ?? 0);
  if (status >= 100 && status < 200 && status !== 101) return answerIn(received.slice(end + 4));
  return { status, location: /^location:[ \t]*(.*?)[ \t]*$/im.exec(head)?.[1] };
}
