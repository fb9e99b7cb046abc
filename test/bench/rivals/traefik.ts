import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { begin, freePort, type Listening, type Stage } from "../stage.ts";
import { findPeer } from "./find-peer.ts";

/** Traefik as a proxy that asks about each request, where it is installed. */

export function findTraefik(): string | undefined {
  return findPeer("traefik") ?? undefined;
}

/** @property question where it asks, and which headers of the answer the application is told. */
export type TraefikSettings = {
  readonly port?: number;
  readonly upstreamPort: number;
  readonly question: { readonly address: string; readonly told: readonly string[] };
};

/** With its access log. @throws {BenchError} */
export function startTraefik(stage: Stage, traefik: string, settings: TraefikSettings): Promise<Listening> {
  const { port = freePort(), upstreamPort, question } = settings;
  const logFile = join(stage.directory, "traefik-access.log");
  // JSON is YAML, which is what it takes files of this name for.
  const [file, dynamic] = [
    join(stage.directory, "traefik.yaml"),
    join(stage.directory, "traefik-routes.yaml"),
  ];
  const http = {
    middlewares: {
      ask: {
        forwardAuth: {
          ...{ address: question.address, trustForwardHeader: true, maxResponseBodySize: 65_536 },
          authResponseHeaders: question.told,
        },
      },
    },
    routers: { all: { rule: "PathPrefix(`/`)", entryPoints: ["web"], middlewares: ["ask"], service: "app" } },
    services: { app: { loadBalancer: { servers: [{ url: `http://127.0.0.1:${upstreamPort}` }] } } },
  };
  writeFileSync(dynamic, JSON.stringify({ http }));
  writeFileSync(
    file,
    JSON.stringify({
      global: { checkNewVersion: false, sendAnonymousUsage: false },
      entryPoints: { web: { address: `127.0.0.1:${port}` } },
      providers: { file: { filename: dynamic } },
      accessLog: { filePath: logFile },
    }),
  );
  return begin(stage, {
    ...{ name: "traefik", command: [traefik, `--configfile=${file}`], port, logFile },
    env: { HOME: stage.directory },
  });
}
