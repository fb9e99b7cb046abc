import type { Server } from "bun";
import type { Routes } from "../access/routes.ts";
import type { ListenAddress } from "../net/endpoint.ts";
import { isHost } from "../net/host.ts";

const IDLE_SECONDS = 10;

/**
 * Plain http, for whoever types a name: to the same place over https (RFC 9110 §15.4.9), on hosts of ours alone.
 * @param routes as they are at the time.
 * @throws if the address may not be bound
 */
export function serveHttp(
  address: ListenAddress,
  routes: () => Pick<Routes, "home" | "siteOf">,
): Server<undefined> {
  return Bun.serve({
    ...(address.kind === "unix" ? { unix: address.path } : { ...address, reusePort: true }),
    idleTimeout: IDLE_SECONDS,
    maxRequestBodySize: 0,
    development: false,
    fetch(request) {
      const host = request.headers.get("host")?.toLowerCase().replace(/:\d+$/, "") ?? "";
      if (!isHost(host)) return new Response("There is no usable Host.\n", { status: 400, headers: PLAIN });
      const { home, siteOf } = routes();
      const { port } = new URL(home.origin);
      const origin = siteOf(port === "" ? host : `${host}:${port}`)?.origin;
      if (origin === undefined) return new Response("Nothing is here.\n", { status: 421, headers: PLAIN });
      const { pathname, search } = new URL(request.url);
      return new Response(null, { status: 308, headers: { Location: origin + pathname + search } });
    },
    error: () => new Response(null, { status: 500 }),
  } as Bun.Serve.Options<undefined>);
}

const PLAIN = { "Content-Type": "text/plain; charset=utf-8", Connection: "close" };
