import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { begin, freePort, type Listening, type Prepared, type Stage } from "../stage.ts";
import { findPeer } from "./find-peer.ts";

/** Caddy as a plain reverse proxy with its access log, where it is installed. */

/** Undefined where there is none: its rows are then left out, and a note says so. */
export function findCaddy(): string | undefined {
  return findPeer("caddy") ?? undefined;
}

/** As `caddy version` says it: `2.6.2`. */
export function caddyVersion(): string | undefined {
  const caddy = findCaddy();
  if (caddy === undefined) return undefined;
  const [said] = Bun.spawnSync([caddy, "version"]).stdout.toString().trim().split(" ");
  return said?.replace(/^v/, "") || "of unknown version";
}

export function startCaddyProxy(stage: Stage, caddy: string, upstreamPort: number): Promise<Listening> {
  return begin(stage, prepareCaddyProxy(stage, caddy, upstreamPort));
}

export function prepareCaddyProxy(stage: Stage, caddy: string, upstreamPort: number): Prepared {
  const port = freePort();
  return prepareCaddy(stage, caddy, port, `http://127.0.0.1:${port}`, [
    `reverse_proxy 127.0.0.1:${upstreamPort}`,
  ]);
}

/** One site at one address. @param lines what its block says beside the log */
export function prepareCaddy(
  stage: Stage,
  caddy: string,
  port: number,
  site: string,
  lines: readonly string[],
): Prepared {
  const logFile = join(stage.directory, "caddy-access.log");
  const file = join(stage.directory, "Caddyfile");
  writeFileSync(
    file,
    `{
  admin off
  auto_https off
}
${site} {
  bind 127.0.0.1
  log {
    output file ${logFile} {
      roll_disabled
    }
  }
  ${lines.join("\n  ")}
}
`,
  );
  const env = { XDG_DATA_HOME: stage.directory, XDG_CONFIG_HOME: stage.directory, HOME: stage.directory };
  const command = [caddy, "run", "--config", file, "--adapter", "caddyfile"];
  return { name: "caddy", command, port, env, logFile };
}
