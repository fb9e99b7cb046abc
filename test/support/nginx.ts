import { writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Writes what a Debian nginx.conf says around sites, with nothing outside `folder`.
 * @param http what stands in its `http` block.
 * @returns the arguments of the program; the last is the file.
 */
export function writeNginx(folder: string, http: string): readonly string[] {
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
      ${temporary.map((kind) => `${kind}_temp_path ${folder}/${kind};`).join("\n")}
      ${http}
    }`,
  );
  return ["-e", "stderr", "-p", folder, "-c", path];
}
