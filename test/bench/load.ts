import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { percentile } from "./section.ts";
import { BenchError, type Stage } from "./stage.ts";

/** Load on one URL over kept-alive connections, each of which sends its next request when it has its answer. */
export type Load = {
  /** Requests that were answered with success. */
  readonly requests: number;
  readonly perSecond: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
};

export type LoadSettings = {
  readonly url: string;
  readonly cookie: string;
  readonly connections: number;
  readonly seconds: number;
  /** Further lines of the head of each request. */
  readonly headers?: readonly string[];
  /** Each request sends a body of this many bytes, by POST. */
  readonly upload?: number;
};

export type LoadGenerator = {
  readonly name: string;
  /** @throws {BenchError} if a single request was not answered with success: a refusal is quicker than an answer. */
  run(settings: LoadSettings): Promise<Load>;
};

export function createLoadGenerator(stage: Stage): LoadGenerator {
  const wrk = Bun.which("wrk");
  if (wrk === null) return { name: "built-in (Bun's fetch)", run: runBuiltIn };
  const version = /wrk \S+/.exec(Bun.spawnSync([wrk, "-v"]).stdout.toString())?.[0] ?? "wrk";
  return { name: version, run: (settings) => runWrk(stage, wrk, settings) };
}

async function runWrk(stage: Stage, wrk: string, settings: LoadSettings): Promise<Load> {
  const { url, cookie, connections, seconds, upload, headers = [] } = settings;
  const command = [
    ...[wrk, "--threads", "1", "--connections", String(connections), "--duration", `${seconds}s`],
    ...["--timeout", "5s", "--latency", "--header", `Cookie: ${cookie}`],
    ...headers.flatMap((line) => ["--header", line]),
    ...(upload === undefined ? [] : ["--script", postScript(stage, upload)]),
    url,
  ];
  return readWrk(await stage.run(command, seconds + 15));
}

/** What makes wrk send bodies, in its Lua. */
function postScript(stage: Stage, bytes: number): string {
  const file = join(stage.directory, `post-${bytes}.lua`);
  writeFileSync(file, `wrk.method = "POST"\nwrk.body = string.rep("x", ${bytes})\n`);
  return file;
}

const MILLISECONDS: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1000, m: 60_000 };

/** Reads what wrk prints with `--latency`. */
export function readWrk(output: string): Load {
  const trouble = /^\s*(?:Socket errors|Non-2xx).*$/m.exec(output)?.[0];
  if (trouble !== undefined) throw new BenchError(`Requests failed. ${trouble.trim()}`);
  const [, count, seconds, unit] = /(\d+) requests in ([\d.]+)(us|ms|s|m)\b/.exec(output) ?? [];
  const percentile = (which: number) => {
    const [, value, of] = new RegExp(`^\\s*${which}%\\s+([\\d.]+)(us|ms|s|m)\\s*$`, "m").exec(output) ?? [];
    return Number(value) * (MILLISECONDS[of ?? ""] ?? Number.NaN);
  };
  const requests = Number(count);
  const took = (Number(seconds) * (MILLISECONDS[unit ?? ""] ?? Number.NaN)) / 1000;
  const load = { requests, perSecond: requests / took, p50: percentile(50), p99: percentile(99) };
  if (requests > 0 && Object.values(load).every(Number.isFinite)) return load;
  throw new BenchError(`wrk says something that is not understood:\n${output}`);
}

/** Requests in flight on each connection of HTTP/2, as a browser has them when a page is loaded. */
const STREAMS = 10;

/** Over HTTP/2: a tenth of the connections, each with ten requests under way. Undefined where there is no h2load. */
export function createH2Load(stage: Stage): LoadGenerator | undefined {
  const h2load = Bun.which("h2load");
  if (h2load === null) return undefined;
  const version = /nghttp2\/\S+/.exec(Bun.spawnSync([h2load, "--version"]).stdout.toString())?.[0] ?? "";
  return {
    name: `h2load ${version}`,
    async run({ url, cookie, connections, seconds }) {
      const clients = Math.max(1, Math.round(connections / STREAMS));
      const command = [
        ...[h2load, "--clients", String(clients), "--max-concurrent-streams", String(STREAMS)],
        ...["--threads", "1", "--duration", String(seconds), "--header", `cookie: ${cookie}`, url],
      ];
      return readH2Load(await stage.run(command, seconds + 15));
    },
  };
}

/** Reads what h2load prints, which knows of no percentiles: the mean stands for the median, the longest for the 99th. */
export function readH2Load(output: string): Load {
  const [, , , , done, failed] =
    /requests: (\d+) total, (\d+) started, (\d+) done, (\d+) succeeded, (\d+) failed/.exec(output) ?? [];
  const isGood = /status codes: \d+ 2xx, 0 3xx, 0 4xx, 0 5xx/.test(output);
  const [, perSecond] = /finished in [^,]+, ([\d.]+) req\/s/.exec(output) ?? [];
  const [, , longest = "", mean = ""] = /time for request:\s+(\S+)\s+(\S+)\s+(\S+)/.exec(output) ?? [];
  const milliseconds = (text: string) => {
    const [, value, unit] = /^([\d.]+)(us|ms|s|m)$/.exec(text) ?? [];
    return Number(value) * (MILLISECONDS[unit ?? ""] ?? Number.NaN);
  };
  const load = {
    requests: Number(done),
    perSecond: Number(perSecond),
    ...{ p50: milliseconds(mean), p99: milliseconds(longest) },
  };
  if (isGood && failed === "0" && load.requests > 0) return load;
  throw new BenchError(`h2load says that requests failed, or something that is not understood:\n${output}`);
}

/** Slower than wrk by far: for machines that have no wrk. */
async function runBuiltIn(settings: LoadSettings): Promise<Load> {
  const { url, cookie, connections, seconds, upload, headers = [] } = settings;
  const taken: number[] = [];
  const begin = performance.now();
  const end = begin + seconds * 1000;
  const request: RequestInit = {
    headers: [["Cookie", cookie], ...headers.map((line) => line.split(/: (.*)/, 2) as [string, string])],
    redirect: "manual",
    ...(upload === undefined ? {} : { method: "POST", body: new Uint8Array(upload) }),
  };

  async function visit(): Promise<void> {
    for (let now = performance.now(); now < end; ) {
      const response = await fetch(url, request);
      await response.arrayBuffer();
      if (response.status < 200 || response.status > 204)
        throw new BenchError(`A request was answered with ${response.status}.`);
      const then = performance.now();
      taken.push(then - now);
      now = then;
    }
  }

  await Promise.all(Array.from({ length: connections }, visit));
  const took = (performance.now() - begin) / 1000;
  taken.sort((a, b) => a - b);
  return {
    requests: taken.length,
    perSecond: taken.length / took,
    p50: percentile(taken, 0.5),
    p99: percentile(taken, 0.99),
  };
}
