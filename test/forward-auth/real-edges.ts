import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RunningProcess } from "../support/process.ts";
import { dial } from "../support/raw.ts";

/** nginx and Caddy, set up to ask before each request. */

export type Place = {
  readonly folder: string;
  readonly port: number;
  readonly gateway: number;
  readonly application: number;
};

export async function listening(edge: RunningProcess, port: number): Promise<void> {
  let gone: number | undefined;
  void edge.exited.then((code) => {
    gone = code;
  });
  for (;;) {
    if (gone !== undefined) throw new Error(`it ended: ${edge.output()}`);
    const wire = await dial(port).catch(() => undefined);
    wire?.destroy();
    if (wire !== undefined) return;
    await Bun.sleep(20);
  }
}

/** @param keeping whether nginx keeps what a check says it may, in memory. */
export function configureNginx(
  { folder, port, gateway, application }: Place,
  keeping = false,
): readonly string[] {
  const forwarding = `
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host $http_host;`;
  const question = `
    internal;
    ${forwarding}
    proxy_set_header Connection "";
    proxy_pass_request_body off;
    proxy_set_header Content-Length "";
    proxy_set_header Upgrade "";
    proxy_set_header X-Original-URL $scheme://$host$request_uri;
    proxy_set_header X-Original-Method $asked_method;
    proxy_set_header X-Runegate-Cache ${keeping ? "host" : '""'};
    ${
      keeping
        ? `proxy_cache checks;
           proxy_cache_key "$host $request_method $http_cookie $http_authorization $http_x_runegate_key";`
        : ""
    }
    proxy_buffer_size 32k;
    proxy_buffers 4 32k;
    proxy_pass http://runegate;`;
  const told = ["remote_user", "remote_groups", "x_runegate_user", "cookie", "authorization"];
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  const path = join(folder, "nginx.conf");
  writeFileSync(
    path,
    `
    ${process.getuid?.() === 0 ? "user root;" : ""}
    daemon off;
    worker_processes 1;
    pid ${folder}/nginx.pid;
    error_log stderr error;
    events { worker_connections 256; }
    http {
      access_log off;
      large_client_header_buffers 4 32k;
      ${temporary.map((kind) => `${kind}_temp_path ${folder}/${kind};`).join("\n")}
      map $http_upgrade $asked_upgrade { default ""; ~*^websocket$ websocket; }
      map $http_upgrade $asked_connection { default ""; ~*^websocket$ upgrade; }
      ${keeping ? `proxy_cache_path ${folder}/kept keys_zone=checks:1m inactive=3s use_temp_path=off;` : ""}
      upstream runegate { server 127.0.0.1:${gateway}; keepalive 16; }
      server {
        listen 127.0.0.1:${port};
        server_name _;
        location ^~ /_runegate/ { ${forwarding} proxy_set_header Connection ""; proxy_pass http://runegate; }
        location ^~ /_runegate/check/ { return 404; }
        location = /_runegate/check/nginx { ${question} }
        location = /_runegate/challenge { ${question} }
        location / {
          set $asked_method $request_method;
          auth_request /_runegate/check/nginx;
          error_page 401 403 = /_runegate/challenge;
          ${told.map((name) => `auth_request_set $told_${name} $upstream_http_${name};`).join("\n")}
          ${forwarding}
          ${
            // Whether a request opens a WebSocket is not in the key.
            keeping
              ? 'proxy_set_header Upgrade ""; proxy_set_header Connection "";'
              : "proxy_set_header Upgrade $asked_upgrade; proxy_set_header Connection $asked_connection;"
          }
          ${told.map((name) => `proxy_set_header ${name.replaceAll("_", "-")} $told_${name};`).join("\n")}
          proxy_set_header X-Runegate-Key "";
          proxy_pass http://127.0.0.1:${application};
        }
      }
    }`,
  );
  return ["-e", "stderr", "-p", folder, "-c", path];
}

export function configureCaddy({ folder, port, gateway, application }: Place): readonly string[] {
  const path = join(folder, "Caddyfile");
  writeFileSync(
    path,
    `
{
	admin off
	auto_https off
	default_bind 127.0.0.1
}
http://localhost:${port} {
	handle /_runegate/check/* {
		respond 404
	}
	handle /_runegate/* {
		reverse_proxy 127.0.0.1:${gateway}
	}
	handle {
		route {
			request_header -Remote*
			request_header -X-Runegate*
			request_header -X_Runegate*
			request_header -X.Runegate*
			request_header -X-Forwarded-User
			forward_auth 127.0.0.1:${gateway} {
				uri /_runegate/check/caddy
				header_up -Connection
				header_up -Upgrade
				copy_headers Remote-User Remote-Email Remote-Groups Remote-Name X-Runegate-User X-Runegate-Actor X-Runegate-JWT Authorization Cookie
			}
			reverse_proxy 127.0.0.1:${application}
		}
	}
}
`,
  );
  return ["run", "--adapter", "caddyfile", "--config", path];
}
