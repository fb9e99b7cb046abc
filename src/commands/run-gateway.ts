import { loadConfiguration } from "../config/configuration.ts";
import type { ExitCode } from "../exit.ts";
import type { FilesRead } from "../option/files.ts";
import { composeGateway } from "../process/compose.ts";
import type { Io } from "../process/io.ts";
import { type MainProcess, type MainSettings, startMainProcess } from "../process/main-process.ts";

declare global {
  /** Set while a gateway runs, for `bun --hot`: `var` is the only declaration that names a property of `globalThis`. */
  var runegateRunning: MainProcess | undefined;
}

/** Runs a gateway until it is told to stop. Called again by `bun --hot`, it gives the one that runs its new code. */
export async function runGateway(io: Io, settings: MainSettings): Promise<ExitCode> {
  const files: FilesRead = new Map();
  const configuration = loadConfiguration(io, settings.surroundings, files);
  const running = globalThis.runegateRunning;
  if (running !== undefined) {
    await running.reload(configuration, composeGateway);
    return running.stopped;
  }
  const started = await startMainProcess(io, configuration, { ...settings, files });
  if (typeof started === "number") return started;
  globalThis.runegateRunning = started;
  return started.stopped;
}
