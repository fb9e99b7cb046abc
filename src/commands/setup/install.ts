import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { EXIT } from "../../exit.ts";
import type { Io } from "../../process/io.ts";
import { SHIPPED } from "./shipped.ts";

/** Installing this executable as a service, by the install.sh that is inside it. */

/** Root's, in memory, and gone at the next boot. */
const WORKSHOP = "/run/runegate-setup-";

/** The texts of runegate.env and email.toml, which are taken where there are none yet. */
export type Configured = { readonly env: string; readonly email: string };

/**
 * Says what it does on standard output, unless `isQuiet`.
 * @param domain to listen on ports 80 and 443 for, with nothing in front.
 * @param signal ends install.sh, which then puts back what it has changed.
 * @returns its exit code.
 */
export async function install(
  { env, email }: Configured,
  domain: string | undefined,
  isQuiet: boolean,
  signal: AbortSignal,
  io: Io,
): Promise<number> {
  const folder = mkdtempSync(WORKSHOP);
  try {
    const files = { ...SHIPPED, "runegate.env.example": env, "config/email.toml.example": email };
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(join(folder, dirname(name)), { recursive: true, mode: 0o700 });
      writeFileSync(join(folder, name), text, { mode: 0o600 });
    }
    const edge = domain === undefined ? [] : ["--edge", domain];
    const child = Bun.spawn(["bash", join(folder, "install.sh"), "--binary", process.execPath, ...edge], {
      env: { PATH: io.env.PATH ?? "" },
      stdio: ["ignore", isQuiet ? "ignore" : "inherit", "inherit"],
    });
    signal.addEventListener("abort", () => child.kill("SIGTERM"));
    return await child.exited;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @returns whether the service has started again. */
export async function restart(io: Io): Promise<boolean> {
  io.out("- Restart the service");
  const child = Bun.spawn(["systemctl", "restart", "runegate"], {
    env: { PATH: io.env.PATH ?? "" },
    stdio: ["ignore", "ignore", "inherit"],
  });
  return (await child.exited) === EXIT.done;
}
