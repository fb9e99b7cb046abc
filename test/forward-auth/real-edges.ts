import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fillIn } from "../deploy/edge.ts";
import { writeNginx } from "../support/nginx.ts";
import type { RunningProcess } from "../support/process.ts";
import { dial, type Wire } from "../support/raw.ts";

/** The edges of deploy/edges, set up to ask before each request. What is shipped is what runs; the addresses alone are a test's. */

export type Place = {
  readonly folder: string;
  readonly port: number;
  readonly gateway: number;
  readonly application: number;
  /** Files: a certificate chain, its key, and both in one. */
  readonly certificate: string;
  readonly key: string;
  readonly pair: string;
};

const SHIPPED = join(import.meta.dir, "../../deploy/edges");
const read = (path: string) => readFileSync(join(SHIPPED, path), "utf8");

/** Waits until it takes a connection: of TCP, or of whatever `open` makes. @throws where it ends before. */
export async function listening(
  edge: RunningProcess,
  port: number,
  open: () => Promise<Wire> = () => dial(port),
): Promise<void> {
  let gone: number | undefined;
  void edge.exited.then((code) => {
    gone = code;
  });
  for (;;) {
    if (gone !== undefined) throw new Error(`it ended: ${edge.output()}`);
    const wire = await open().catch(() => undefined);
    wire?.destroy();
    if (wire !== undefined) return;
    await Bun.sleep(20);
  }
}

/** @returns the arguments of the program. */
export type Configure = (place: Place) => readonly string[];

export const configureNginx: Configure = (place) => {
  const { folder, port, application, certificate, key } = place;
  const site = fillIn(read("nginx/sites-available/runegate-app.conf"), [
    ["listen 80;", `listen unix:${folder}/plain.sock;`],
    ["listen 443 ", `listen 127.0.0.1:${port} `],
    ["/etc/letsencrypt/live/app.example.org/fullchain.pem", certificate],
    ["/etc/letsencrypt/live/app.example.org/privkey.pem", key],
    ["127.0.0.1:7860", `127.0.0.1:${application}`],
  ]);
  return nginxWith(place, site);
};

/** With what a check says may be kept, on a plain port, for any host. */
export const configureNginxCache = (place: Pick<Place, "folder" | "port" | "gateway" | "application">) =>
  nginxWith(
    place,
    `
      server {
        listen 127.0.0.1:${place.port};
        server_name _;
        include snippets/runegate-server.conf;
        include snippets/runegate-cached-server.conf;
        location / {
          include snippets/runegate-cached-protected.conf;
          proxy_pass http://127.0.0.1:${place.application};
        }
      }`,
    "nginx-cache",
  );

/** A site in a copy of what is to be copied to /etc/nginx. */
function nginxWith(
  { folder, gateway }: Pick<Place, "folder" | "gateway">,
  site: string,
  ...more: readonly string[]
): readonly string[] {
  for (const part of ["nginx", ...more]) cpSync(join(SHIPPED, part), folder, { recursive: true });
  rewrite(join(folder, "conf.d/runegate.conf"), [["127.0.0.1:7870", `127.0.0.1:${gateway}`]]);
  if (more.length > 0) rewrite(join(folder, "conf.d/runegate-cache.conf"), [["/run/", `${folder}/`]]);
  return writeNginx(folder, `include conf.d/*.conf;\n${site}`);
}

export const configureCaddy: Configure = ({ folder, port, gateway, application, certificate, key }) => {
  const site = fillIn(read("Caddyfile"), [
    [/# tls .*/g, `tls ${certificate} ${key}`],
    ["127.0.0.1:7870", `127.0.0.1:${gateway}`],
    ["127.0.0.1:7860", `127.0.0.1:${application}`],
  ]);
  const everywhere = [
    "admin off",
    "auto_https disable_redirects",
    `https_port ${port}`,
    "default_bind 127.0.0.1",
  ];
  return [
    "run",
    "--adapter",
    "caddyfile",
    "--config",
    written(folder, "Caddyfile", `{\n${everywhere.join("\n")}\n}\n${site}`),
  ];
};

export const configureHaproxy: Configure = ({ folder, port, gateway, application, pair }) => {
  const script = written(folder, "runegate.lua", read("haproxy/runegate.lua"));
  const configuration = fillIn(read("haproxy/haproxy.cfg"), [
    ["/etc/haproxy/runegate.lua", script],
    ["bind :443", `bind 127.0.0.1:${port}`],
    ["/etc/haproxy/app.example.org.pem", pair],
    ["127.0.0.1:7870", `127.0.0.1:${gateway}`],
    ["127.0.0.1:7860", `127.0.0.1:${application}`],
    // Root alone can become somebody else.
    ...(process.getuid?.() === 0 ? [] : ([[/^ +(user|group|chroot) .*$/gm, ""]] as const)),
  ]);
  return ["-db", "-f", written(folder, "haproxy.cfg", configuration)];
};

export const configureTraefik: Configure = ({ folder, port, gateway, application, certificate, key }) => {
  const dynamic = fillIn(read("traefik/runegate.yaml"), [
    ["127.0.0.1:7870", `127.0.0.1:${gateway}`],
    ["127.0.0.1:7860", `127.0.0.1:${application}`],
    ["/etc/traefik/app.example.org.crt", certificate],
    ["/etc/traefik/app.example.org.key", key],
  ]);
  const fixed = fillIn(read("traefik/traefik.yaml"), [
    ['":443"', `"127.0.0.1:${port}"`],
    ["/etc/traefik/runegate.yaml", written(folder, "runegate.yaml", dynamic)],
  ]);
  return [`--configFile=${written(folder, "traefik.yaml", fixed)}`];
};

export const configureEnvoy: Configure = ({ folder, port, gateway, application, certificate, key }) => {
  const configuration = fillIn(read("envoy.yaml"), [
    ["address: 0.0.0.0, port_value: 443", `address: 127.0.0.1, port_value: ${port}`],
    ["port_value: 7870", `port_value: ${gateway}`],
    ["port_value: 7860", `port_value: ${application}`],
    ["/etc/envoy/app.example.org.crt", certificate],
    ["/etc/envoy/app.example.org.key", key],
  ]);
  const path = written(folder, "envoy.yaml", configuration);
  return ["--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warning", "-c", path];
};

function written(folder: string, name: string, text: string): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function rewrite(path: string, values: Parameters<typeof fillIn>[1]): void {
  writeFileSync(path, fillIn(readFileSync(path, "utf8"), values));
}
