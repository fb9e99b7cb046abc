import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { familyOf } from "./accounting.ts";

/** Where a benchmark takes place: a directory of its own and the processes in it, all of which end with it. */
export type Stage = {
  readonly directory: string;
  /**
   * Starts a process that listens on `port` of the loopback, and waits until it does.
   * @throws {BenchError} with what it wrote to stderr, if it ends or does not listen in time.
   */
  start(name: string, command: readonly string[], port: number, env?: Environment): Promise<Started>;
  /**
   * Runs a command to its end, at most `seconds` long, and gives what it wrote to stdout.
   * @throws {BenchError} if it fails or takes longer.
   */
  run(command: readonly string[], seconds: number, env?: Environment): Promise<string>;
  /** Ends every process, waits until they are gone, and removes the directory. */
  clear(): Promise<void>;
};

export type Started = {
  readonly pid: number;
  /** What it writes to stdout. */
  readonly logFile: string;
};

export type Environment = Readonly<Record<string, string>>;

/** Why the benchmark cannot go on, for the person who runs it. */
export class BenchError extends Error {
  readonly code = "bench";
}

const START_MS = 10_000;
const STOP_MS = 3_000;
const POLL_MS = 20;

export function createStage(): Stage {
  const directory = mkdtempSync(join(tmpdir(), "runegate-bench-"));
  const processes = new Set<Subprocess>();
  let clearing: Promise<void> | undefined;

  function keep<Process extends Subprocess>(child: Process): Process {
    processes.add(child);
    void child.exited.then(() => processes.delete(child));
    return child;
  }

  function mustBeOpen(): void {
    if (clearing !== undefined) throw new BenchError("Stopped.");
  }

  async function endAll(): Promise<void> {
    const left = [...processes];
    // Read before the parents end: what they started would have no parent to be found by.
    const families = left.flatMap(({ pid }) => familyOf(pid));
    for (const child of left) child.kill("SIGTERM");
    await Promise.race([Promise.all(left.map((child) => child.exited)), Bun.sleep(STOP_MS)]);
    if (processes.size > 0) for (const pid of families) killQuietly(pid);
    rmSync(directory, { recursive: true, force: true });
  }

  return {
    directory,

    async start(name, command, port, env = {}) {
      mustBeOpen();
      const logFile = join(directory, `${name}.log`);
      const errorFile = join(directory, `${name}.err`);
      // For appending: a log that is cut to nothing while it is written to then has no hole in it.
      const [log, errors] = [openSync(logFile, "a"), openSync(errorFile, "a")];
      const child = keep(
        Bun.spawn([...command], {
          cwd: directory,
          env: { ...inherited(), ...env },
          stdio: ["ignore", log, errors],
        }),
      );
      closeSync(log);
      closeSync(errors);
      const giveUpAt = performance.now() + START_MS;
      while (!(await accepts(port))) {
        mustBeOpen();
        if (child.exitCode !== null || performance.now() > giveUpAt) {
          const said = readFileSync(errorFile, "utf8").trim().slice(-2000);
          throw new BenchError(`${name} does not listen on port ${port}: ${said || "it says nothing"}`);
        }
        await Bun.sleep(POLL_MS);
      }
      return { pid: child.pid, logFile };
    },

    async run(command, seconds, env = {}) {
      mustBeOpen();
      const child = keep(
        Bun.spawn([...command], {
          cwd: directory,
          env: { ...inherited(), ...env },
          stdio: ["ignore", "pipe", "pipe"],
          timeout: seconds * 1000,
        }),
      );
      const [output, errors] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
      mustBeOpen();
      if (child.exitCode === 0) return output;
      throw new BenchError(
        `${command[0]} failed or took over ${seconds} s: ${errors.trim() || output.trim()}`,
      );
    },

    clear() {
      clearing ??= endAll();
      return clearing;
    },
  };
}

/** Below the ports that systems give out by themselves, to other programs too, between this look and the use. */
const PORTS = { from: 20_000, to: 32_000 } as const;

/** A port of the loopback that nobody listens on at the moment. */
export function freePort(): number {
  for (;;) {
    const port = PORTS.from + Math.floor(Math.random() * (PORTS.to - PORTS.from));
    try {
      Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } }).stop(true);
      return port;
    } catch {
      // In use.
    }
  }
}

/** The environment without what would configure a gateway or this runtime differently from one machine to the next. */
function inherited(): Record<string, string> {
  const kept = Object.entries(process.env).filter(
    (pair): pair is [string, string] => pair[1] !== undefined && !/^(RUNEGATE|BUN|RUST)_/.test(pair[0]),
  );
  return Object.fromEntries(kept);
}

async function accepts(port: number): Promise<boolean> {
  try {
    const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } });
    socket.end();
    return true;
  } catch {
    return false;
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Gone already.
  }
}
