import installer from "../../../deploy/install.sh" with { type: "text" };
import nginx from "../../../deploy/nginx/runegate-nginx.conf" with { type: "text" };
import sysctl from "../../../deploy/sysctl/60-runegate.conf" with { type: "text" };
import unit from "../../../deploy/systemd/runegate.service" with { type: "text" };
import backoff from "../../../deploy/systemd/runegate-backoff.conf" with { type: "text" };
import connect from "../../../deploy/systemd/runegate-connect.service" with { type: "text" };
import edge from "../../../deploy/systemd/runegate-edge.conf" with { type: "text" };
import uninstaller from "../../../deploy/uninstall.sh" with { type: "text" };

/** What install.sh needs around it, by its path in `deploy`, but for the two files of the configuration. */
export const SHIPPED = {
  "install.sh": installer,
  "uninstall.sh": uninstaller,
  "sysctl/60-runegate.conf": sysctl,
  "systemd/runegate.service": unit,
  "systemd/runegate-backoff.conf": backoff,
  "systemd/runegate-edge.conf": edge,
  "systemd/runegate-connect.service": connect,
  "nginx/runegate-nginx.conf": nginx,
} as const;
