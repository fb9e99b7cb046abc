import { statSync } from "node:fs";

/** How to start this program again as another process. */

/**
 * Read once, at the start: when the file has been replaced, the kernel no longer knows its name. It may have been replaced
 * even before, and then says so behind it (proc(5), /proc/pid/exe).
 */
const PATH = process.execPath.replace(/ \(deleted\)$/, "");
/** Whether this is the executable, and not Bun with the source. */
export const COMPILED = Bun.main.startsWith("/$bunfs/");
/** The file that this process runs, whatever has its name by now (proc(5)). */
const SELF = "/proc/self/exe";
/** Of the file that runs, which has another name by now, or none, if it was replaced since the kernel opened it. */
const startedAs = fingerprint(process.platform === "linux" ? SELF : PATH);

/** Where the executable is, to be exchanged for another; undefined when run from source. */
export function executablePath(): string | undefined {
  return COMPILED ? PATH : undefined;
}

/** To start what has the executable's name now. In a compiled executable the script is inside and not an argument. */
export function commandLine(...args: string[]): string[] {
  return COMPILED ? [PATH, ...args] : [PATH, ...process.execArgv, Bun.main, ...args];
}

/** To start exactly what this process is. */
export function ownCommandLine(...args: string[]): string[] {
  return isReplaced() && process.platform === "linux" ? [SELF, ...args] : commandLine(...args);
}

/**
 * Starts a process of this program that talks to this one.
 * @returns it, and how it ended, for people.
 */
export function startProcess<Message>(
  command: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  receive: (message: Message) => void,
) {
  const child = Bun.spawn([...command], {
    env,
    stdin: "ignore",
    stdout: "inherit",
    stderr: "inherit",
    serialization: "advanced",
    ipc: receive,
  });
  const exited = child.exited.then((code) =>
    child.signalCode === null ? `exit code ${code}` : `signal ${child.signalCode}`,
  );
  return { child, exited };
}

/** Whether another file has the executable's name by now. From source there is no telling. */
export function isReplaced(): boolean {
  return COMPILED && fingerprint(PATH) !== startedAs;
}

function fingerprint(path: string): string {
  const file = statSync(path, { throwIfNoEntry: false });
  return file === undefined ? "gone" : `${file.dev} ${file.ino} ${file.mtimeMs} ${file.size}`;
}
