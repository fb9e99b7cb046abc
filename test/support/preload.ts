import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * So that `bun test` alone works on a fresh clone: brings the locked dependencies in before the first test file is read.
 * Imports nothing but built-in modules, since nothing else may be there yet.
 */
const root = join(import.meta.dir, "../..");

if (!existsSync(join(root, "node_modules"))) {
  console.log("Installing the locked dependencies …");
  const { exitCode, stderr } = Bun.spawnSync([process.execPath, "install", "--frozen-lockfile"], {
    cwd: root,
  });
  if (exitCode !== 0) {
    console.error(stderr.toString());
    throw new Error("the dependencies could not be installed: run `bun install` and look at what it says");
  }
  // This process has already noticed that there are none, so it starts again as it was called.
  const [, ...args] = readFileSync("/proc/self/cmdline", "utf8").split("\0").slice(0, -1);
  process.execve?.(process.execPath, [process.execPath, ...args], process.env as Record<string, string>);
}
