import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BenchError, freePort, type Stage, type Started } from "./stage.ts";

/** The two nginx of the benchmark: the application behind everybody, and the proxy that Runegate is measured against. */

/** Where distributions put a program that is for administrators, which is not in everybody's `PATH`. */
const USUAL_PLACES = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/local/nginx/sbin/nginx"];

/** @throws {BenchError} if there is none. */
export function findNginx(): string {
  const found = Bun.which("nginx") ?? USUAL_PLACES.find((place) => existsSync(place));
  if (found !== undefined) return found;
  throw new BenchError(
    "The benchmark needs nginx, and there is none. On Debian: apt-get install nginx-light",
  );
}

/** As `nginx -v` says it: `1.22.1`. */
export function nginxVersion(nginx: string): string {
  const said = Bun.spawnSync([nginx, "-v"]).stderr.toString();
  return /nginx\/(\S+)/.exec(said)?.[1] ?? "of unknown version";
}

/** What the application answers to everything: 54 bytes. */
const BODY = "Everything here is for people who are signed in only.\\n";

export type Listening = Started & { readonly port: number };

export async function startUpstream(stage: Stage, nginx: string): Promise<Listening> {
  return startNginx(
    stage,
    nginx,
    "upstream",
    (port) => `
      access_log off;
      server {
        listen 127.0.0.1:${port};
        location / { default_type text/plain; return 200 "${BODY}"; }
      }`,
  );
}

/** A plain reverse proxy: pooled connections to the application, the access log as nginx writes it by itself. */
export async function startNginxProxy(stage: Stage, nginx: string, upstreamPort: number): Promise<Listening> {
  return startNginx(
    stage,
    nginx,
    "nginx",
    (port) => `
      access_log ${join(stage.directory, "nginx.log")};
      upstream application {
        server 127.0.0.1:${upstreamPort};
        keepalive 64;
        keepalive_requests 1000000000;
      }
      server {
        listen 127.0.0.1:${port};
        location / {
          proxy_pass http://application;
          proxy_http_version 1.1;
          proxy_set_header Connection "";
        }
      }`,
  );
}

async function startNginx(
  stage: Stage,
  nginx: string,
  name: string,
  http: (port: number) => string,
): Promise<Listening> {
  const port = freePort();
  const at = (file: string) => join(stage.directory, `${name}-${file}`);
  const configuration = `
    ${process.getuid?.() === 0 ? "user root;" : ""}
    worker_processes 1;
    pid ${at("pid")};
    error_log stderr warn;
    events { worker_connections 2048; }
    http {
      client_body_temp_path ${at("body")};
      proxy_temp_path ${at("proxy")};
      fastcgi_temp_path ${at("fastcgi")};
      uwsgi_temp_path ${at("uwsgi")};
      scgi_temp_path ${at("scgi")};
      keepalive_requests 1000000000;
      ${http(port)}
    }`;
  writeFileSync(at("conf"), configuration);
  const command = [nginx, "-e", "stderr", "-p", stage.directory, "-c", at("conf"), "-g", "daemon off;"];
  return { ...(await stage.start(name, command, port)), port };
}
