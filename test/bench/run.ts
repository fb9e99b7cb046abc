import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { VERSION } from "../../src/version.ts";
import { type Contestant, measure, type Sample, startContestants } from "./contestants.ts";
import { createLoadGenerator } from "./load.ts";
import { findNginx, nginxVersion, startUpstream } from "./nginx.ts";
import { describeMachine, type Result, render, summarize } from "./report.ts";
import { BenchError, createStage, type Stage } from "./stage.ts";

/** What a request costs on its way through Runegate, next to nginx. See README.md beside this file. */

const HELP = `Usage: bun run bench [options]

  --seconds N      load on each contestant in each round (8)
  --rounds N       each round loads every contestant in turn; medians are reported (3)
  --connections N  kept alive, each with one request under way (32)
  --binary PATH    also measure this executable (dist/runegate, where it exists)
  --json FILE      write every figure of every round to FILE
  --write          put the table into test/bench/README.md
  --help`;

const WARM_UP_SECONDS = 3;
const README = new URL("README.md", import.meta.url);
const BUILT = new URL("../../dist/runegate", import.meta.url).pathname;
const START = "<!-- results -->";
const END = "<!-- /results -->";

type BenchOptions = {
  readonly seconds: number;
  readonly rounds: number;
  readonly connections: number;
  readonly binary: string | undefined;
  readonly json: string | undefined;
  readonly write: boolean;
};

/** @returns undefined if help was asked for. */
function readOptions(args: string[]): BenchOptions | undefined {
  const { values } = parseArgs({
    args,
    options: {
      seconds: { type: "string", default: "8" },
      rounds: { type: "string", default: "3" },
      connections: { type: "string", default: "32" },
      binary: { type: "string" },
      json: { type: "string" },
      write: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  const binary = values.binary ?? (existsSync(BUILT) ? BUILT : undefined);
  if (binary !== undefined && !existsSync(binary)) throw new TypeError(`there is no ${binary}`);
  return {
    seconds: wholeNumber("--seconds", values.seconds, 3600),
    rounds: wholeNumber("--rounds", values.rounds, 100),
    // Beyond 256 the bare proxy would measure the queue in `fetch`.
    connections: wholeNumber("--connections", values.connections, 256),
    binary: binary === undefined ? undefined : resolve(binary),
    json: values.json,
    write: values.write,
  };
}

function wholeNumber(name: string, text: string, most: number): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && number >= 1 && number <= most) return number;
  throw new TypeError(`${name} is a whole number from 1 to ${most}`);
}

async function bench(stage: Stage, options: BenchOptions): Promise<void> {
  const { rounds, connections, seconds } = options;
  const nginx = findNginx();
  const generator = createLoadGenerator(stage);
  const upstream = await startUpstream(stage, nginx);
  const contestants = await startContestants({
    stage,
    nginx,
    upstreamPort: upstream.port,
    binary: options.binary,
  });
  const samples = new Map<string, Sample[]>(contestants.map(({ name }) => [name, []]));
  const load = (contestant: Contestant, duration: number) =>
    measure(contestant, generator, { connections, seconds: duration });

  for (const contestant of contestants) {
    console.error(`warming up ${contestant.name}`);
    await load(contestant, WARM_UP_SECONDS);
  }
  for (let round = 1; round <= rounds; round++) {
    for (const contestant of contestants) {
      const sample = await load(contestant, seconds);
      samples.get(contestant.name)?.push(sample);
      const figures = `${sample.perSecond.toFixed(0)} requests/s, ${sample.cpu.toFixed(1)} µs`;
      console.error(`round ${round} of ${rounds}: ${contestant.name}: ${figures}`);
    }
  }

  const circumstances = {
    date: new Date().toISOString().slice(0, 10),
    machine: describeMachine(),
    versions: `Runegate ${VERSION}, Bun ${Bun.version}, nginx ${nginxVersion(nginx)}`,
    method: `Medians of ${rounds} rounds of ${seconds} s, ${connections} connections, load by ${generator.name}`,
  };
  const results = summarize(samples);
  const table = render(results, circumstances);
  console.log(table);
  if (options.json !== undefined) writeJson(options.json, circumstances, results);
  if (options.write) writeFileSync(README, withTable(readFileSync(README, "utf8"), table));
}

function writeJson(file: string, circumstances: object, results: readonly Result[]): void {
  writeFileSync(file, `${JSON.stringify({ ...circumstances, results }, undefined, 2)}\n`);
}

function withTable(readme: string, table: string): string {
  const start = readme.indexOf(START);
  const end = readme.indexOf(END, start);
  if (start === -1 || end === -1) throw new BenchError(`README.md needs the markers ${START} and ${END}.`);
  return `${readme.slice(0, start + START.length)}\n\n${table}\n\n${readme.slice(end)}`;
}

async function main(args: string[]): Promise<number> {
  let options: BenchOptions | undefined;
  try {
    options = readOptions(args);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    console.error(`bench: ${error.message}\n\n${HELP}`);
    return 64;
  }
  if (options === undefined) {
    console.log(HELP);
    return 0;
  }
  const stage = createStage();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => void stage.clear().then(() => process.exit(130)));
  }
  try {
    await bench(stage, options);
    return 0;
  } catch (error) {
    if (!(error instanceof BenchError)) throw error;
    console.error(error.message);
    return 1;
  } finally {
    await stage.clear();
  }
}

process.exit(await main(process.argv.slice(2)));
