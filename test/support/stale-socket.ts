import { lstatSync } from "node:fs";

/** Leaves at `path` what a process that is killed while it listens there leaves behind. */
export function leaveStaleSocket(path: string): void {
  const child = Bun.spawnSync([
    process.execPath,
    "-e",
    `require("node:net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`,
  ]);
  if (child.signalCode !== "SIGKILL" || !lstatSync(path).isSocket()) {
    throw new Error(`no socket was left at ${path}`);
  }
}
