import { statSync } from "node:fs";

/** How to start this program again as another process. */

/** Read once, at the start: when the file has been replaced, the kernel no longer knows its name. */
const PATH = process.execPath;
const COMPILED = Bun.main.startsWith("/$bunfs/");
/** The file that this process runs, whatever has its name by now (proc(5)). */
const SELF = "/proc/self/exe";
const startedAs = fingerprint();

/** To start what has the executable's name now. In a compiled executable the script is inside and not an argument. */
export function commandLine(...args: string[]): string[] {
  return COMPILED ? [PATH, ...args] : [PATH, ...process.execArgv, Bun.main, ...args];
}

/** To start exactly what this process is. */
export function ownCommandLine(...args: string[]): string[] {
  return isReplaced() && process.platform === "linux" ? [SELF, ...args] : commandLine(...args);
}

/** Whether another file has the executable's name by now. From source there is no telling. */
export function isReplaced(): boolean {
  return COMPILED && fingerprint() !== startedAs;
}

function fingerprint(): string {
  const file = statSync(PATH, { throwIfNoEntry: false });
  return file === undefined ? "gone" : `${file.dev} ${file.ino} ${file.mtimeMs} ${file.size}`;
}
