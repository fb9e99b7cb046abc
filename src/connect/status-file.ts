import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ConnectorStatus } from "./connector.ts";

/** Where a connector that runs says how it is, for `runegate connect --status`. */

export type WrittenStatus = ConnectorStatus & {
  readonly pid: number;
  readonly url: string;
  /** Wall clock, in milliseconds. */
  readonly at: number;
};

type Environment = Readonly<Record<string, string | undefined>>;

/** Private to who runs it: the unit's directory, or that of who is logged in. */
const UNIT_DIRECTORY = "/run/runegate-connect";

export function writeStatus(env: Environment, tunnel: string, status: WrittenStatus): void {
  const directory = env.RUNTIME_DIRECTORY ?? env.XDG_RUNTIME_DIR;
  if (directory === undefined) return;
  const path = pathIn(directory, tunnel);
  try {
    writeFileSync(`${path}.new`, JSON.stringify(status), { mode: 0o600 });
    renameSync(`${path}.new`, path);
  } catch {
    // Whoever asks is told that nothing is known.
  }
}

export function removeStatus(env: Environment, tunnel: string): void {
  const directory = env.RUNTIME_DIRECTORY ?? env.XDG_RUNTIME_DIR;
  if (directory !== undefined) rmSync(pathIn(directory, tunnel), { force: true });
}

/** @returns undefined where no connector of the tunnel runs here. */
export function readStatus(env: Environment, tunnel: string): WrittenStatus | undefined {
  for (const directory of [env.RUNTIME_DIRECTORY, env.XDG_RUNTIME_DIR, UNIT_DIRECTORY]) {
    if (directory === undefined) continue;
    try {
      const status = JSON.parse(readFileSync(pathIn(directory, tunnel), "utf8")) as WrittenStatus;
      process.kill(status.pid, 0);
      return status;
    } catch {
      // None there, or left behind by one that was killed.
    }
  }
  return undefined;
}

function pathIn(directory: string, tunnel: string): string {
  return join(directory, `runegate-connect-${tunnel}.json`);
}
