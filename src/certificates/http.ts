import type { Server } from "bun";
import type { Routes } from "../access/routes.ts";
import type { ListenAddress } from "../net/endpoint.ts";
import { isHost } from "../net/host.ts";

const CHALLENGE = "/.well-known/acme-challenge/";
const IDLE_SECONDS = 10;

/**
 * Plain http: the answers that prove to an authority that a name is ours, and for whoever types a name, the way to the same place over
 * https (RFC 9110 §15.4.9), on hosts of ours alone.
 * @throws if the address may not be bound
 */
export function serveHttp(
  address: ListenAddress,
  settings: {
    readonly routes: () => Pick<Routes, "home" | "siteOf">;
    /** The answer to an authority's challenge (RFC 8555 §8.3). */
    readonly challengeOf: ((token: string) => Promise<string | undefined>) | undefined;
  },
): Server<undefined> {
  return Bun.serve({
    ...(address.kind === "unix" ? { unix: address.path } : { ...address, reusePort: true }),
    idleTimeout: IDLE_SECONDS,
    maxRequestBodySize: 0,
    development: false,
    async fetch(request) {
      const host = request.headers.get("host")?.toLowerCase().replace(/:\d+$/, "") ?? "";
      const url = URL.parse(request.url);
      if (url === null || !isHost(host))
        return new Response("There is no usable Host.\n", { status: 400, headers: PLAIN });
      const { pathname, search } = url;
      if (pathname.startsWith(CHALLENGE)) {
        const answer = await settings.challengeOf?.(pathname.slice(CHALLENGE.length));
        if (answer === undefined) return new Response("Nothing is here.\n", { status: 404, headers: PLAIN });
        return new Response(answer, { headers: { "Content-Type": "application/octet-stream" } });
      }
      const { home, siteOf } = settings.routes();
      const { port } = new URL(home.origin);
      const origin = siteOf(port === "" ? host : `${host}:${port}`)?.origin;
      if (origin === undefined) return new Response("Nothing is here.\n", { status: 421, headers: PLAIN });
      return new Response(null, { status: 308, headers: { Location: origin + pathname + search } });
    },
    error: () => new Response(null, { status: 500 }),
  } as Bun.Serve.Options<undefined>);
}

const PLAIN = { "Content-Type": "text/plain; charset=utf-8", Connection: "close" };
