import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeNginx } from "../support/nginx.ts";

/** nginx and Caddy on plain ports, set up well and in few words, so that a test can change one of them. */

export type Place = {
  readonly folder: string;
  readonly port: number;
  readonly gateway: number;
  readonly application: number;
};

/** @returns the arguments of the program; the last is the file. */
export type Configure = (place: Place) => readonly string[];

export const configureNginx: Configure = ({ folder, port, gateway, application }) => {
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
    proxy_buffers 4 32k;
    proxy_pass http://runegate;`;
  return writeNginx(
    folder,
    `
      map $http_upgrade $asked_upgrade { default ""; ~*^websocket$ websocket; }
      map $http_upgrade $asked_connection { default ""; ~*^websocket$ upgrade; }
      upstream runegate { server 127.0.0.1:${gateway}; keepalive 16; }
      server {
        listen 127.0.0.1:${port};
        location ^~ /_runegate/ { ${forwarding} proxy_set_header Connection ""; proxy_pass http://runegate; }
        location ^~ /_runegate/check/ { return 404; }
        location = /_runegate/check/nginx { ${question} }
        location = /_runegate/challenge { ${question} }
        location / {
          set $asked_method $request_method;
          auth_request /_runegate/check/nginx;
          error_page 401 403 = /_runegate/challenge;
          ${forwarding}
          proxy_set_header Upgrade $asked_upgrade;
          proxy_set_header Connection $asked_connection;
          proxy_pass http://127.0.0.1:${application};
        }
      }`,
  );
};

export const configureCaddy: Configure = ({ folder, port, gateway, application }) => {
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
			forward_auth 127.0.0.1:${gateway} {
				uri /_runegate/check/caddy
				header_up -Connection
				header_up -Upgrade
				copy_headers Remote-User
			}
			reverse_proxy 127.0.0.1:${application}
		}
	}
}
`,
  );
  return ["run", "--adapter", "caddyfile", "--config", path];
};
