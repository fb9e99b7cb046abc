import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { type AtTerminal, atTerminal } from "../support/terminal.ts";
import { unpackDebian } from "./debian.ts";

/**
 * A Debian of its own that systemd boots as on a server: its processes, mounts, host name, users and network are not this
 * machine's. The network is a loopback interface and nothing else.
 */
export type Machine = {
  /** Its file system, as seen from here. What it mounts itself is not in there. */
  readonly root: string;
  /** Its network as `nsenter --net=` takes it; another one after a reboot. */
  readonly network: () => string;
  /**
   * Runs a script by bash as root, as if typed there; it ends at the first command that fails.
   * @returns what it wrote, standard error included. @throws if it ends with another code than `code`, or takes longer.
   */
  run(script: string, how?: { code?: number; folder?: string; withinMs?: number }): Promise<string>;
  /** Runs a script as {@link run} does, at a terminal where somebody types. */
  sit(script: string): AtTerminal;
  /** Writes a file of root's, and the folders it needs. */
  write(path: string, content: string, mode?: number): void;
  /** Shuts it down as `systemctl reboot` does, and boots it again. */
  reboot(): Promise<void>;
  /** Takes it from the power and throws it away. */
  destroy(): Promise<void>;
};

const BOOT_MS = 60_000;
const SHUTDOWN_MS = 60_000;
const COMMAND_MS = 60_000;

/** How `systemd-nspawn --keep-unit` ends when the system inside has asked to be booted again. */
const REBOOT = 133;

/** What somebody who logs in as root has around him. */
const ENVIRONMENT = [
  "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  "HOME=/root",
  "LANG=C.UTF-8",
];

export async function bootMachine(): Promise<Machine> {
  const root = await unpackDebian();
  const name = `runegate-${basename(root)}`.toLowerCase();
  let running: Running | undefined;

  const machine: Machine = {
    root,
    network: () => `/proc/${leader()}/ns/net`,
    run: (script, how) => runIn(root, leader(), script, how),
    sit: (script) =>
      atTerminal([...insideOf(root, leader()), ...[...ENVIRONMENT, "TERM=xterm"], "bash", "-c", script]),
    write(path, content, mode = 0o644) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), content, { mode });
    },
    async reboot() {
      const before = running;
      // The shell it is typed into does not live to see the end.
      await machine.run("systemctl reboot").catch(() => {});
      await inTime(before?.ended, SHUTDOWN_MS, "does not shut down");
      if (before?.code() !== REBOOT) throw new Error(`ended and did not reboot:\n${before?.console()}`);
      running = await boot(root, name);
    },
    async destroy() {
      running?.kill();
      await running?.ended;
      await removeCgroups(name);
      rmSync(root, { recursive: true, force: true });
    },
  };

  function leader(): number {
    if (running === undefined) throw new Error("the machine is off");
    return running.leader;
  }

  try {
    // Empty, so that systemd makes a number up and does not ask who sits at the console.
    machine.write("/etc/machine-id", "");
    machine.write("/etc/hostname", "server\n");
    running = await boot(root, name);
  } catch (error) {
    await machine.destroy();
    throw error;
  }
  return machine;
}

type Running = {
  /** Process 1, as this machine numbers it. */
  readonly leader: number;
  readonly ended: Promise<void>;
  code(): number | null;
  console(): string;
  kill(): void;
};

async function boot(root: string, name: string): Promise<Running> {
  await removeCgroups(name);
  const cgroups = cgroupsFor(name);
  for (const cgroup of cgroups) mkdirSync(cgroup);
  // It is shut down when the test ends in whatever way, and its /run/systemd/nspawn goes with it.
  const start = `
    for cgroup; do echo $$ > "$cgroup/cgroup.procs"; done
    mount -t tmpfs tmpfs /run
    exec systemd-nspawn --quiet --boot --register=no --keep-unit --machine=${name} --hostname=server \
      --directory='${root}' --private-network --settings=no --link-journal=no --resolv-conf=off --timezone=off \
      --console=pipe`;
  const child = Bun.spawn(
    [
      ...["setpriv", "--pdeathsig=TERM", "unshare", "--mount", "--propagation=private"],
      ...["sh", "-ec", start, "boot", ...cgroups],
    ],
    {
      // Debian's own choice, also where this machine has the older kind of cgroups.
      env: { PATH: process.env.PATH ?? "", SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: "1" },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    },
  );
  let console = "";
  const read = async (stream: ReadableStream<Uint8Array>) => {
    const decoder = new TextDecoder();
    for await (const chunk of stream)
      console = (console + decoder.decode(chunk, { stream: true })).slice(-20_000);
  };
  void read(child.stdout);
  void read(child.stderr);
  const until = Date.now() + BOOT_MS;
  try {
    for (;;) {
      const leader = childOf(child.pid);
      // "starting" ends with "running" or with "degraded", which says that a unit has failed.
      if (leader !== undefined && isProcessOne(leader, root) && (await isUp(root, leader))) {
        return {
          leader,
          ended: child.exited.then(() => {}),
          code: () => child.exitCode,
          console: () => console,
          // All that runs there ends with its process 1.
          kill: () => void process.kill(leader, "SIGKILL"),
        };
      }
      if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
      if (Date.now() > until) throw new Error("it does not come up");
      await Bun.sleep(100);
    }
  } catch (error) {
    const leader = childOf(child.pid);
    process.kill(leader ?? child.pid, "SIGKILL");
    await child.exited;
    throw new Error(`no machine: ${error instanceof Error ? error.message : error}\n${console}`);
  }
}

/** Also with a unit that failed: what this machine cannot do for the other one is not what is tested. */
async function isUp(root: string, leader: number): Promise<boolean> {
  const state = await runIn(root, leader, "systemctl is-system-running || true").catch(() => "");
  return ["running", "degraded"].includes(state.trim());
}

/**
 * Whether a process is the first one of the system below `root`. What is meant for that system would be done to this one
 * otherwise: before it has its own root, or when its number belongs to another by now.
 */
function isProcessOne(pid: number, root: string): boolean {
  try {
    const there = statSync(`/proc/${pid}/root/`);
    const meant = statSync(root);
    const numbers = /^NSpid:\s(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? "";
    return there.dev === meant.dev && there.ino === meant.ino && /\s1$/.test(numbers);
  } catch {
    return false;
  }
}

/** What has the rest of a command line, an environment first, run in the machine. @throws if that is off. */
function insideOf(root: string, leader: number, folder = "/root"): string[] {
  if (!isProcessOne(leader, root)) throw new Error("the machine is off");
  const namespaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"];
  return ["nsenter", `--target=${leader}`, ...namespaces, "--", "env", "-i", "-C", folder];
}

async function runIn(
  root: string,
  leader: number,
  script: string,
  {
    code = 0,
    folder = "/root",
    withinMs = COMMAND_MS,
  }: { code?: number; folder?: string; withinMs?: number } = {},
): Promise<string> {
  const child = Bun.spawn(
    [
      ...insideOf(root, leader, folder),
      ...[...ENVIRONMENT, "timeout", "--kill-after=5", String(withinMs / 1000)],
      ...["bash", "-euo", "pipefail", "-c", `exec 2>&1\n${script}`],
    ],
    { stdin: "ignore", stdout: "pipe", stderr: "pipe" },
  );
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  const ended = await child.exited;
  if (ended === code) return out;
  throw new Error(`exit code ${ended} and not ${code}:\n${script.trim()}\n--\n${out}${err}`);
}

function childOf(pid: number): number | undefined {
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      // proc(5): the name of the program is in parentheses and may hold anything.
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      if (Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]) === pid) return Number(name);
    } catch {
      // It has just ended.
    }
  }
  return undefined;
}

/** One in each hierarchy that systemd may live in; apart, so that it cannot touch what this machine's processes are in. */
function cgroupsFor(name: string): string[] {
  const mounts = readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" "));
  const unified = mounts.find(([, , type]) => type === "cgroup2");
  const older = mounts.find(([, , type, options]) => type === "cgroup" && options?.includes("name=systemd"));
  return [unified, older].flatMap((mount) => (mount?.[1] === undefined ? [] : [join(mount[1], name)]));
}

async function removeCgroups(name: string): Promise<void> {
  const until = Date.now() + SHUTDOWN_MS;
  for (const cgroup of cgroupsFor(name)) {
    // What was killed takes a moment to be gone.
    while (existsSync(cgroup) && !removeCgroup(cgroup)) {
      if (Date.now() > until) throw new Error(`processes are left in ${cgroup}`);
      await Bun.sleep(20);
    }
  }
}

/** A cgroup's files cannot be deleted, and need not be. @returns false while there are processes in it. */
function removeCgroup(path: string): boolean {
  const inside = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  if (!inside.every(({ name }) => removeCgroup(join(path, name)))) return false;
  try {
    rmdirSync(path);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EBUSY") return false;
    throw error;
  }
  return true;
}

/** @throws `what` when it takes too long. */
async function inTime<T>(promise: Promise<T> | undefined, ms: number, what: string): Promise<T | undefined> {
  let timer: Timer | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
