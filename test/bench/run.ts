import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { barChart } from "./chart.ts";
import { findExecutable } from "./executable.ts";
import { type BenchOptions, HELP, readOptions } from "./options.ts";
import { type Circumstances, circumstancesOf, render, renderBars } from "./report.ts";
import type { Report, Section } from "./section.ts";
import { bodiesSection } from "./sections/bodies.ts";
import { checkSection } from "./sections/check.ts";
import { floodSection } from "./sections/flood.ts";
import { loginSection } from "./sections/login.ts";
import { lookupSection } from "./sections/lookup.ts";
import { peersSection } from "./sections/peers.ts";
import { proxySection } from "./sections/proxy.ts";
import { signInSection } from "./sections/sign-in.ts";
import { startSection } from "./sections/start.ts";
import { streamsSection } from "./sections/streams.ts";
import { tlsSection } from "./sections/tls.ts";
import { tunnelSection } from "./sections/tunnel.ts";
import { workersSection } from "./sections/workers.ts";
import { BenchError, createStage, type Stage } from "./stage.ts";

/** What Runegate costs, next to others, section by section. See README.md beside this file. */

const SECTIONS: readonly Section[] = [
  proxySection,
  peersSection,
  tlsSection,
  checkSection,
  bodiesSection,
  streamsSection,
  tunnelSection,
  loginSection,
  signInSection,
  floodSection,
  lookupSection,
  startSection,
  workersSection,
];

const ROOT = new URL("../../", import.meta.url);
const README = new URL("README.md", import.meta.url);

/** A file system that Linux keeps in memory (shm_overview(7)). */
const SHARED_MEMORY = "/dev/shm";

type Outcome = { readonly section: string; readonly report: Report };

/** One section in a stage of its own, which ends with it whatever happens. */
async function play(
  section: Section,
  options: BenchOptions,
  onStage: (stage: Stage) => void,
): Promise<Report> {
  const stage = section.inMemory && existsSync(SHARED_MEMORY) ? createStage(SHARED_MEMORY) : createStage();
  onStage(stage);
  const atMost = section.atMostSeconds(options);
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    // Whatever the section waits for ends with the stage.
    reject(new BenchError(`It takes longer than ${atMost} s.`));
    void stage.clear();
  }, atMost * 1000);
  const say = (text: string) => console.error(`${section.name}: ${text}`);
  try {
    const bench = { stage, effort: options, executable: () => findExecutable(options.binary, say), say };
    return await Promise.race([section.run(bench), late]);
  } finally {
    clearTimeout(timer);
    await stage.clear();
  }
}

async function bench(options: BenchOptions, onStage: (stage: Stage) => void): Promise<number> {
  const circumstances = circumstancesOf(options);
  const outcomes: Outcome[] = [];
  let failed = 0;
  for (const section of options.sections) {
    try {
      const report = await play(section, options, onStage);
      outcomes.push({ section: section.name, report });
      console.log(`## ${section.name}: ${section.summary}\n\n${render(report, circumstances)}\n`);
    } catch (error) {
      if (!(error instanceof BenchError)) throw error;
      failed++;
      console.error(`${section.name}: ${error.message}`);
    }
  }
  if (options.json !== undefined) writeJson(options.json, circumstances, outcomes);
  if (options.write) writeReadmes(outcomes, circumstances);
  return failed === 0 ? 0 : 1;
}

function writeJson(file: string, circumstances: Circumstances, outcomes: readonly Outcome[]): void {
  const sections = outcomes.map(({ section, report }) => ({ section, ...report }));
  writeFileSync(file, `${JSON.stringify({ ...circumstances, sections }, undefined, 2)}\n`);
}

/** Puts each section's outcome between its markers; what was not run keeps the outcome it had. */
function writeReadmes(outcomes: readonly Outcome[], circumstances: Circumstances): void {
  for (const { section, report } of outcomes) {
    writeBetween(README, section, render(report, circumstances));
    if (report.chart === undefined) continue;
    const { title, file, bars } = report.chart;
    writeFileSync(new URL(file, ROOT), barChart(title, bars));
    writeBetween(new URL("README.md", ROOT), section, renderBars(bars, circumstances));
  }
}

function writeBetween(file: URL, section: string, text: string): void {
  const readme = readFileSync(file, "utf8");
  const [from, to] = [`<!-- ${section} -->`, `<!-- /${section} -->`];
  const start = readme.indexOf(from);
  const end = readme.indexOf(to, start);
  if (start === -1 || end === -1) {
    throw new BenchError(`${file.pathname} needs the markers ${from} and ${to}.`);
  }
  writeFileSync(file, `${readme.slice(0, start + from.length)}\n\n${text}\n\n${readme.slice(end)}`);
}

async function main(args: string[]): Promise<number> {
  let options: BenchOptions | undefined;
  try {
    options = readOptions(args, SECTIONS);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    console.error(`bench: ${error.message}\n\n${HELP}`);
    return 64;
  }
  if (options === undefined) {
    console.log(HELP);
    return 0;
  }
  if (options.list) {
    for (const { name, summary } of options.sections) console.log(`${name.padEnd(10)}${summary}`);
    return 0;
  }
  // Whoever is measured beside us is looked for there first.
  if (options.peers !== undefined) process.env.PATH = `${options.peers}:${process.env.PATH}`;
  let stage: Stage | undefined;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => void Promise.resolve(stage?.clear()).then(() => process.exit(130)));
  }
  try {
    return await bench(options, (now) => {
      stage = now;
    });
  } catch (error) {
    if (!(error instanceof BenchError)) throw error;
    console.error(error.message);
    return 1;
  }
}

process.exit(await main(process.argv.slice(2)));
