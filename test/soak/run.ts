import { writeFileSync } from "node:fs";
import { BenchError, createStage } from "../bench/stage.ts";
import { HELP, readOptions, type SoakOptions } from "./options.ts";
import { JUDGED_FROM_SECONDS } from "./samples.ts";
import { type Outcome, soak } from "./soak.ts";

/** `npm run soak`: whether a gateway is after hours of use what it was at the start. */

function render(outcome: Outcome): string {
  const { memory, before, after } = outcome;
  const counts = (of: Readonly<Record<string, number>>) =>
    Object.entries(of)
      .map(([what, count]) => `  ${String(count).padStart(7)}  ${what}`)
      .join("\n");
  const verdict = { true: "flat", false: "NOT FLAT" }[String(memory.flat)];
  return [
    `${outcome.requests} requests in ${outcome.seconds.toFixed(0)} s. By status:`,
    counts(outcome.statuses),
    "Done as it should be:",
    counts(outcome.done),
    "Errors, each with its cause:",
    counts(outcome.excused),
    `Memory: ${memory.early.toFixed(0)} MiB in the second quarter, ${memory.late.toFixed(0)} MiB in the last: ` +
      (verdict ?? `not judged in less than ${JUDGED_FROM_SECONDS} s`),
    `Before and after: descriptors ${before.descriptors} and ${after.descriptors}, sockets ${before.sockets} and ` +
      `${after.sockets}, threads ${before.threads} and ${after.threads}, processes ${before.processes} and ${after.processes}`,
    `In the quiet: ${(outcome.idleCpu * 100).toFixed(1)} % of a core`,
    ...(outcome.unexplained.length === 0 ? [] : ["Without a cause:", ...outcome.unexplained]),
    outcome.problems.length === 0 ? "All is well." : `Not well: ${outcome.problems.join("; ")}.`,
  ].join("\n");
}

async function main(args: string[]): Promise<number> {
  let options: SoakOptions | undefined;
  try {
    options = readOptions(args);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    console.error(`soak: ${error.message}\n\n${HELP}`);
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
    const outcome = await soak(stage, options, (line) => console.error(line));
    console.log(render(outcome));
    if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(outcome, undefined, 2)}\n`);
    return outcome.problems.length === 0 ? 0 : 1;
  } catch (error) {
    if (!(error instanceof BenchError)) throw error;
    console.error(error.message);
    return 1;
  } finally {
    await stage.clear();
  }
}

process.exit(await main(process.argv.slice(2)));
