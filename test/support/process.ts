import { join } from "node:path";

/** Runegate as its users run it: a process of its own, from source or from the executable. */

const root = join(import.meta.dir, "../..");

/** The executable under test, if there is one (`RUNEGATE_EXECUTABLE`), else the source. */
export function runegate(...args: string[]): string[] {
  const executable = process.env.RUNEGATE_EXECUTABLE;
  return executable === undefined
    ? [process.execPath, join(root, "src/main.ts"), ...args]
    : [executable, ...args];
}

export type RunningProcess = {
  readonly pid: number;
  /** Standard output and error so far. */
  output(): string;
  /** Waits until the output matches. @throws after `withinMs`, or when the process ends first, with what it said. */
  waitFor(pattern: RegExp, withinMs?: number): Promise<RegExpExecArray>;
  signal(name: NodeJS.Signals): void;
  readonly exited: Promise<number>;
};

/** Starts a process whose environment holds nothing of Runegate's but what is given. */
export function startProcess(
  command: readonly string[],
  env: Readonly<Record<string, string>> = {},
  cwd = root,
): RunningProcess {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("RUNEGATE_"));
  const child = Bun.spawn([...command], {
    cwd,
    env: { ...Object.fromEntries(inherited), RUNEGATE_ENV_FILE: "/dev/null", ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  let output = "";
  let ended = false;
  const waiters = new Set<() => void>();
  const changed = () => {
    for (const waiter of waiters) waiter();
  };
  const read = async (stream: ReadableStream<Uint8Array>) => {
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      output += decoder.decode(chunk, { stream: true });
      changed();
    }
  };
  const drained = Promise.all([read(child.stdout), read(child.stderr)]);
  const exited = child.exited.then(async (code) => {
    await drained;
    ended = true;
    changed();
    return code;
  });

  return {
    pid: child.pid,
    output: () => output,
    async waitFor(pattern, withinMs = 10_000) {
      const { promise, resolve, reject } = Promise.withResolvers<RegExpExecArray>();
      const look = () => {
        const match = pattern.exec(output);
        if (match !== null) resolve(match);
        else if (ended) reject(new Error(`ended without saying ${pattern}:\n${output}`));
      };
      const timer = setTimeout(
        () => reject(new Error(`did not say ${pattern} in time:\n${output}`)),
        withinMs,
      );
      waiters.add(look);
      look();
      try {
        return await promise;
      } finally {
        clearTimeout(timer);
        waiters.delete(look);
      }
    },
    signal: (name) => child.kill(name),
    exited,
  };
}

/** Below those that Linux gives to whoever asks for any, such as every connection that is made meanwhile (ip(7), ip_local_port_range). */
const PORTS = { from: 10_000, to: 32_000 };

/** A port that was free a moment ago. */
export function freePort(): number {
  for (;;) {
    const port = PORTS.from + Math.floor(Math.random() * (PORTS.to - PORTS.from));
    try {
      Bun.listen({ hostname: "127.0.0.1", port, exclusive: true, socket: { data() {} } }).stop(true);
      return port;
    } catch {
      // Somebody has it.
    }
  }
}
