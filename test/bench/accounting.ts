import { readdirSync, readFileSync, readlinkSync } from "node:fs";

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

/** Sum of the processes' resident sizes in MiB; pages they share count for each of them. */
export function residentMebibytes(pids: readonly number[]): number {
  return sumOfStatus(pids, "VmRSS") / 1024;
}

/** As {@link residentMebibytes}, of each process the most it ever had. */
export function peakMebibytes(pids: readonly number[]): number {
  return sumOfStatus(pids, "VmHWM") / 1024;
}

export function threads(pids: readonly number[]): number {
  return sumOfStatus(pids, "Threads");
}

/** Open descriptors of the processes, and how many of them are sockets. */
export function descriptors(pids: readonly number[]): { readonly count: number; readonly sockets: number } {
  let count = 0;
  let sockets = 0;
  for (const pid of pids) {
    for (const name of readdirSync(`/proc/${pid}/fd`)) {
      count++;
      if (linkOf(`/proc/${pid}/fd/${name}`).startsWith("socket:")) sockets++;
    }
  }
  return { count, sockets };
}

/** How many connections this process has to a TCP port of the loopback. */
export function connectionsTo(port: number): number {
  const own = new Set(
    readdirSync("/proc/self/fd").flatMap((name) => {
      const inode = /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/self/fd/${name}`))?.[1];
      return inode === undefined ? [] : [inode];
    }),
  );
  const remote = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return readFileSync("/proc/self/net/tcp", "utf8")
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[2]?.endsWith(remote) && own.has(fields[9] ?? "")).length;
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

/** What a descriptor is; empty if it has been closed since it was listed. */
function linkOf(descriptor: string): string {
  try {
    return readlinkSync(descriptor);
  } catch {
    return "";
  }
}

function sumOfStatus(pids: readonly number[], field: string): number {
  const line = new RegExp(`^${field}:\\s+(\\d+)`, "m");
  return pids.reduce(
    (sum, pid) => sum + Number(line.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0),
    0,
  );
}
