import { readdirSync, readFileSync } from "node:fs";

/** What the operating system says a process has used: `/proc`, so Linux only (proc(5)). */

/** Unit of the times in `/proc/PID/stat`, in ticks a second. */
const TICKS_PER_SECOND = Number(Bun.spawnSync(["getconf", "CLK_TCK"]).stdout.toString()) || 100;

/** CPU seconds, user and system, that the processes and all their threads have used so far. */
export function cpuSeconds(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field, the command's name, may itself hold blanks and parentheses.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    // utime and stime, the 14th and 15th fields, where the slice starts at the third.
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks / TICKS_PER_SECOND;
}

/** Sum of the processes' peak resident sizes in MiB; pages they share count for each of them. */
export function peakMebibytes(pids: readonly number[]): number {
  let kibibytes = 0;
  for (const pid of pids) {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    kibibytes += Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0);
  }
  return kibibytes / 1024;
}

/** A process and all that descend from it, as they are now; nothing of what has just ended. */
export function familyOf(pid: number): number[] {
  const children: number[] = [];
  try {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const text = readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").trim();
      if (text !== "") children.push(...text.split(" ").map(Number));
    }
  } catch {
    return [];
  }
  return [pid, ...children.flatMap(familyOf)];
}
