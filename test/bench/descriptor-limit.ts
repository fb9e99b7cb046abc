import { readFileSync } from "node:fs";

/**
 * Raises the number of descriptors that this process, and what it starts, may have open, as far as it may.
 * @returns how many that are now.
 */
export function raiseDescriptorLimit(wanted: number): number {
  const { soft, hard } = limits();
  if (soft >= wanted) return soft;
  // Beyond the hard limit only root may go, and not everywhere.
  for (const limit of [wanted, Math.min(wanted, hard)]) {
    const nofile = `--nofile=${limit}:${Math.max(limit, hard)}`;
    if (Bun.spawnSync(["prlimit", "--pid", String(process.pid), nofile]).exitCode === 0) break;
  }
  return limits().soft;
}

function limits(): { readonly soft: number; readonly hard: number } {
  const [, soft, hard] =
    /^Max open files +(\d+) +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
  return { soft: Number(soft), hard: Number(hard) };
}
