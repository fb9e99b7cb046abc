import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describeEdge, fillIn } from "./edge.ts";

const shipped = readFileSync(join(import.meta.dir, "../../deploy/Caddyfile"), "utf8");

describeEdge("Caddy", "caddy", (caddy, { folder, http, https, gateway, certificate, key }) => {
  const path = join(folder, "Caddyfile");
  const site = fillIn(shipped, [
    [/# tls .*/g, `tls ${certificate} ${key}`],
    ["127.0.0.1:7870", `127.0.0.1:${gateway}`],
    // The access log that the comment proposes.
    [/^\t# (log \{|\t.*|\})$/gm, "\t$1"],
    ["log {", `log {\noutput file ${join(folder, "access.log")}\n`],
  ]);
  const everywhere = `admin off\nhttp_port ${http}\nhttps_port ${https}\ndefault_bind 127.0.0.1\nskip_install_trust`;
  writeFileSync(path, `{\n${everywhere}\n}\n${site}`);
  return [caddy, "run", "--adapter", "caddyfile", "--config", path];
});
