import { truncateSync } from "node:fs";
import { cpuSeconds, familyOf, peakMebibytes } from "./accounting.ts";
import type { Load, LoadGenerator } from "./load.ts";
import { type Listening, startNginxProxy } from "./nginx.ts";
import { startRunegate } from "./runegate.ts";
import { freePort, type Stage } from "./stage.ts";

/** Who is measured: proxies in front of the same application. */
export type Contestant = Listening & { readonly name: string; readonly cookie: string };

/** One contestant's part of one round. */
export type Sample = Load & {
  /** CPU microseconds per request, of the proxy alone. */
  readonly cpu: number;
  /** MiB, since the process began. */
  readonly peak: number;
};

export type ContestantSettings = {
  readonly stage: Stage;
  readonly nginx: string;
  readonly upstreamPort: number;
  /** The compiled executable, if there is one. */
  readonly binary: string | undefined;
};

/** The first is who the others are compared with. */
export const REFERENCE = "nginx";

export async function startContestants(settings: ContestantSettings): Promise<Contestant[]> {
  const { stage, nginx, upstreamPort, binary } = settings;
  const main = new URL("../../src/main.ts", import.meta.url).pathname;
  const source = await startRunegate(stage, "runegate", [process.execPath, main], upstreamPort);
  const { cookie } = source;
  const contestants: Contestant[] = [
    // The same cookie for everybody, so that all read requests of the same size.
    { name: REFERENCE, cookie, ...(await startNginxProxy(stage, nginx, upstreamPort)) },
    { name: "Runegate", ...source },
  ];
  if (binary !== undefined) {
    const compiled = await startRunegate(stage, "compiled", [binary], upstreamPort);
    contestants.push({ name: "Runegate, compiled", ...compiled });
  }
  contestants.push({
    name: "`Bun.serve` + `fetch`, bare",
    cookie,
    ...(await startBare(stage, upstreamPort)),
  });
  return contestants;
}

async function startBare(stage: Stage, upstreamPort: number): Promise<Listening> {
  const port = freePort();
  const script = new URL("bare-proxy.ts", import.meta.url).pathname;
  const command = [process.execPath, script, String(port), String(upstreamPort)];
  return { ...(await stage.start("bare", command, port)), port };
}

export type Effort = { readonly connections: number; readonly seconds: number };

export async function measure(
  contestant: Contestant,
  generator: LoadGenerator,
  { connections, seconds }: Effort,
): Promise<Sample> {
  const { cookie, port, pid, logFile } = contestant;
  const pids = familyOf(pid);
  const before = cpuSeconds(pids);
  const load = await generator.run({ url: `http://127.0.0.1:${port}/`, cookie, connections, seconds });
  const used = cpuSeconds(pids) - before;
  // Logs grow by tens of megabytes a second here; nobody reads them.
  truncateSync(logFile);
  return { ...load, cpu: (used / load.requests) * 1e6, peak: peakMebibytes(pids) };
}
