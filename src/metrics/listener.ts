import type { ListenAddress } from "../net/endpoint.ts";
import { METRICS_PATH } from "../pages/paths.ts";
import type { Measures } from "./measures.ts";
import { CONTENT_TYPE, mergeFamilies, renderFamilies } from "./text.ts";

/** Seconds. */
const IDLE = 75;

/**
 * Answers Prometheus, and nobody else, at an address of its own.
 * @param measures of all processes.
 * @throws if the address may not be bound.
 */
export function listenForScrapes(
  { hostname, port }: Extract<ListenAddress, { kind: "tcp" }>,
  measures: () => Promise<readonly Measures[]>,
): { stop(): void } {
  /** One look for all who ask meanwhile. */
  let looking: Promise<string> | undefined;
  const look = async () => renderFamilies(mergeFamilies((await measures()).map(({ families }) => families)));

  const server = Bun.serve({
    hostname,
    port,
    // For a moment with the process that takes over.
    reusePort: true,
    development: false,
    idleTimeout: IDLE,
    maxRequestBodySize: 0,
    async fetch({ method, url }) {
      if (new URL(url).pathname !== METRICS_PATH) return new Response("Not found\n", { status: 404 });
      if (method !== "GET" && method !== "HEAD") return new Response(null, NOT_ALLOWED);
      looking ??= look().finally(() => {
        looking = undefined;
      });
      return new Response(await looking, { headers: { "Content-Type": CONTENT_TYPE } });
    },
    error: () => new Response(null, { status: 500 }),
  });
  return { stop: () => void server.stop(true) };
}

const NOT_ALLOWED = { status: 405, headers: { Allow: "GET, HEAD" } };
