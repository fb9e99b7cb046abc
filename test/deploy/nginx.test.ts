import { expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describeEdge, fillIn, type Place } from "./edge.ts";

const shipped = readFileSync(join(import.meta.dir, "../../deploy/nginx/runegate-nginx.conf"), "utf8");

describeEdge("nginx", "nginx", (nginx, place) => {
  const path = join(place.folder, "nginx.conf");
  writeFileSync(path, withSite(place));
  return [nginx, "-e", "stderr", "-p", place.folder, "-c", path];
});

/** What Debian's nginx.conf says around a site, as far as it matters here. */
function withSite({ folder, http, https, gateway, certificate, key }: Place): string {
  const site = fillIn(shipped, [
    [/^ *listen \[::\].*\n/gm, ""],
    ["listen 80;", `listen 127.0.0.1:${http};`],
    ["listen 443 ", `listen 127.0.0.1:${https} `],
    ["server 127.0.0.1:7870;", `server 127.0.0.1:${gateway};`],
    ["/etc/letsencrypt/live/app.example.org/fullchain.pem", certificate],
    ["/etc/letsencrypt/live/app.example.org/privkey.pem", key],
    ["/var/log/nginx/access.log", join(folder, "access.log")],
  ]);
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  return `
    ${process.getuid?.() === 0 ? "user root;" : ""}
    daemon off;
    worker_processes 2;
    pid ${folder}/nginx.pid;
    error_log stderr warn;
    events { worker_connections 768; }
    http {
      ${temporary.map((kind) => `${kind}_temp_path ${folder}/${kind};`).join("\n")}
      ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;
      gzip on;
      ${site}
    }`;
}

test("a long poll may take ten minutes, and a silent WebSocket longer", () => {
  expect(shipped).toMatch(/\n\s*proxy_read_timeout 1d;/);
});
