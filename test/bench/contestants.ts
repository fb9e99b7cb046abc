import { truncateSync } from "node:fs";
import { cpuSeconds, familyOf, residentMebibytes } from "./accounting.ts";
import type { Load, LoadGenerator, LoadSettings } from "./load.ts";
import { begin, freePort, type Listening, type Stage } from "./stage.ts";

/** Who is measured: a proxy, with whatever it cannot work without. */
export type Contestant = {
  readonly name: string;
  readonly port: number;
  readonly cookie: string;
  /** The processes whose work is counted, with all that descend from them. */
  readonly roots: readonly number[];
  readonly logFiles: readonly string[];
};

export function contestant(
  name: string,
  cookie: string,
  proxy: Listening,
  ...helpers: readonly Listening[]
): Contestant {
  const all = [proxy, ...helpers];
  return {
    name,
    port: proxy.port,
    cookie,
    roots: all.map(({ pid }) => pid),
    logFiles: all.map(({ logFile }) => logFile),
  };
}

export function processesOf({ roots }: Contestant): number[] {
  return roots.flatMap(familyOf);
}

/** Bun passing requests on without a look at them. */
export function startBareProxy(stage: Stage, upstreamPort: number): Promise<Listening> {
  const port = freePort();
  const script = new URL("rivals/bare-proxy.ts", import.meta.url).pathname;
  const command = [process.execPath, script, String(port), String(upstreamPort)];
  // Else `fetch` would have 256 requests under way at most.
  return begin(stage, { name: "bare", command, port, env: { BUN_CONFIG_MAX_HTTP_REQUESTS: "65535" } });
}

/** The least that `auth_request` can ask. */
export function startAuthenticator(stage: Stage): Promise<Listening> {
  return startScript(stage, "authenticator", "rivals/authenticator.ts");
}

/** Starts one of the scripts of the benchmark, which listens on the port that is its first argument. */
export function startScript(
  stage: Stage,
  name: string,
  script: string,
  ...args: readonly (number | string)[]
): Promise<Listening> {
  const port = freePort();
  const file = new URL(script, import.meta.url).pathname;
  const command = [process.execPath, file, String(port), ...args.map(String)];
  return begin(stage, { name, command, port });
}

/** CPU of a contestant while something was done with it. */
export async function spent<T>(
  who: Contestant,
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly cpuSeconds: number }> {
  const pids = processesOf(who);
  const before = cpuSeconds(pids);
  const result = await work();
  const used = cpuSeconds(pids) - before;
  // Logs grow by tens of megabytes a second here; nobody reads them.
  for (const file of who.logFiles) truncateSync(file);
  return { result, cpuSeconds: used };
}

/** One contestant's part of one round. */
export type LoadSample = Load & {
  /** CPU microseconds per request, of the proxy alone. */
  readonly cpu: number;
  /** MiB at its end. */
  readonly resident: number;
};

export async function underLoad(
  who: Contestant,
  generator: LoadGenerator,
  load: Omit<LoadSettings, "url" | "cookie"> & { readonly path?: string; readonly scheme?: "http" | "https" },
): Promise<LoadSample> {
  const { path = "/", scheme = "http", ...effort } = load;
  const url = `${scheme}://127.0.0.1:${who.port}${path}`;
  const { result, cpuSeconds: used } = await spent(who, () =>
    generator.run({ url, cookie: who.cookie, ...effort }),
  );
  return {
    ...result,
    cpu: (used / result.requests) * 1e6,
    resident: residentMebibytes(processesOf(who)),
  };
}
