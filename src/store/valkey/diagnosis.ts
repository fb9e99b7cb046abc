import { connect as connectPlain, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { ValkeyRefusal } from "./refusal.ts";

/**
 * Why a connection fails. Bun's client says no more than that it was closed, whether nobody listens, the certificate is
 * not trusted or the password is wrong; so this goes the same way once more by hand and listens to what is said.
 * @returns a sentence for the operator, without user, password or address.
 */
export async function diagnose(url: string, timeoutMs: number): Promise<string> {
  const { protocol, hostname, port, username, password } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, "");
  const tls = protocol === "rediss:";
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket: Socket = tls
    ? connectTls({ host, port: Number(port), ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }) })
    : connectPlain({ host, port: Number(port) });
  socket.setTimeout(timeoutMs, () => resolve("The Valkey server does not answer."));
  socket.on("error", (error) => resolve(inWords(error)));
  socket.on("close", () => resolve(tls ? NO_TLS : "The Valkey server closes the connection."));
  let said = "";
  socket.on("data", (bytes) => {
    said += bytes.toString("latin1");
    const lines = said.split("\r\n");
    const refusal = lines.find((line) => line.startsWith("-"));
    if (refusal !== undefined) resolve(new ValkeyRefusal(refusal.slice(1)).message);
    else if (lines.includes("+PONG")) resolve("The Valkey server closed the connection.");
    else if (!/^[+$*%:\-_\r]/.test(said)) resolve("What listens there is no Valkey server.");
  });
  const credentials = [username || "default", password].map(decoded);
  if (password !== "") socket.write(command("AUTH", ...credentials));
  socket.write(command("PING"));
  try {
    return await promise;
  } finally {
    socket.destroy();
  }
}

/** As Bun's client does it, which takes a percent sign that begins nothing for itself. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const NO_TLS = "The Valkey server closes the connection while TLS is set up.";

/** RESP, the protocol's one form for commands: an array of strings. */
function command(...words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("")}`;
}

function inWords(error: Error & { readonly code?: string }): string {
  const { code = "" } = error;
  const words = ERRORS[code];
  if (words !== undefined) return `The Valkey server cannot be reached: ${words}.`;
  if (/CERT|TLS|SSL|VERIFY/.test(code)) {
    return `The Valkey server's certificate is not trusted: ${code} (see NODE_EXTRA_CA_CERTS).`;
  }
  return `The Valkey server cannot be reached: ${code || "the connection failed"}.`;
}

const ERRORS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nobody listens on that port",
  ECONNRESET: "the connection was closed",
  ENOTFOUND: "no such host",
  EAI_AGAIN: "its name cannot be looked up",
  DNS_ENOTFOUND: "no such host",
  ETIMEDOUT: "no answer",
  EHOSTUNREACH: "no way to that host",
  ENETUNREACH: "no way to that network",
};
