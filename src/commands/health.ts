import { readOptions } from "../config/load.ts";
import { EXIT } from "../exit.ts";
import type { ListenAddress } from "../net/endpoint.ts";
import { fetchOnSocket } from "../net/unix-socket.ts";
import { ConfigError } from "../option/finding.ts";
import { type Command, failed } from "./command.ts";

const READY = "/_runegate/health/ready";
const WITHIN_MS = 5_000;

/** `runegate health`: for whoever watches over a container that holds nothing but Runegate. */
export const health: Command = {
  name: "health",
  summary: "ask the running gateway whether it is ready",
  help: `Usage: runegate health

Asks the gateway that listens at RUNEGATE_LISTEN on this machine whether it is
ready. The exit code is ${EXIT.done} if it is, and ${EXIT.failed} if it says no or does not answer
within ${WITHIN_MS / 1000} seconds.

Example: RUNEGATE_LISTEN=127.0.0.1:7870 runegate health`,

  readsOptions: true,

  async run(_, io) {
    // Another option may be wrong: whether the gateway runs all the same is what is asked.
    const { options, problems, warnings } = readOptions(io);
    if (options.listen === undefined) throw new ConfigError(problems, warnings);
    const { url, unix } = placeOf(options.listen, (options.tls ?? "off") !== "off");
    let answer: Response;
    try {
      // A proxy that the environment names is not asked about one's own machine.
      const init: BunFetchRequestInit = { redirect: "error", signal: AbortSignal.timeout(WITHIN_MS) };
      // By its own address, which no certificate is for.
      const tls = { rejectUnauthorized: false };
      answer = await (unix === undefined
        ? fetch(url, { ...init, tls, proxy: false })
        : fetchOnSocket(unix, url, init));
    } catch (error) {
      const reason = error instanceof Error && "code" in error ? String(error.code) : String(error);
      return failed(io, `No answer from ${unix ?? new URL(url).host}: ${reason}`);
    }
    if (!answer.ok) return failed(io, `Not ready: ${answer.status} ${await answer.text()}`);
    io.out("ready");
    return { data: { ready: true } };
  },
};

/** Where a gateway that listens everywhere is reached from its own machine. */
function placeOf(listen: ListenAddress, tls: boolean): { readonly url: string; readonly unix?: string } {
  if (listen.kind === "unix") return { url: `http://localhost${READY}`, unix: listen.path };
  const { hostname, port } = listen;
  const scheme = tls ? "https" : "http";
  if (!hostname.includes(":"))
    return { url: `${scheme}://${hostname === "0.0.0.0" ? "127.0.0.1" : hostname}:${port}${READY}` };
  return { url: `${scheme}://[${hostname === "::" ? "::1" : hostname}]:${port}${READY}` };
}
