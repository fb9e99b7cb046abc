import { existsSync } from "node:fs";
import { join } from "node:path";
import { OPTIONS } from "../../config/options.ts";
import { COMPILED } from "../../process/executable.ts";
import { claimAddress } from "../../process/listener.ts";
import { isSystemError } from "../replace-file.ts";

/** Where the two files are. */
export type Place = {
  readonly env: string;
  readonly email: string;
  readonly routes: string;
  /** Whether that is where the service has them. */
  readonly isInstalled: boolean;
  /** What stands in a new env file of this place, whatever is answered. */
  readonly own: Readonly<Record<string, string>>;
};

export const INSTALLED: Place = {
  env: "/etc/runegate/runegate.env",
  email: "/etc/runegate/config/email.toml",
  routes: "/etc/runegate/config/routes.toml",
  isInstalled: true,
  own: {},
};

/** All in one folder. */
export function placeIn(folder: string): Place {
  const email = join(folder, "email.toml");
  return {
    ...{ env: join(folder, "runegate.env"), email, routes: join(folder, "routes.toml"), isInstalled: false },
    own: {
      [OPTIONS.emailConfig.name]: email,
      [OPTIONS.store.name]: `sqlite:${join(folder, "runegate.db")}`,
      [OPTIONS.tlsDirectory.name]: join(folder, "certificates"),
    },
  };
}

/** @returns what keeps this process from installing a service here, and what to do. */
export async function whyNotHere(flags: Readonly<Record<string, string>>): Promise<string | undefined> {
  const otherwise = "To have the two files written only: runegate setup --dir FOLDER";
  if (process.geteuid?.() !== 0)
    return `Installing takes root. Run: sudo ${COMPILED ? process.execPath : "runegate"} setup\n${otherwise}`;
  if (!COMPILED)
    return `From source nothing is installed. Build the executable first: npm run build\n${otherwise}`;
  if (Bun.which("systemctl") === null || Bun.which("bash") === null)
    return `Installing takes systemd and bash, and one of them is not here.\n${otherwise}`;
  const isElsewhere = flags[OPTIONS.listen.name] !== undefined || flags[OPTIONS.tls.name] === "off";
  if (isElsewhere || existsSync(INSTALLED.env)) return undefined;
  for (const port of PORTS) {
    try {
      await claimAddress({ kind: "tcp", hostname: "::", port });
    } catch (error) {
      if (!isSystemError(error) || error.code !== "EADDRINUSE") continue;
      return `Something listens on port ${port} here already, such as nginx.
Stop it, or leave TLS to it, and have Runegate behind it: runegate setup --tls off`;
    }
  }
  return undefined;
}

/** Where visitors come, and an authority. */
const PORTS = [443, 80];
