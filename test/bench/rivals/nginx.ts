import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BenchError, begin, freePort, type Listening, type Prepared, type Stage } from "../stage.ts";
import { findPeer } from "./find-peer.ts";

/** nginx in its parts: the application behind everybody, and the proxies that Runegate is measured against. */

/** Where distributions put a program that is for administrators, which is not in everybody's `PATH`. */
const USUAL_PLACES = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/local/nginx/sbin/nginx"];

/** @throws {BenchError} if there is none. */
export function findNginx(): string {
  const found = findPeer("nginx") ?? USUAL_PLACES.find((place) => existsSync(place));
  if (found !== undefined) return found;
  throw new BenchError(
    "The benchmark needs nginx, and there is none. On Debian: apt-get install nginx-light",
  );
}

/** As `nginx -v` says it: `1.22.1`. */
export function nginxVersion(): string {
  const said = Bun.spawnSync([findNginx(), "-v"]).stderr.toString();
  return /nginx\/(\S+)/.exec(said)?.[1] ?? "of unknown version";
}

/** What the application answers to everything: 54 bytes. */
const BODY = "Everything here is for people who are signed in only.\\n";

/** An application that answers everything with the same few bytes. */
export function startSmallApplication(stage: Stage): Promise<Listening> {
  const server = `location / { default_type text/plain; return 200 "${BODY}"; }`;
  return begin(stage, prepareNginx(stage, "application", { server }));
}

export type NginxProxySettings = {
  readonly name: string;
  readonly port?: number;
  readonly upstreamPort: number;
  readonly workers?: number;
  /** Passes bodies on as they come, both ways, as a gateway does; without it nginx collects them first. */
  readonly unbuffered?: boolean;
  /** Asks this port about every request first. */
  readonly authenticatorPort?: number;
  /** What it asks there, with what else, and which headers of the answer, in variables, the application is told. */
  readonly question?: {
    readonly path: string;
    readonly lines: readonly string[];
    readonly told: readonly (readonly [string, string])[];
  };
  readonly webSockets?: boolean;
  /** Clients that it may have at the same time. */
  readonly clients?: number;
};

export function startNginxProxy(stage: Stage, settings: NginxProxySettings): Promise<Listening> {
  return begin(stage, prepareNginxProxy(stage, settings));
}

/** A reverse proxy with pooled connections to the application and the access log as nginx writes it by itself. */
export function prepareNginxProxy(stage: Stage, settings: NginxProxySettings): Prepared {
  const {
    name,
    port,
    upstreamPort,
    workers = 1,
    unbuffered,
    authenticatorPort,
    question = { path: "/authenticate", lines: [], told: [] },
    webSockets,
    clients = 900,
  } = settings;
  const pool = (to: string, port: number) => `
    upstream ${to} {
      server 127.0.0.1:${port};
      keepalive 64;
      keepalive_requests 1000000000;
    }`;
  const connection = webSockets
    ? `proxy_set_header Upgrade $http_upgrade;
       proxy_set_header Connection upgrade;`
    : `proxy_set_header Connection "";`;
  return prepareNginx(stage, name, {
    ...(port === undefined ? {} : { port }),
    workers,
    // One to the application for each client's, and some: it begins to give connections up when 1 in 16 is left.
    connections: Math.ceil(2.2 * clients) + 200,
    accessLog: true,
    http: `
      ${pool("application", upstreamPort)}
      ${authenticatorPort === undefined ? "" : pool("authenticator", authenticatorPort)}`,
    server: `
      client_max_body_size 0;
      location / {
        ${authenticatorPort === undefined ? "" : `auth_request ${question.path};`}
        ${question.told
          .map(
            ([header, value], at) =>
              `auth_request_set $told_${at} ${value}; proxy_set_header ${header} $told_${at};`,
          )
          .join("\n")}
        ${unbuffered ? "proxy_buffering off; proxy_request_buffering off;" : ""}
        proxy_pass http://application;
        proxy_http_version 1.1;
        proxy_read_timeout 1h;
        ${connection}
      }
      location = ${question.path} {
        internal;
        ${
          authenticatorPort === undefined
            ? "return 404;"
            : `proxy_pass http://authenticator;
               proxy_http_version 1.1;
               proxy_pass_request_body off;
               proxy_set_header Content-Length "";
               proxy_set_header Connection "";
               ${question.lines.join("\n")}`
        }
      }`,
  });
}

type NginxSettings = {
  readonly server: string;
  readonly http?: string;
  readonly workers?: number;
  readonly connections?: number;
  readonly accessLog?: boolean;
  readonly port?: number;
  /** Files, for HTTP/2 too. */
  readonly tls?: { readonly certificate: string; readonly key: string };
};

export function prepareNginx(stage: Stage, name: string, settings: NginxSettings): Prepared {
  const { server, http = "", workers = 1, connections = 2000, accessLog = false, tls } = settings;
  const { port = freePort() } = settings;
  const at = (file: string) => join(stage.directory, `${name}-${file}`);
  const access = at("access.log");
  const configuration = `
    ${process.getuid?.() === 0 ? "user root;" : ""}
    worker_processes ${workers};
    pid ${at("pid")};
    error_log stderr warn;
    events { worker_connections ${connections}; }
    http {
      client_body_temp_path ${at("body")};
      proxy_temp_path ${at("proxy")};
      fastcgi_temp_path ${at("fastcgi")};
      uwsgi_temp_path ${at("uwsgi")};
      scgi_temp_path ${at("scgi")};
      keepalive_requests 1000000000;
      access_log ${accessLog ? access : "off"};
      ${http}
      server {
        # Else one of several workers may get all connections.
        listen 127.0.0.1:${port} ${workers > 1 ? "reuseport" : ""} ${tls === undefined ? "" : "ssl http2"};
        ${tls === undefined ? "" : `ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate ${tls.certificate}; ssl_certificate_key ${tls.key};`}
        ${server}
      }
    }`;
  writeFileSync(at("conf"), configuration);
  const command = [
    findNginx(),
    ...["-e", "stderr", "-p", stage.directory, "-c", at("conf"), "-g", "daemon off;"],
  ];
  return { name, command, port, ...(accessLog ? { logFile: access } : {}) };
}
