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
   * Starts a process and does not wait for anything.
   * @param onLine gets each line it writes, to stdout or stderr, which then go to no file.
   */
  launch(
    name: string,
    command: readonly string[],
    env?: Environment,
    onLine?: (line: string) => void,
  ): Started;
  /** Ends a process that was started here, and what descends from it, and waits until they are gone. */
  end(started: Started): Promise<void>;
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

type Launched = { readonly errorFile: string; readonly child: Subprocess };

export type Environment = Readonly<Record<string, string>>;

/** A process that serves on a port of the loopback. */
export type Listening = Started & { readonly port: number };

/** A process that could be started. */
export type Prepared = {
  readonly name: string;
  readonly command: readonly string[];
  readonly port: number;
  readonly env?: Environment;
  /** Where it logs, if that is not what it writes to stdout. */
  readonly logFile?: string;
};

/** Starts what was prepared, and waits until it listens. @throws {BenchError} */
export async function begin(
  stage: Stage,
  { name, command, port, env, logFile }: Prepared,
): Promise<Listening> {
  const started = await stage.start(name, command, port, env);
  return { ...started, port, ...(logFile === undefined ? {} : { logFile }) };
}

/** Why the benchmark cannot go on, for the person who runs it. */
export class BenchError extends Error {
  readonly code = "bench";
}

const START_MS = 10_000;
const STOP_MS = 3_000;
const POLL_MS = 20;

/** @param parent of the directory. */
export function createStage(parent = tmpdir()): Stage {
  const directory = mkdtempSync(join(parent, "runegate-bench-"));
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
    await endThese([...processes]);
    rmSync(directory, { recursive: true, force: true });
  }

  async function endThese(children: readonly Subprocess[]): Promise<void> {
    // Read before the parents end: what they started would have no parent to be found by.
    const families = children.flatMap(({ pid }) => familyOf(pid));
    for (const child of children) child.kill("SIGTERM");
    await Promise.race([Promise.all(children.map((child) => child.exited)), Bun.sleep(STOP_MS)]);
    for (const pid of families) if (isRunning(pid)) killQuietly(pid);
    await Promise.all(children.map((child) => child.exited));
  }

  function launch(
    name: string,
    command: readonly string[],
    env: Environment = {},
    onLine?: (line: string) => void,
  ): Started & Launched {
    mustBeOpen();
    const logFile = join(directory, `${name}.log`);
    const errorFile = join(directory, `${name}.err`);
    // For appending: a log that is cut to nothing while it is written to then has no hole in it.
    const [log, errors] = [openSync(logFile, "a"), openSync(errorFile, "a")];
    const settings = { cwd: directory, env: { ...inherited(), ...env }, stdin: "ignore" } as const;
    const child = keep(
      onLine === undefined
        ? Bun.spawn([...command], { ...settings, stdout: log, stderr: errors })
        : spawnReading(command, settings, onLine),
    );
    closeSync(log);
    closeSync(errors);
    return { pid: child.pid, logFile, errorFile, child };
  }

  return {
    directory,

    launch(name, command, env, onLine) {
      const { pid, logFile } = launch(name, command, env, onLine);
      return { pid, logFile };
    },

    async start(name, command, port, env) {
      const { pid, logFile, errorFile, child } = launch(name, command, env);
      const giveUpAt = performance.now() + START_MS;
      while (!(await accepts(port))) {
        mustBeOpen();
        if (child.exitCode !== null || performance.now() > giveUpAt) {
          const said = readFileSync(errorFile, "utf8").trim().slice(-2000);
          throw new BenchError(`${name} does not listen on port ${port}: ${said || "it says nothing"}`);
        }
        await Bun.sleep(POLL_MS);
      }
      return { pid, logFile };
    },

    async end({ pid }) {
      const child = [...processes].find((one) => one.pid === pid);
      if (child !== undefined) await endThese([child]);
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

/** Whether somebody listens on a port of the loopback. */
export async function accepts(port: number): Promise<boolean> {
  try {
    const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } });
    socket.end();
    return true;
  } catch {
    return false;
  }
}

function spawnReading(
  command: readonly string[],
  settings: { readonly cwd: string; readonly env: Record<string, string>; readonly stdin: "ignore" },
  onLine: (line: string) => void,
): Subprocess {
  const child = Bun.spawn([...command], { ...settings, stdout: "pipe", stderr: "pipe" });
  for (const output of [child.stdout, child.stderr]) void eachLine(output, onLine);
  return child;
}

async function eachLine(output: ReadableStream<Uint8Array>, onLine: (line: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of output) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  }
  if (rest !== "") onLine(rest);
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
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
