import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { begin, freePort, type Listening, type Stage } from "../stage.ts";
import { findPeer } from "./find-peer.ts";

/** rathole as a tunnel from one port of this machine to another, over plain TCP. */

export function findRathole(): string | undefined {
  return findPeer("rathole") ?? undefined;
}

/** @returns its server, by the port that leads to `upstreamPort`, and its client. @param wire between the two, if any. */
export async function startRathole(
  stage: Stage,
  program: string,
  {
    name,
    upstreamPort,
    wire,
  }: { name: string; upstreamPort: number; wire?: (port: number) => Promise<number> },
): Promise<{ readonly server: Listening; readonly client: number }> {
  const [control, port] = [freePort(), freePort()];
  const remote = wire === undefined ? control : await wire(control);
  const service = `[SIDE.services.app]\ntoken = "bench"\n`;
  const configure = (side: "server" | "client", head: string, address: string) => {
    const file = join(stage.directory, `${name}-${side}.toml`);
    writeFileSync(file, `[${side}]\n${head}\n${service.replace("SIDE", side)}${address}\n`);
    return [program, `--${side}`, file];
  };
  const client = stage.launch(
    `${name}-client`,
    configure("client", `remote_addr = "127.0.0.1:${remote}"`, `local_addr = "127.0.0.1:${upstreamPort}"`),
  );
  const server = await begin(stage, {
    ...{ name: `${name}-server`, port },
    command: configure("server", `bind_addr = "127.0.0.1:${control}"`, `bind_addr = "127.0.0.1:${port}"`),
  });
  return { server, client: client.pid };
}
