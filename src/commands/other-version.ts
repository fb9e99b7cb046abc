import { systemClock } from "../clock.ts";
import { EXIT } from "../exit.ts";
import { flagOf } from "../option/option.ts";
import type { Io } from "../process/io.ts";
import { fault } from "../upgrade/fault.ts";

/** Asks another executable of Runegate's what only it knows, by its commands. */

/** For how long a new version may say that it is not ready. */
export const READY_MS = 10_000;
const LOOK_MS = 500;
/** What is asked for takes a moment. */
const ANSWER_MS = 20_000;
/** Of output. */
const MOST_BYTES = 1024 * 1024;

/** @throws {UpgradeFault} if it does not run here. */
export function versionOf(path: string, io: Io): string {
  const { code, lines } = call([path, "version", "--json"], io, false);
  let said: unknown;
  try {
    said = JSON.parse(lines[0] ?? "");
  } catch {
    said = undefined;
  }
  const { version } = (said ?? {}) as { version?: unknown };
  if (code !== EXIT.done || typeof version !== "string") {
    throw fault("the new version does not run on this machine.");
  }
  return version;
}

/** Has a version check the configuration that is there. @throws {UpgradeFault} if it cannot. */
export function mayStart(path: string, io: Io): boolean {
  const { code, lines } = call([path, "check"], io);
  for (const line of lines) io.out(`  ${line}`);
  if (code === EXIT.done) return true;
  if (code !== EXIT.config) throw fault("the new version cannot check the configuration.");
  io.err("The new version would not start with this configuration, so nothing was changed.");
  return false;
}

/** Asks the service, until it is ready. */
export async function isReady(path: string, io: Io): Promise<boolean> {
  const began = systemClock.monotonic();
  while (call([path, "health"], io).code !== EXIT.done) {
    if (systemClock.monotonic() - began > READY_MS) return false;
    await Bun.sleep(LOOK_MS);
  }
  return true;
}

/** With these an executable would be another program, or run somebody's code first. */
const NOT_FOR_IT = ["BUN_OPTIONS", "BUN_BE_BUN", "BUN_INSPECT"];

/** Runs another version with the options that this one was given. What it writes as an error goes on to the caller. */
function call([path = "", ...args]: string[], io: Io, withFlags = true): { code: number; lines: string[] } {
  const env = Object.fromEntries(Object.entries(io.env).filter(([name]) => !NOT_FOR_IT.includes(name)));
  const flags = Object.entries(withFlags ? (io.flags ?? {}) : {});
  const words = [...args, ...flags.map(([name, value]) => `${flagOf(name)}=${value}`)];
  try {
    const limits = { timeout: ANSWER_MS, killSignal: "SIGKILL", maxBuffer: MOST_BYTES } as const;
    const child = Bun.spawnSync([path, ...words], { env, stdin: "ignore", ...limits });
    const { exitCode, stdout, stderr, exitedDueToTimeout, signalCode } = child;
    for (const line of linesOf(stderr)) io.err(line);
    if (exitedDueToTimeout) io.err(`${path} ${args[0]} was not done after ${ANSWER_MS / 1000} s.`);
    else if (signalCode !== undefined) io.err(`${path} ${args[0]} was ended by ${signalCode}.`);
    return { code: exitCode ?? EXIT.failed, lines: linesOf(stdout) };
  } catch (error) {
    io.err(error instanceof Error ? error.message : String(error));
    return { code: EXIT.failed, lines: [] };
  }
}

function linesOf(output: Buffer): string[] {
  return output.toString().split("\n").filter(Boolean);
}
